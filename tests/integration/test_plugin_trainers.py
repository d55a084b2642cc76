"""Trainer files of others that do without parts of the engine: own loaders, own tests, no model to train."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from short_runs import PluginRuns
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from dassl.engine import TRAINER_REGISTRY, TrainerX
from dassl.evaluation import EVALUATOR_REGISTRY, EvaluatorBase
from dassl.optim import build_lr_scheduler, build_optimizer
from dassl.utils import load_checkpoint
from runs.record import read_record


class OwnLoop(TrainerX):
    """Batches are pairs of tensors; nothing is registered but one layer."""

    def build_data_loader(self):
        super().build_data_loader()
        images = torch.stack([item["img"] for item in self.train_loader_x.dataset])
        labels = torch.tensor([item["label"] for item in self.train_loader_x.dataset])
        self.train_loader_x = DataLoader(TensorDataset(images, labels), batch_size=2)

    def build_model(self):
        self.model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, self.num_classes))
        self.optim = build_optimizer(self.model, self.cfg.OPTIM)
        self.sched = build_lr_scheduler(self.optim, self.cfg.OPTIM)
        self.register_model("layer", self.model, self.optim, self.sched)

    def forward_backward(self, batch):
        images, labels = batch
        loss = nn.functional.cross_entropy(self.model(images), labels)
        self.model_backward_and_update(loss)
        if self.batch_idx + 1 == self.num_batches:
            self.update_lr()
        return {"loss": loss.item()}


class OwnLoading(OwnLoop):
    """Takes the best model unless an epoch is given, as published files do."""

    def load_model(self, directory, epoch=None):
        file = "model-best.pth.tar" if epoch is None else f"model.pth.tar-{epoch}"
        for name in self.get_model_names():
            checkpoint = load_checkpoint(Path(directory) / name / file)
            self._models[name].load_state_dict(checkpoint["state_dict"])


class OwnTest(OwnLoop):
    """Tests without the evaluator."""

    def test(self, split=None):
        right = [self.model(batch["img"]).argmax(1) == batch["label"] for batch in self.test_loader]
        return 100 * torch.cat(right).float().mean().item()


class SilentTest(OwnTest):
    def test(self, split=None):
        print(f"mine: {super().test(split):.1f}")


class OwnEvaluator(EvaluatorBase):
    """Keeps no results, as evaluators written for the published engine."""

    def __init__(self, cfg, lab2cname=None, **kwargs):
        super().__init__(cfg)

    def reset(self):
        self.right = []

    def process(self, mo, gt):
        self.right.append(mo.argmax(1) == gt)

    def evaluate(self):
        return {"hits": 100 * torch.cat(self.right).float().mean().item()}


TRAINERS = (OwnLoop, OwnLoading, OwnTest, SilentTest)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs train.py with one of these classes on eight small images of two colours; returns the record."""
    for registry, *classes in ((TRAINER_REGISTRY, *TRAINERS), (EVALUATOR_REGISTRY, OwnEvaluator)):
        monkeypatch.setattr(registry, "_objects", {**registry._objects, **{c.__name__: c for c in classes}})
    train_with = PluginRuns(tmp_path, epochs=9)

    def run(trainer: str, *words: str) -> dict:
        assert train_with(trainer, *words) == 0
        return read_record(tmp_path / "out")

    return run


def test_batches_that_are_no_dictionaries(run):
    record = run("OwnLoop", "MODEL.BACKBONE.NAME", "a backbone of its own")
    assert record["status"] == "complete" and set(record["metrics"]) == {"accuracy", "error", "macro_f1"}
    assert record["trainable_params"] == 2 * (3 * 8 * 8 + 1)


def test_accuracy_of_a_test_without_evaluator(run):
    record = run("OwnTest")
    assert record["status"] == "complete" and record["metrics"] == {"accuracy": pytest.approx(100.0)}


def test_an_evaluator_that_keeps_nothing(run):
    record = run("OwnLoop", "TEST.EVALUATOR", "OwnEvaluator")
    assert record["status"] == "complete" and record["metrics"]["accuracy"] == pytest.approx(100.0)


@pytest.mark.parametrize(("trainer", "words"), [("SilentTest", ()), ("OwnLoop", ("TEST.NO_TEST", "True"))])
def test_a_run_without_a_result_is_complete(run, trainer, words, tmp_path):
    record = run(trainer, *words)
    assert record["status"] == "complete" and record["metrics"] == {}
    assert (Path(tmp_path) / "out" / "layer" / "checkpoint").is_file()


@pytest.mark.parametrize("kept", ["last_step", "best_val"])
def test_a_loader_that_knows_best_models_only(run, kept, tmp_path):
    """The test takes the last parameters of the training, though nobody names the epoch."""
    words = ("TEST.FINAL_MODEL", kept, "TRAIN.CHECKPOINT_FREQ", "1")
    trained = run("OwnLoading", *words)
    (tmp_path / "out").rename(tmp_path / "trained")
    tested = run("OwnLoading", *words, "--eval-only", "--model-dir", str(tmp_path / "trained"))
    assert tested["status"] == "complete" and tested["parameters_sha256"] == trained["parameters_sha256"]
