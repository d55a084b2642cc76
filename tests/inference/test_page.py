"""The page of demo.py: what it answers, that it stays on this machine, and how it looks to a browser.

The last needs Playwright and a Chromium, named by the environment variable CHROMIUM or found on PATH.
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
import urllib.error
import urllib.request

import pytest

import demo
from predictor import Predictor

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")


def test_a_third_run_is_refused(capsys):
    with pytest.raises(SystemExit):
        demo.main(["a", "b", "c"])
    assert "not 3" in capsys.readouterr().err


def test_without_gradio_it_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "inference.page", None)
    assert demo.main(["anywhere"]) == 2
    assert "pip install -r requirements-demo.txt" in capsys.readouterr().err


@pytest.fixture(scope="module")
def page(runs):
    """Address of a page with two runs."""
    pytest.importorskip("gradio", reason="the page needs requirements-demo.txt")
    from inference.page import build_page, serve

    made = build_page([Predictor.load(runs(method), device="cpu") for method in ("MMRL", "ZeroshotCLIP")])
    connect, reached = socket.socket.connect, []

    def told(self, address):
        reached.append(address[0])
        return connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", told)
        yield serve(made, None, wait=False)
    made.close()
    assert {host for host in reached if isinstance(host, str)} <= {"127.0.0.1", "localhost", "::1"}


def test_a_wrong_run_is_told(page, tmp_path, capsys):
    assert demo.main([str(tmp_path)]) == 2
    assert "not a run's folder" in capsys.readouterr().err


def test_it_answers_as_the_predictor(page, runs):
    from inference.page import answer

    predictor = Predictor.load(runs("MMRL"), ["amber", "sea"], device="cpu")
    picture, (found,) = answer([predictor], str(runs.files()[0]), 2)
    (expected,) = predictor.predict(runs.files()[0], topk=2)
    assert picture.size == (24, 20) and list(found) == list(expected.classes)
    assert list(found.values()) == pytest.approx(expected.probabilities)


def test_only_this_machine_is_asked_and_answered(page):
    assert page.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(page) as answer:
        policy, text = answer.headers["Content-Security-Policy"], answer.read().decode()
    assert "default-src 'self'" in policy and "http" not in policy
    for stranger in ("googleapis", "gstatic", "cdnjs", "huggingface.co"):
        assert stranger not in text
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(urllib.request.Request(page, headers={"Host": "somewhere.example"}))


@pytest.mark.skipif(not CHROMIUM, reason="no Chromium: set CHROMIUM to its path")
def test_in_a_browser(page, runs, tmp_path):
    """Drop pictures, see both methods' classes, edit the names, make a mistake in them; nothing is asked elsewhere."""
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    broken = tmp_path / "broken.png"
    broken.write_text("no picture")
    asked, problems = [], []
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        tab = browser.new_page()
        tab.set_default_timeout(60_000)
        tab.on("request", lambda request: asked.append(request.url))
        tab.on("pageerror", lambda error: problems.append(str(error)))
        tab.goto(page)
        tab.wait_for_selector("text=MMRL, 2 classes: 2 trained on (fused)")
        tab.set_input_files("#pictures input[type=file]", [str(runs.files()[0]), str(broken)])
        tab.wait_for_selector("text=broken.png cannot be read as a picture")
        tab.locator("[data-testid=label-output-value]").nth(1).wait_for()  # both runs have answered
        assert tab.locator("[data-testid=label-output-value]").count() == 2
        tab.fill("#names textarea", "amber\nthe sea\na hill")
        tab.wait_for_selector("text=MMRL, 3 classes: 1 trained on (fused), 2 new to it (class token)")
        tab.wait_for_selector("[data-testid=label-output-value]")
        assert "the sea" in tab.inner_text("body")
        tab.fill("#names textarea", "amber\nAmber")
        tab.wait_for_selector("text=are the same in words")
        browser.close()
    assert asked and all(url.startswith((page, "data:", "blob:")) for url in asked), asked
    assert not problems
