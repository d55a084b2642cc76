"""Trackers and callbacks get their events; the real packages run in their offline modes."""

from __future__ import annotations

import json

import pytest
from short_runs import clothes

import train
from dassl.engine.callbacks import CALLBACK_REGISTRY, Callback
from dassl.engine.trackers import MissingTracker, WandbTracker

HEARD: list[tuple] = []


@CALLBACK_REGISTRY.register(force=True)
class Listener(Callback):
    """Keeps the events it receives."""

    def on_epoch_end(self, trainer, epoch, means):
        HEARD.append(("epoch", epoch, sorted(means)))

    def on_test_end(self, trainer, split, results):
        HEARD.append(("test", split, results["accuracy"]))

    def on_run_end(self, trainer, metrics):
        HEARD.append(("run", metrics and metrics["accuracy"]))


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run train.py on the embedded images, two epochs of one shot; return its status."""
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> int:
        return train.main(clothes(tmp_path / "run", "OPTIM.MAX_EPOCH=2", *words, "USE_CUDA=False"))

    return call


def test_callbacks_hear_epochs_tests_and_the_end(run, tmp_path):
    HEARD.clear()
    assert run("TRAIN.CALLBACKS=('Listener',)", "TRAIN.TRACK=()") == 0
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    epochs = [heard for heard in HEARD if heard[0] == "epoch"]
    assert [heard[1] for heard in epochs] == [1, 2] and {"loss", "acc", "lr"} <= set(epochs[0][2])
    accuracy = record["metrics"]["accuracy"]
    assert HEARD[-2:] == [("test", "test", accuracy), ("run", accuracy)]
    assert not (tmp_path / "run" / "tensorboard").exists()


def test_a_callback_hears_that_a_run_failed(run):
    HEARD.clear()
    assert run("TRAIN.CALLBACKS=('Listener',)", "TRAIN.TRACK=()", "--eval-only", "--model-dir", "nowhere") == 1
    assert HEARD == [("run", None)]


def test_mlflow_keeps_curves_settings_and_the_confusion_in_a_file(run, tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert run("--track", "mlflow") == 0
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    (one,) = client.search_runs([client.get_experiment_by_name("mmrl").experiment_id])
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert one.info.status == "FINISHED" and one.info.run_name == "CoOp Clothing seed 1"
    assert one.data.params["OPTIM.MAX_EPOCH"] == "2" and one.data.params["TRAINER.COOP.N_CTX"]
    assert one.data.metrics["final/accuracy"] == pytest.approx(record["metrics"]["accuracy"])
    assert [point.step for point in client.get_metric_history(one.info.run_id, "train/loss")] == [1, 2]
    assert [file.path for file in client.list_artifacts(one.info.run_id)] == ["confusion.json"]


def test_wandb_keeps_a_run_offline(run, tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    for variable in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(variable, raising=False)
    assert run("--track", "wandb") == 0
    (kept,) = (tmp_path / "run" / "wandb").glob("offline-run-*/run-*.wandb")
    content = kept.read_bytes()
    for word in (b"CoOp Clothing seed 1", b"train/loss", b"final/accuracy", b"OPTIM.MAX_EPOCH", b"confusion"):
        assert word in content


def test_tensorboard_is_what_is_written_unasked(run, tmp_path):
    pytest.importorskip("tensorboard")
    assert run() == 0
    assert list((tmp_path / "run" / "tensorboard").glob("events*"))


def test_a_tracker_that_is_not_installed_or_not_known_is_said(run, monkeypatch, capsys):
    monkeypatch.setattr("dassl.engine.trackers.find_spec", lambda name: None)
    assert run("--track", "wandb") == 1
    assert "pip install -e '.[wandb]'" in capsys.readouterr().err
    with pytest.raises(MissingTracker):
        WandbTracker(None)
    assert run("--track", "wandbb") == 2
    assert "tensorboard, wandb, mlflow" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("tracker", "variable", "value"),
    [
        ("mlflow", "MLFLOW_TRACKING_URI", "sqlite:///DAMAGED"),
        ("mlflow", "MLFLOW_TRACKING_URI", "sqlite:///DAMAGED/mlflow.db"),
        ("mlflow", "MLFLOW_TRACKING_URI", "nonsense://x"),
        ("wandb", "WANDB_MODE", "ofline"),
    ],
)
def test_what_a_tracker_does_not_take_is_one_line(tracker, variable, value, run, tmp_path, monkeypatch, capsys):
    pytest.importorskip(tracker)
    (tmp_path / "damaged.db").write_bytes(b"no database" * 100)
    monkeypatch.setenv(variable, value.replace("DAMAGED", str(tmp_path / "damaged.db")))
    assert run("--track", tracker) == 1
    said = capsys.readouterr().err
    assert f"error: {tracker} refuses this run" in said and "TRAIN.TRACK" in said and "Traceback" not in said
