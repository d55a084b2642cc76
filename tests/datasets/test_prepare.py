"""Fetching and laying out, against a server on the loopback interface; dangerous archives; what is left to the user."""

from __future__ import annotations

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
from archive_files import tar_of, zip_of

from datasets import prepare
from datasets.base.imagenet_family import CLIP_NAMES
from datasets.base.metadata import chosen, read_facts, read_sources

TEXTURES = {f"dtd/images/{name}/{name}_{i}.jpg": b"x" * 5000 for name in ("banded", "dotted") for i in range(10)}


@pytest.fixture
def server():
    """`files` by path; a path in `cuts` loses its connection half way, once; `ranges` are the ones asked for."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            content = site.files.get(self.path)
            if content is None:
                self.send_error(404)
                return
            wanted = self.headers.get("Range")
            start = int(wanted.split("=")[1].rstrip("-")) if wanted else 0
            site.ranges.append(start)
            self.send_response(206 if wanted else 200)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            if self.path in site.cuts:
                site.cuts.remove(self.path)
                self.wfile.write(content[start : len(content) // 2])
                self.close_connection = True
            else:
                self.wfile.write(content[start:])

        def log_message(self, *_):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site = SimpleNamespace(files={}, cuts=[], ranges=[], url=f"http://127.0.0.1:{http.server_port}")
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    yield site
    http.shutdown()
    http.server_close()


def source(server, content: bytes, **changes) -> dict:
    server.files["/dtd.tar.gz"] = content
    entry = {
        "name": "dtd.tar.gz",
        "url": f"{server.url}/dtd.tar.gz",
        "sha256": hashlib.sha256(content).hexdigest(),
        "take": {"dtd/": ""},
        "gives": "images",
    }
    return {"page": "the page", "files": [entry | changes]}


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    monkeypatch.setattr("safeio.download.time.sleep", lambda seconds: None)


def test_download_unpack_and_split(server, tmp_path, capsys):
    given = source(server, tar_of(TEXTURES | {"dtd/labels/train1.txt": b"", "elsewhere.txt": b""}))
    assert prepare.prepare("DescribableTextures", tmp_path, given, make_split=True)
    folder = tmp_path / "dtd"
    assert len(list((folder / "images").rglob("*.jpg"))) == 20
    assert not (folder / "elsewhere.txt").exists()
    assert (folder / "split_zhou_DescribableTextures.json").is_file()
    server.files.clear()
    assert prepare.prepare("DescribableTextures", tmp_path, given)  # nothing is asked for twice
    assert "ready" in capsys.readouterr().out


def test_a_cut_connection_is_continued(server, tmp_path):
    content = tar_of(TEXTURES, "w")
    given = source(server, content)
    server.cuts.append("/dtd.tar.gz")
    assert prepare.prepare("DescribableTextures", tmp_path, given)
    assert server.ranges == [0, len(content) // 2]


def test_a_wrong_checksum_leaves_nothing(server, tmp_path, capsys):
    given = source(server, tar_of(TEXTURES), sha256="0" * 64)
    assert not prepare.prepare("DescribableTextures", tmp_path, given)
    assert "SHA-256" in capsys.readouterr().err
    assert not [path for path in (tmp_path / "dtd").iterdir() if not path.name.startswith(".")]


def test_a_source_that_is_gone_is_said(server, tmp_path, capsys):
    given = source(server, b"", url=f"{server.url}/gone")
    assert not prepare.prepare("DescribableTextures", tmp_path, given)
    assert "404" in (said := capsys.readouterr().err)
    assert "Fetch it" in said


def test_a_file_the_user_fetched_is_unpacked(server, tmp_path):
    content = tar_of(TEXTURES)
    given = source(server, content, **{"from": "a friend"})
    del given["files"][0]["url"]
    (tmp_path / "dtd").mkdir()
    (tmp_path / "dtd" / "dtd.tar.gz").write_bytes(content)
    assert prepare.prepare("DescribableTextures", tmp_path, given)


def test_what_is_to_be_fetched_by_hand_is_said(tmp_path, capsys):
    assert not prepare.prepare("ImageNet", tmp_path, {**read_sources()["ImageNet"], "files": [
        {"name": "ILSVRC2012_img_train.tar", "from": "image-net.org", "bytes": 5, "gives": "images/train"}
    ]})  # fmt: skip
    said = capsys.readouterr().err
    assert f"image-net.org and save it as {tmp_path / 'imagenet' / 'ILSVRC2012_img_train.tar'} (5 bytes" in said
    assert "tar -xf" in said


def test_an_archive_in_an_archive(server, tmp_path):
    """As Caltech101's."""
    inner = tar_of({"101_ObjectCategories/accordion/image_0001.jpg": b"x"})
    files = [dict(entry) for entry in read_sources()["Caltech101"]["files"][:2]]
    outer = zip_of({"caltech-101/101_ObjectCategories.tar.gz": inner, "caltech-101/Annotations.tar": b""})
    server.files["/caltech-101.zip"] = outer
    files[0] |= {"url": f"{server.url}/caltech-101.zip", "sha256": hashlib.sha256(outer).hexdigest()}
    files[1] |= {"sha256": hashlib.sha256(inner).hexdigest()}
    assert prepare.prepare("Caltech101", tmp_path, {"page": "", "files": files})
    assert (tmp_path / "caltech-101" / "101_ObjectCategories" / "accordion" / "image_0001.jpg").is_file()


def test_class_names_are_copied_for_other_code(tmp_path):
    for name in ("ImageNet", "ImageNetV2", "ImageNetSketch", "ImageNetA", "ImageNetR"):
        (entry,) = [entry for entry in read_sources()[name]["files"] if entry["name"] == "classnames.txt"]
        prepare.get(entry, tmp_path / name)
        assert (tmp_path / name / "classnames.txt").read_bytes() == CLIP_NAMES.read_bytes()


def test_every_benchmark_has_a_source():
    assert list(read_sources()) == list(read_facts())
    for name, entry in read_sources().items():
        assert entry["size"] and entry["licence"] and entry["page"], name
        for file in entry["files"]:
            assert {"url", "drive", "from", "shipped"} & set(file), (name, file)
            assert len(file.get("sha256", "0" * 64)) == 64


def test_names_of_the_command_line():
    assert chosen(["eurosat", "DescribableTextures", "DTD"]) == ["EuroSAT"] + ["DescribableTextures"] * 2
    assert len(chosen(["all"])) == 15
    with pytest.raises(ValueError, match="Did you mean eurosat"):
        chosen(["eurosta"])
