"""The page of demo.py: what it answers, that it stays on this machine, and how it looks to a browser.

Most of it needs the extra demo, the last a Chromium as well.
"""

from __future__ import annotations

import http.client
import socket
import sys
import urllib.error
import urllib.request
from urllib.parse import urlsplit

import pytest

from inference.commands import demo
from inference.images import read_image
from inference.predictor import Predictor


def test_a_third_run_is_refused(capsys):
    with pytest.raises(SystemExit):
        demo.main(["a", "b", "c"])
    assert "not 3" in capsys.readouterr().err


def test_without_gradio_it_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "inference.demo.page", None)
    assert demo.main(["anywhere"]) == 2
    assert "pip install -e '.[demo]'" in capsys.readouterr().err


@pytest.fixture(scope="module")
def page(runs):
    """Address of a page with two runs."""
    pytest.importorskip("gradio", reason="the page needs the extra demo")
    from inference.demo.page import build_page, serve

    made = build_page([Predictor.load(runs(method), device="cpu") for method in ("MMRL", "LinearProbe")])
    connect, reached = socket.socket.connect, []

    def told(self, address):
        reached.append(address[0])
        return connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", told)
        yield serve(made, None, wait=False)
    made.close()
    assert {host for host in reached if isinstance(host, str)} <= {"127.0.0.1", "localhost", "::1"}


@pytest.mark.extras
def test_a_wrong_run_is_told(page, tmp_path, capsys):
    assert demo.main([str(tmp_path)]) == 2
    assert "not a run's folder" in capsys.readouterr().err


@pytest.mark.extras
def test_it_answers_as_the_predictor(page, runs):
    from inference.demo.page import shares

    predictor = Predictor.load(runs("MMRL"), ["amber", "sea"], device="cpu")
    (expected,) = predictor.predict(runs.files()[0], topk=2)
    found = shares(predictor, read_image(runs.files()[0]), 2)
    assert list(found) == [{"sea": "sea (new)"}.get(name, name) for name in expected.classes]
    assert list(found.values()) == pytest.approx(expected.probabilities)


@pytest.mark.extras
def test_only_this_machine_is_asked_and_answered(page):
    assert page.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(page) as answer:
        policy, text = answer.headers["Content-Security-Policy"], answer.read().decode()
    assert "default-src 'self'" in policy and "http" not in policy
    for stranger in ("googleapis", "gstatic", "cdnjs", "huggingface.co"):
        assert stranger not in text
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(urllib.request.Request(page, headers={"Host": "somewhere.example"}))


@pytest.mark.extras
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://somewhere.example"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403),
        ({"Content-Length": str(65 << 20)}, 413),
        ({"Content-Length": "9" * 30}, 400),
        ({"Host": "somewhere.example"}, 400),
    ],
)
def test_uploads_from_elsewhere_or_without_bounds_are_refused(page, headers, status):
    connection = http.client.HTTPConnection(urlsplit(page).netloc, timeout=30)
    connection.putrequest("POST", "/gradio_api/upload", skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    assert connection.getresponse().status == status
    connection.close()


@pytest.mark.extras
def test_an_upload_that_does_not_say_its_size_is_counted(page):
    connection = http.client.HTTPConnection(urlsplit(page).netloc, timeout=60)

    def endless():
        yield b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
        for _ in range(70):
            yield bytes(1 << 20)

    try:
        connection.request("POST", "/gradio_api/upload", endless(), {"Content-Type": "multipart/form-data; boundary=x"})
        assert connection.getresponse().status >= 400
    except (BrokenPipeError, ConnectionResetError):
        pass  # it hung up on the way


@pytest.mark.extras
def test_a_taken_port_is_named():
    pytest.importorskip("uvicorn")
    from inference.demo.server import listen

    first = listen(None)
    with pytest.raises(OSError, match=rf"Port {first.getsockname()[1]} is taken.*--port"):
        listen(first.getsockname()[1])
    first.close()


@pytest.mark.extras
def test_in_a_browser(page, runs, tab, tmp_path):
    """Drop images, see both methods' classes, edit the names, make a mistake in them; nothing is asked elsewhere."""
    broken = tmp_path / "broken.png"
    broken.write_text("no image")
    answers = "document.querySelectorAll('[data-testid=label-output-value]').length == {}"
    names = "#names textarea"
    tab.open(page)
    tab.wait_for_text("MMRL, 2 classes: 2 trained on (fused)")
    tab.choose_files("#images input[type=file]", [runs.files()[0], broken])
    tab.wait_for_text("broken.png cannot be read as an image")
    tab.wait_for(answers.format(2))  # of both runs
    tab.write(names, "amber\nthe sea\na hill")
    tab.wait_for_text("MMRL, 3 classes: 1 trained on (fused), 2 new to it (class token)")
    tab.wait_for_text("the sea (new)")
    tab.wait_for_text("LinearProbe as trained in")  # it knows its own classes only
    tab.wait_for(answers.format(1))
    tab.write(names, "amber\nAmber")
    tab.wait_for_text("are the same in words")
    tab.write(names, "amber\n" + "very " * 100)
    tab.wait_for_text("Shorten it")
    assert tab.complaints(console=False) == []
