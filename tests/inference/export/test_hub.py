"""A folder for a model hub: what is in it, that it predicts as the run does, and its upload to a stand-in of a hub."""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file

import predict
from inference.commands import export
from inference.predictor import Predictor
from safeio.errors import UserError


@pytest.fixture(scope="module")
def shared(runs, tmp_path_factory):
    """(run's folder, hub folder) of MMRL."""
    folder = tmp_path_factory.mktemp("hub") / "mmrl"
    assert export.main([str(runs("MMRL")), "--format", "hub-folder", "--output", str(folder)]) == 0
    return runs("MMRL"), folder


def test_it_holds_what_a_hub_expects(shared):
    run, folder = shared
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    config = json.loads((folder / "config.json").read_text())
    record = json.loads((run / "run.json").read_text())
    assert (
        config["method"] == "MMRL" and config["classes"] == record["classes"] and config["metrics"] == record["metrics"]
    )
    head, text = (folder / "README.md").read_text().split("---\n", 2)[1:]
    front = yaml.safe_load(head)
    assert front["library_name"] == "mmrl" and "mmrl" in front["tags"]
    assert front["model-index"][0]["results"][0]["metrics"][0]["value"] == round(record["metrics"]["accuracy"], 2)
    assert "mmrl.load(" in text and "## Licence" in text and "mmrl train MMRL" in text
    assert load_file(folder / "model.safetensors")["space"].shape[0] == 5


def test_it_says_nothing_of_the_machine(shared, runs):
    _, folder = shared
    for name in ("config.json", "README.md"):
        assert str(runs.folder) not in (folder / name).read_text()


def test_it_predicts_what_the_run_predicts(shared, runs, tmp_path, capsys):
    run, folder = shared
    weights = str(runs.folder / "clip.pt")
    own, loaded = Predictor.load(run, device="cpu"), Predictor.load(folder, device="cpu", backbone=weights)
    assert np.array_equal(own.predict_proba(runs.files()[:4]), loaded.predict_proba(runs.files()[:4]))
    loaded.save(tmp_path / "again")
    again = Predictor.load(tmp_path / "again", device="cpu", backbone=weights)
    assert again.classes == own.classes
    assert predict.main([str(folder), str(runs.files()[0]), "--device", "cpu", "--backbone", weights]) == 0
    capsys.readouterr()


def test_damage_is_said(shared, runs, tmp_path):
    _, folder = shared
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((folder / name).read_bytes()[:200])
    with pytest.raises(UserError, match=r"config\.json .*cannot be read"):
        Predictor.load(tmp_path)
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    with pytest.raises(UserError, match=r"model\.safetensors .*cannot be read"):
        Predictor.load(tmp_path, backbone=str(runs.folder / "clip.pt"))


def test_what_learns_nothing_cannot_be_shared(runs, capsys):
    assert export.main([str(runs("ZeroshotCLIP")), "--format", "hub-folder"]) == 2
    assert "learns nothing" in capsys.readouterr().err
    with pytest.raises(SystemExit) as end:
        export.main([str(runs("MMRL")), "--format", "onnx", "--push", "me/x"])
    assert end.value.code == 2


class Hub(BaseHTTPRequestHandler):
    """The part of a hub's HTTP interface that an upload uses; keeps what was committed."""

    files: dict[str, bytes] = {}
    exists = refuse = False

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.refuse:
            return self._answer({"error": "Invalid token"}, 401)
        if self.path.endswith("/repos/create"):
            if self.exists:
                return self._answer({"error": "You already created this model repo"}, 409)
            type(self).exists = True
            return self._answer({"url": f"http://{self.headers['Host']}/me/model", "id": "me/model"})
        if self.path.endswith("/validate-yaml"):
            return self._answer({"errors": [], "warnings": []})
        if "/preupload/" in self.path:
            files = [
                {"path": each["path"], "uploadMode": "regular", "shouldIgnore": False}
                for each in json.loads(body)["files"]
            ]
            return self._answer({"files": files})
        if "/commit/" in self.path:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            return self._answer(
                {
                    "commitUrl": f"http://{self.headers['Host']}/me/model/commit/{'0' * 40}",
                    "commitOid": "0" * 40,
                    "success": True,
                }
            )
        return self._answer({}, 404)

    def do_GET(self) -> None:
        if not self.exists:
            return self._answer({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
        return self._answer({"id": "me/model", "sha": "0" * 40, "siblings": []})

    do_HEAD = do_GET

    def _answer(self, content: dict, status: int = 200, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments) -> None:
        """Say nothing."""


@pytest.fixture
def hub(monkeypatch):
    """The address of a hub on this machine."""
    pytest.importorskip("huggingface_hub")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Hub.files, Hub.exists, Hub.refuse = {}, False, False
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("HF_ENDPOINT", address)
    monkeypatch.setenv("HF_TOKEN", "hf_for_a_test")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    yield address
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("exists", [False, True])
def test_it_is_uploaded_whole(exists, shared, hub, tmp_path, capsys):
    Hub.exists = exists
    run, folder = shared
    words = [str(run), "--format", "hub-folder", "--output", str(tmp_path / "out"), "--push", "me/model"]
    assert export.main(words) == 0, capsys.readouterr().err
    assert f"{hub}/me/model" in capsys.readouterr().out
    assert Hub.exists and Hub.files == {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("exists", [False, True])
def test_a_refusal_is_said(exists, shared, hub, tmp_path, capsys):
    Hub.exists, Hub.refuse = exists, True
    words = [str(shared[0]), "--format", "hub-folder", "--output", str(tmp_path / "out"), "--push", "me/model"]
    assert export.main(words) == 2
    assert "me/model could not be uploaded" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("me model", None),
        ("me/model/again", None),
        ("", None),
        ("--", None),
        ("me/model", "http://127.0.0.1:9"),
        ("me/model", "nowhere"),
        ("me/model", "http://[bad"),
    ],
)
def test_names_and_addresses_that_are_none_are_said(name, address, shared, hub, tmp_path, monkeypatch, capsys):
    if address is not None:
        monkeypatch.setenv("HF_ENDPOINT", address)
    words = [str(shared[0]), "--format", "hub-folder", "--output", str(tmp_path / "out"), f"--push={name}"]
    assert export.main(words) == 2
    assert "error: " in (said := capsys.readouterr().err) and "could not be uploaded" in said and not Hub.files
