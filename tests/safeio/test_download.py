"""Downloads over a local server that cuts, resumes, refuses ranges, or sends the wrong file."""

from __future__ import annotations

import hashlib
import http.server
import os
import threading

import pytest

from safeio.download import DownloadError, download, file_sha256

CONTENT = bytes(range(256)) * 2000  # 512,000 bytes
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT the way the server object says."""

    def do_GET(self):
        server = self.server
        server.ranges.append(self.headers.get("Range"))
        if server.status:
            self.send_error(server.status)
            return
        start = 0
        if server.knows_ranges and (wanted := self.headers.get("Range")):
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(CONTENT):
                self.send_error(416)
                return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        self.wfile.write(CONTENT[start : start + server.cuts.pop(0)] if server.cuts else CONTENT[start:])

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.url = f"http://127.0.0.1:{server.server_port}/models/file.bin"
        server.ranges, server.cuts, server.knows_ranges, server.status = [], [], True, None
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def listed(folder):
    """Names in a folder, without the lock file."""
    return [name for name in os.listdir(folder) if not name.endswith(".lock")]


def test_whole_file_in_a_new_folder(server, tmp_path):
    path = download(server.url, tmp_path / "cache" / "file.bin", SHA256)
    assert path.read_bytes() == CONTENT and listed(path.parent) == ["file.bin"]
    download(server.url, path, SHA256)
    assert len(server.ranges) == 1, "a file that is there is not fetched again"


def test_cut_connections_are_resumed(server, tmp_path):
    server.cuts = [100_000, 150_000]
    path = download(server.url, tmp_path / "file.bin", SHA256, pause=0)
    assert path.read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=100000-", "bytes=250000-"]


def test_a_later_call_continues_the_part(server, tmp_path):
    server.cuts = [100_000]
    with pytest.raises(DownloadError, match="100,000 of 512,000 bytes"):
        download(server.url, tmp_path / "file.bin", SHA256, retries=0)
    assert listed(tmp_path) == ["file.bin.part"]
    assert download(server.url, tmp_path / "file.bin", SHA256).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=100000-"]


def test_a_server_without_ranges_sends_all_again(server, tmp_path):
    server.knows_ranges = False
    (tmp_path / "file.bin.part").write_bytes(CONTENT[:1000])
    assert download(server.url, tmp_path / "file.bin", SHA256).read_bytes() == CONTENT


def test_a_part_that_was_complete_is_only_renamed(server, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(CONTENT)
    assert download(server.url, tmp_path / "file.bin", SHA256, pause=0).read_bytes() == CONTENT
    assert len(server.ranges) == 1


@pytest.mark.parametrize("size", [1000, len(CONTENT), len(CONTENT) + 1])
def test_a_part_of_another_file_is_given_up(server, tmp_path, size):
    (tmp_path / "file.bin.part").write_bytes(b"x" * size)
    assert download(server.url, tmp_path / "file.bin", SHA256, pause=0).read_bytes() == CONTENT
    assert listed(tmp_path) == ["file.bin"]


def test_wrong_checksum_keeps_nothing_and_says_what_to_do(server, tmp_path):
    with pytest.raises(DownloadError) as caught:
        download(server.url, tmp_path / "file.bin", "0" * 64)
    for part in (server.url, "0" * 64, SHA256, str(tmp_path), "as file.bin"):
        assert part in str(caught.value)
    assert listed(tmp_path) == []


def test_an_existing_wrong_file_is_named_and_not_deleted(server, tmp_path):
    (tmp_path / "file.bin").write_bytes(b"mine")
    with pytest.raises(DownloadError, match=r"file\.bin exists, but its SHA-256"):
        download(server.url, tmp_path / "file.bin", SHA256)
    assert (tmp_path / "file.bin").read_bytes() == b"mine" and server.ranges == []


@pytest.mark.parametrize(("status", "requests"), [(404, 1), (503, 3)])
def test_refusals(server, tmp_path, status, requests):
    server.status = status
    with pytest.raises(DownloadError, match=f"answered {status}"):
        download(server.url, tmp_path / "file.bin", SHA256, retries=2, pause=0)
    assert len(server.ranges) == requests, "only an answer that may change is asked for again"


def test_runs_that_start_together_download_once(server, tmp_path):
    arguments = server.url, tmp_path / "file.bin", SHA256
    threads = [threading.Thread(target=download, args=arguments) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "file.bin").read_bytes() == CONTENT and len(server.ranges) == 1


def test_nobody_listens(server, tmp_path):
    url = server.url.replace(str(server.server_port), "9")
    with pytest.raises(DownloadError) as caught:
        download(url, tmp_path / "file.bin", SHA256, retries=1, pause=0)
    for part in (url, SHA256, str(tmp_path), "as file.bin"):
        assert part in str(caught.value)
    with pytest.raises(DownloadError, match="unknown url type"):
        download("no/url", tmp_path / "file.bin")


def test_file_sha256(tmp_path):
    (tmp_path / "f").write_bytes(CONTENT)
    assert file_sha256(tmp_path / "f") == SHA256
