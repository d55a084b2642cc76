"""Tip-Adapter and Tip-Adapter-F through the real trainers against the published implementation's numbers."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import train
from dassl.engine import TRAINER_REGISTRY
from trainers._settings import resolve

spec = importlib.util.spec_from_file_location("golden_cases", Path(__file__).parent.parent / "test_golden.py")
golden = importlib.util.module_from_spec(spec)
spec.loader.exec_module(golden)

SETTINGS = {  # the case's name: ours
    "init_beta": "INIT_BETA",
    "init_alpha": "INIT_ALPHA",
    "search_scale": "SEARCH_SCALE",
    "search_step": "SEARCH_STEP",
    "augment_epoch": "AUGMENT_EPOCH",
}


class Loader:
    """Batches of (images, labels) arrays, `at_once` of them at each pass, one pass after the other."""

    def __init__(self, images, labels, at_once):
        self.batches = [{"img": i, "label": y} for i, y in zip(images, labels, strict=True)]
        self.at_once, self.first = at_once, 0

    def __len__(self):
        return self.at_once

    def __iter__(self):
        first, self.first = self.first, (self.first + self.at_once) % len(self.batches)
        return iter(self.batches[first : first + self.at_once])


def build(case, trainer: str, folder, select_on="test", validation=True, **options):
    """The real trainer on the case's CLIP, with the case's arrays behind its loaders."""
    real = TRAINER_REGISTRY.get(trainer)
    config, per_epoch = case.about["config"], case.about["optimizer"]["steps_per_epoch"]
    opts = {f"TRAINER.{real.settings_node}.{ours}": config[theirs] for theirs, ours in SETTINGS.items()}
    opts |= {
        f"TRAINER.{real.settings_node}.TEMPLATES": case.about["templates"],
        f"TRAINER.{real.settings_node}.SELECT_ON": select_on,
        "MODEL.BACKBONE.NAME": case.weights,
        "INPUT.SIZE": tuple(case["test/images"].shape[-2:]),
        "DATASET.NAME": "Caltech101",
        "TASK": "FS",
        "USE_CUDA": False,
        "OUTPUT_DIR": folder,
        "OPTIM.MAX_EPOCH": config["train_epoch"],
        "OPTIM.NAME": case.about["optimizer"]["name"],
        "OPTIM.LR": config["lr"],
        "OPTIM.WEIGHT_DECAY": case.about["optimizer"]["weight_decay"],
        "OPTIM.LR_SCHEDULER": "cosine",
    }
    words = [str(word) for pair in (opts | options).items() for word in pair]
    names = case.about["classnames"]

    class WithArrays(real):
        steps, epochs = (), ()

        def build_data_loader(self):
            self.dm = SimpleNamespace(dataset=SimpleNamespace(classnames=names))
            self.num_classes, self.lab2cname = len(names), dict(enumerate(names))
            self.train_loader_x = Loader(case["train/images"], case["train/labels"], per_epoch)
            keys = case["cache/images"]
            self.cache_loader = Loader(keys, case["cache/labels"].expand(len(keys), -1), 1)
            self.train_loader_u = self.val_loader = None
            if validation:
                self.val_loader = Loader(case["val/images"][None], case["val/labels"][None], 1)
            self.test_loader = Loader(case["test/images"][None], case["test/labels"][None], 1)

        def forward_backward(self, batch):
            rate = self.get_current_lr()
            shown = super().forward_backward(batch)
            self.steps = (*self.steps, (rate, shown["loss"]))
            return shown

        def after_epoch(self):
            logits = self.model_inference(case["test/images"]).detach()
            self.epochs = (*self.epochs, (logits, self.method.keys.detach().clone()))
            super().after_epoch()

    WithArrays.__name__ = trainer
    return WithArrays(resolve(train.parse(["--trainer", trainer, *words])).cfg)


@pytest.fixture(params=golden.cases({"TipAdapter"}), scope="module")
def case(request):
    return golden.Case(request.param)


@pytest.fixture(scope="module")
def tip(case, tmp_path_factory):
    trainer = build(case, "TipAdapter", tmp_path_factory.mktemp("tip"))
    trainer.train()
    return trainer


@pytest.fixture(scope="module")
def tip_f(case, tmp_path_factory):
    trainer = build(case, "TipAdapterF", tmp_path_factory.mktemp("tip_f"))
    trainer.train()
    return trainer


def test_the_cache_and_the_features(case, tip):
    method = tip.method
    golden.close(method.w_0.t(), case["clip_weights"], golden.FEATURES, "text features")
    golden.close(method.keys.t(), case["cache/keys"], golden.FEATURES, "keys")
    assert torch.equal(torch.nn.functional.one_hot(method.labels, len(method.w_0)).float(), case["cache/values"])
    for part in ("val", "test"):
        f = method.features(case[f"{part}/images"])
        golden.close(f, case[f"{part}/features"], golden.FEATURES, f"features ({part})")
        zero_shot = tip.method.logits(case[f"{part}/images"], method.w_0, torch.tensor(False))
        golden.close(zero_shot, case[f"tip/{part}_clip_logits"], golden.LOGITS, f"zero-shot logits ({part})")


def test_logits_at_the_start_values(case, tmp_path):
    trainer = build(case, "TipAdapter", tmp_path)
    trainer.fill_cache()
    logits = trainer.model_inference(case["val/images"])
    golden.close(logits, case["tip/val_logits_init"], golden.LOGITS, "logits before the search")


def test_the_search(case, tip):
    golden.close(tip.method.beta_alpha, case["tip/best_beta_alpha"], 1e-9, "beta and alpha")
    golden.close(tip.model_inference(case["test/images"]), case["tip/test_logits_best"], golden.LOGITS, "best logits")


def test_the_first_batch_of_training(case, tmp_path):
    trainer = build(case, "TipAdapterF", tmp_path)
    trainer.fill_cache()
    golden.close(trainer.method.keys.detach(), case["tipF/init_weight"], golden.FEATURES, "keys before training")
    losses = trainer.losses(case["train/images"][0], case["train/labels"][0])
    golden.close(losses.logits.detach(), case["tipF/train0_logits"], golden.LOGITS, "logits of batch 0")
    trainer.method.backward(losses)
    expected = case["tipF/grad"]
    golden.close(trainer.method.keys.grad, expected, golden.GRADIENT * expected.abs().max().item(), "gradient")
    assert {id(p) for g in trainer.optim.param_groups for p in g["params"]} == {id(trainer.method.keys)}


def test_training(case, tip_f):
    rates, losses = zip(*tip_f.steps, strict=True)
    golden.close(torch.tensor(rates), case["step/lr"], 1e-9, "learning rates")
    golden.close(torch.tensor(losses), case["step/loss"], golden.LOSS, "losses")
    logits, keys = zip(*tip_f.epochs, strict=True)
    golden.close(torch.stack(logits), case["tipF/test_logits_each_epoch"], golden.LOGITS, "logits after each epoch")
    golden.close(keys[-1], case["tipF/after_weight"], golden.PARAMETERS["adamw"], "keys after training")


def test_the_published_choice(case, tip_f):
    assert tip_f.best["epoch"] == int(case["tipF/best_epoch"])
    golden.close(tip_f.method.beta_alpha, case["tipF/best_beta_alpha"], 1e-9, "beta and alpha")
    logits = tip_f.model_inference(case["test/images"])
    golden.close(logits, case["tipF/test_logits_best"], golden.LOGITS, "best logits")
    assert tip_f.best["result"] == pytest.approx(max(case.about["test_accuracy_per_epoch"]), abs=1e-4)


@pytest.mark.parametrize("trainer", ["TipAdapter", "TipAdapterF"])
def test_what_is_saved_is_what_was_chosen(case, tip, tip_f, trainer):
    """Loaded into a trainer with another cache; for classes that are not in it, zero-shot CLIP."""
    done = {"TipAdapter": tip, "TipAdapterF": tip_f}[trainer]
    fresh = build(case, trainer, done.output_dir)
    fresh.load_model(done.output_dir)
    images = case["test/images"]
    assert torch.equal(fresh.model_inference(images), done.model_inference(images))
    other = build(case, trainer, done.output_dir, **{"TEST.ROLE": "transferred"})
    other.load_model(done.output_dir)
    golden.close(other.model_inference(images), case["tip/test_clip_logits"], golden.LOGITS, "other classes")


class Forbidden:
    def __len__(self):
        return 1

    def __iter__(self):
        raise AssertionError("the test set was looked at before the final test")


def test_by_default_nothing_is_chosen_on_the_test_set(case, tmp_path):
    trainer = build(case, "TipAdapterF", tmp_path, select_on="val", **{"TEST.NO_TEST": True})
    trainer.test_loader = Forbidden()
    trainer.train()
    results = []
    trainer.method.beta_alpha.copy_(torch.tensor([float(case.about["config"][f"init_{k}"]) for k in ("beta", "alpha")]))
    for _, keys in trainer.epochs:
        trainer.method.keys.data = keys
        logits = trainer.model_inference(case["val/images"])
        results.append((logits.argmax(1) == case["val/labels"]).float().mean().item())
    assert trainer.best["epoch"] == int(np.argmax(results))


def test_without_validation_pictures_nothing_is_chosen(case, tmp_path, capsys):
    trainer = build(case, "TipAdapterF", tmp_path, "val", validation=False, **{"TEST.NO_TEST": True})
    trainer.test_loader = Forbidden()
    trainer.train()
    assert trainer.best["epoch"] == case.about["config"]["train_epoch"] - 1
    assert torch.equal(trainer.method.keys.detach(), trainer.epochs[-1][1])
    assert trainer.method.beta_alpha.tolist() == [case.about["config"][f"init_{k}"] for k in ("beta", "alpha")]
    assert "no validation pictures" in capsys.readouterr().out


def test_an_interrupted_run_keeps_the_best_epoch(case, tip_f, tmp_path):
    first = build(case, "TipAdapterF", tmp_path, **{"TRAIN.CHECKPOINT_FREQ": 1, "TEST.NO_TEST": True})
    first.before_train()
    first.epoch = 0
    first.run_epoch()
    first.after_epoch()
    second = build(case, "TipAdapterF", tmp_path, **{"TEST.NO_TEST": True})
    second.train_loader_x.first = len(second.train_loader_x)
    second.train()
    assert second.start_epoch == 1 and second.best["epoch"] == tip_f.best["epoch"]
    assert torch.allclose(second.epochs[-1][1], tip_f.epochs[-1][1], atol=1e-6)
    assert torch.allclose(second.method.keys, tip_f.method.keys, atol=1e-6)


def test_mistakes_are_named(case, tmp_path):
    with pytest.raises(ValueError, match=r"TIPADAPTERF\.SELECT_ON.*'train'.*one of val, test"):
        build(case, "TipAdapterF", tmp_path, select_on="train")
    with pytest.raises(ValueError, match="FINAL_MODEL"):
        build(case, "TipAdapterF", tmp_path, **{"TEST.FINAL_MODEL": "best_val"})
