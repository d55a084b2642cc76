"""The page of `mmrl demo`: what it answers, that it stays on this machine, and how it works in a browser.

The last part needs a Chromium.
"""

from __future__ import annotations

import base64
import csv
import http.client
import io
import json
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from dassl.engine import TRAINER_REGISTRY
from inference.commands import demo
from inference.demo.rules import RULES
from inference.demo.server import PageServer, serve_beside
from inference.demo.trial import Trial, examples_of
from inference.predictor import Predictor
from safeio.errors import WrongChoice
from trainers.base.trainer import ClipTrainer

PROJECT = Path(__file__).parents[2]


def test_it_needs_no_optional_package():
    code = "import sys; sys.modules['matplotlib'] = None; import inference.demo.server"
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True)


@pytest.fixture(scope="module")
def trial(runs):
    """Two runs, with examples."""
    models = [Predictor.load(runs(method), device="cpu") for method in ("MMRL", "LinearProbe")]
    return Trial(models, examples_of(models[0]))


@pytest.fixture(scope="module")
def page(trial):
    """Address of their page."""
    server = serve_beside(trial)
    yield server.address
    server.shutdown()
    server.server_close()


def post(page, path, **content):
    """Return status and answer of a request."""
    connection = http.client.HTTPConnection(urlsplit(page).netloc, timeout=60)
    connection.request("POST", path, json.dumps(content), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, json.loads(text) if answer.getheader("Content-Type") == "application/json" else text


def encoded(path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def test_every_rule_is_in_words():
    kinds = [TRAINER_REGISTRY.get(name) for name in TRAINER_REGISTRY.registered_names()]
    rules = {rule for kind in kinds if issubclass(kind, ClipTrainer) for rule in kind.method_class.rules}
    assert rules == set(RULES)


def test_it_says_what_there_is_to_try(page, runs):
    with urllib.request.urlopen(f"{page}/about") as answer:
        about = json.load(answer)
    mmrl, probe = about["runs"]
    accuracy = json.loads((runs("MMRL") / "run.json").read_text())["metrics"]["accuracy"]
    assert mmrl["title"] == "MMRL" and f"accuracy {accuracy:.1f} % on its test images" in mmrl["facts"]
    assert "2 classes" in mmrl["facts"] and probe["folder"].endswith("/".join(runs("LinearProbe").parts[-2:]))
    assert about["names"] == list(Predictor.load(runs("MMRL"), device="cpu").classes)
    assert len(about["examples"]) >= 2
    with urllib.request.urlopen(f"{page}/examples/0") as answer:
        assert answer.read().startswith(b"\x89PNG")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{page}/examples/{len(about['examples'])}")


def test_runs_of_one_method_are_told_apart(runs):
    model = Predictor.load(runs("MMRL"), device="cpu")
    probe = Predictor.load(runs("LinearProbe"), device="cpu")
    titles = [one["title"] for one in Trial([model, probe, model]).about()["runs"]]
    assert titles == ["MMRL (1)", "Linear probe", "MMRL (2)"]


def test_it_answers_as_the_predictor(page, runs):
    file = runs.files()[0]
    (expected,) = Predictor.load(runs("MMRL"), ["amber", "sea"], device="cpu").predict(file, topk=2)
    status, content = post(page, "/answers", image=encoded(file), names=["amber", "sea"], topk=2)
    mmrl, probe = content["answers"]
    assert status == 200 and [one["class"] for one in mmrl["top"]] == list(expected.classes)
    assert [one["probability"] for one in mmrl["top"]] == pytest.approx(expected.probabilities)
    assert {one["class"]: one["new"] for one in mmrl["top"]} == {"amber": False, "sea": True}
    assert mmrl["rules"] == {rule: RULES[rule] for rule in ("fused", "class token")}
    assert "LinearProbe as trained in" in probe["problem"]


def test_it_shows_where_the_encoder_looks(page, runs):
    status, content = post(page, "/attention", image=encoded(runs.files()[0]), run=0)
    assert status == 200 and content["image"].startswith("data:image/png;base64,")
    first, last = content["layers"][0], content["layers"][-1]
    assert {"CLIP, class token", "MMRL, class token"} <= set(first["maps"]) and "token 1" in last["maps"]
    for rows in last["maps"].values():
        assert len(rows) == len(rows[0]) and 0 < sum(map(sum, rows)) <= 1.001


@pytest.mark.parametrize(
    ("path", "content", "status", "said"),
    [
        ("/answers", {"names": ["a", "b"], "topk": 2, "image": "bm8gaW1hZ2U="}, 200, "Cannot read the image"),
        ("/answers", {"names": ["amber", "Amber"], "topk": 2}, 200, "are the same in words"),
        ("/answers", {"names": [], "topk": 2}, 200, "no class names"),
        ("/answers", {"names": ["a", "b"], "topk": 0}, 400, "topk is from 1"),
        ("/answers", {"names": "amber", "topk": 2}, 400, "names is a list"),
        ("/answers", {"names": ["a"], "topk": 2, "image": "%%%"}, 400, "no request of the page"),
        ("/answers", {"image": None}, 400, "no request of the page"),
        ("/attention", {"run": 7}, 400, "no such run"),
        ("/nowhere", {}, 404, "nothing here"),
    ],
)
def test_wrong_requests(page, runs, path, content, status, said):
    found, answer = post(page, path, **{"image": encoded(runs.files()[0]), **content})
    assert found == status and said in (answer if isinstance(answer, str) else answer["problem"])


def test_it_loads_nothing_from_elsewhere(page):
    assert page.startswith("http://127.0.0.1:")
    for file in ("", "/page.css", "/page.js"):
        with urllib.request.urlopen(page + file) as answer:
            policy, text = answer.headers["Content-Security-Policy"], answer.read().decode()
        assert "default-src 'none'" in policy and "http" not in policy and "unsafe" not in policy
        assert "://" not in text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://somewhere.example"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403),
        ({"Content-Length": str(65 << 20)}, 413),
        ({"Content-Length": "9" * 30}, 413),
        ({"Content-Length": "-1"}, 413),
        ({"Transfer-Encoding": "chunked"}, 411),
        ({"Host": "somewhere.example"}, 400),
        ({"Content-Type": "text/plain", "Content-Length": "0"}, 415),
        ({"Content-Type": "application/json", "Content-Length": "0"}, 400),
    ],
)
def test_requests_from_elsewhere_or_without_bounds_are_refused(page, headers, status):
    connection = http.client.HTTPConnection(urlsplit(page).netloc, timeout=30)
    connection.putrequest("POST", "/answers", skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    assert connection.getresponse().status == status
    connection.close()


def test_a_taken_port_is_named(trial):
    with PageServer(trial, None) as first, pytest.raises(OSError, match=r"Port \d+ is taken.*--port"):
        PageServer(trial, first.server_address[1])
    with pytest.raises(WrongChoice, match="65535"):
        PageServer(trial, 70000)


def test_a_wrong_run_is_an_error(tmp_path, capsys):
    assert demo.main([str(tmp_path)]) == 2
    assert "not a run's folder" in capsys.readouterr().err


def test_without_a_run_it_is_zero_shot_with_examples():
    trial = demo.trial_of(demo.make_parser().parse_args(["--device", "cpu"]))
    about = trial.about()
    assert about["runs"][0]["title"] == "CLIP, zero-shot" and len(about["examples"]) == 8 and len(about["names"]) > 50
    (answer,) = trial.answers(trial.example(0), ["grand piano", "wild cat"], 5)
    assert {one["class"] for one in answer["top"]} == {"grand piano", "wild cat"}
    assert not any(one["new"] for one in answer["top"])
    assert set(trial.attention(trial.example(0), 0)["layers"][0]["maps"]) == {"CLIP, class token"}


PASTE = """(async () => {
  const data = new DataTransfer();
  data.items.add(new File([await (await fetch('examples/0')).blob()], 'pasted.png', {type: 'image/png'}));
  document.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data}));
})()"""
CAMERA = """(() => {
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = 40;
  canvas.getContext('2d').fillRect(0, 0, 20, 20);
  navigator.mediaDevices.getUserMedia = async () => canvas.captureStream(25);
  document.getElementById('webcam').click();
})()"""


def test_in_a_browser(page, runs, tab, tmp_path):
    """Images by choice, example, paste, camera; new and wrong names; attention; CSV. Nothing comes from elsewhere."""
    broken = tmp_path / "broken.png"
    broken.write_text("no image")
    answers = "document.querySelectorAll('.columns:not(.old) .class').length == {}"
    tab.open(page)
    tab.wait_for_text("on its test images")
    tab.choose_files("#files", [runs.files()[0], broken])
    tab.wait_for_text("Cannot read the image")
    tab.wait_for(answers.format(4))  # two classes of two runs
    tab.wait_for_text("Trained classes: CLIP's class token and the learned representation tokens vote together.")
    tab.run("document.querySelectorAll('#examples button')[1].click()")
    tab.wait_for(answers.format(8))
    tab.run(PASTE)
    tab.wait_for(answers.format(12))
    tab.write("#names", "amber\nthe sea\na hill")
    tab.wait_for("document.querySelectorAll('.columns.old').length == 4")  # until they are computed anew
    tab.wait_for(answers.format(9))  # three classes of MMRL; LinearProbe knows its own only
    tab.wait_for_text("LinearProbe as trained in")
    tab.wait_for("document.querySelectorAll('.class em').length == 6")
    tab.run("document.querySelector('.class').click()")
    tab.wait_for("document.querySelectorAll('.attention canvas').length > 2")
    rows = list(csv.reader(io.StringIO(tab.run("table()"))))
    assert rows[0][:4] == ["image", "run", "rank", "class"] and len(rows) == 1 + 9
    assert tab.run("items.push({name: '=1', answers: {answers: [{top: [{class: '@x'}]}]}}), table()").count("\"'") == 2
    tab.run("items.pop()")
    tab.write("#names", "amber\nAmber")
    tab.wait_for_text("are the same in words")
    tab.run(CAMERA)
    tab.wait_for("document.getElementById('video').videoWidth > 0")
    tab.run("document.getElementById('shoot').click()")
    tab.wait_for_text("webcam-5.png")
    tab.run("document.getElementById('clear').click()")
    tab.wait_for("document.getElementById('answers').hidden")
    assert tab.complaints(console=False) == []


def test_no_camera_and_too_large_images_are_said(page, tab):
    tab.open(page, width=390, height=844, dark=True)
    tab.run("add([{name: 'huge.png', type: 'image/png', size: 2 ** 30}])")
    tab.wait_for_text("huge.png is larger than 45 MiB")
    tab.run("navigator.mediaDevices.getUserMedia = async () => { throw new Error('no camera') }")
    tab.run("document.getElementById('webcam').click()")
    tab.wait_for_text("The webcam cannot be used: no camera.")
    assert tab.run("document.documentElement.scrollWidth <= innerWidth")  # nothing is cut off on a phone
