"""Every registered method of ours through its life on a tiny random CLIP and a few images; no list of names here."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import train
import trainers  # noqa: F401  (registers the methods)
from clip.model import CLIP
from dassl.data.datasets import DATASET_REGISTRY, DatasetBase, Datum
from dassl.engine import TRAINER_REGISTRY, build_trainer
from dassl.engine.batch_loop import _BatchTrainer
from inference.export.programs import ExportError, load_program, write_program
from inference.predictor import Predictor
from reports.efficiency import efficiency
from reports.records import find_runs
from runs.names import method_name
from trainers.base.run_settings import settings_of_run
from trainers.base.trainer import ClipTrainer
from trainers.base.training_free import TrainingFreeTrainer

EVERY = [name for name in TRAINER_REGISTRY.registered_names() if issubclass(TRAINER_REGISTRY.get(name), ClipTrainer)]
WITH_PRECISION = [name for name in EVERY if "PREC" in TRAINER_REGISTRY.get(name).defaults]
SIDE, DEPTH = 16, 12  # pixels; the depth of ViT-B/16, so that the published layer numbers exist
COUNTS = {"train": 2, "val": 2, "test": 3}  # images per class
CLASSES = {
    "trained": ("red square", "green_field", "blue"),
    "other": ("amber", "a long violet name", "teal", "dark gray"),
    "some": ("blue", "red square"),
    "single": ("red square",),
}


class TinyImages(DatasetBase):
    """ROOT/<class>/<part>_<number>.png, classes in alphabetical order."""

    def __init__(self, cfg):
        folders = sorted(Path(cfg.DATASET.ROOT).iterdir())
        train_x, val, test = (
            [
                Datum(image, label, 0, folder.name)
                for label, folder in enumerate(folders)
                for image in sorted(folder.glob(f"{part}_*.png"))
            ]
            for part in COUNTS
        )
        super().__init__(train_x=train_x, val=val, test=test)


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    """Folder of image sets (named as in CLASSES) and `clip.pt`; the dataset is registered while the tests run."""
    folder, rng = tmp_path_factory.mktemp("workshop"), np.random.default_rng(0)
    for kind, names in CLASSES.items():
        for name in names:
            (folder / kind / name).mkdir(parents=True)
            colour = rng.integers(0, 256, 3)
            for file in (f"{part}_{i}.png" for part, count in COUNTS.items() for i in range(count)):
                pixels = np.clip(colour + rng.normal(0, 40, (20, 24, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / kind / name / file)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = CLIP(32, SIDE, DEPTH, 64, 8, 77, 49408, 64, 1, DEPTH)
    torch.save(model.state_dict(), folder / "clip.pt")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(DATASET_REGISTRY._objects, TinyImages.__name__, TinyImages)
        yield folder


def arguments(workshop: Path, name: str, kind: str, *options, output: Path | None = None) -> list[str]:
    """A short run on the CPU: one epoch of two batches."""
    settings = {
        "MODEL.BACKBONE.NAME": workshop / "clip.pt",
        "DATASET.NAME": TinyImages.__name__,
        "TASK": "FS",
        "PROTOCOL": "few_shot",
        "STAGE": "train",
        "USE_CUDA": False,
        "INPUT.SIZE": (SIDE, SIDE),
        "INPUT.TRANSFORMS": ("random_flip", "normalize"),
        "DATALOADER.NUM_WORKERS": 0,
        "DATALOADER.TRAIN_X.BATCH_SIZE": 3,
        "DATALOADER.TEST.BATCH_SIZE": 5,
        "OPTIM.MAX_EPOCH": 1,
        "OPTIM.LR": 0.01,
    }
    if "TEXTS" in TRAINER_REGISTRY.get(name).defaults:
        settings[f"TRAINER.{TRAINER_REGISTRY.get(name).settings_node}.TEXTS"] = "templates"
    if name in WITH_PRECISION:
        settings[f"TRAINER.{TRAINER_REGISTRY.get(name).settings_node}.PREC"] = "fp32"
    words = ["--root", workshop / kind, "--trainer", name, "--seed", 1, "--output-dir", output or workshop / "unused"]
    return [str(word) for word in (*words, *(w for pair in settings.items() for w in pair), *options)]


def build(workshop: Path, name: str, kind: str, *options) -> ClipTrainer:
    """A trainer as train.py builds it."""
    torch.manual_seed(0)
    return build_trainer(settings_of_run(train.parse(arguments(workshop, name, kind, *options))).cfg)


def precision(name: str, value: str) -> tuple[str, str]:
    return f"TRAINER.{TRAINER_REGISTRY.get(name).settings_node}.PREC", value


def test_images(trainer: ClipTrainer) -> torch.Tensor:
    return torch.cat([batch["img"] for batch in trainer.test_loader])


test_images.__test__ = False


def predictions(trainer: ClipTrainer, images: torch.Tensor | None = None) -> torch.Tensor:
    """Class scores of the test images, (B, C), with what they must be in any case."""
    images = test_images(trainer) if images is None else images
    with trainer.fixed_classes():
        scores = trainer.model_inference(images)
    assert scores.shape == (len(images), len(trainer.dm.dataset.classnames)) and scores.dtype == torch.float32
    assert scores.isfinite().all()
    return scores


def copies(tensors) -> dict[str, torch.Tensor]:
    return {key: value.detach().clone() for key, value in tensors}


def differing(before: dict, tensors) -> set[str]:
    after = dict(tensors)
    assert after.keys() == before.keys()
    return {key for key, value in before.items() if not torch.equal(value, after[key])}


@pytest.fixture(scope="module", params=EVERY)
def run(request, workshop) -> SimpleNamespace:
    """A finished run of train.py, with copies of the parameters and of the CLIP taken before it."""
    kept = SimpleNamespace(name=request.param, output=workshop / "output" / request.param)

    def build_and_copy(cfg):
        kept.trainer = build_trainer(cfg)
        kept.parameters = copies(kept.trainer.method.named_parameters())
        kept.clip = copies(kept.trainer.method.clip.model.state_dict().items())
        return kept.trainer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "build_trainer", build_and_copy)
        assert train.main(arguments(workshop, request.param, "trained", output=kept.output)) == 0
    return kept


def test_training_changes_what_is_learned_and_nothing_else(run):
    method = run.trainer.method
    assert differing(run.parameters, method.named_parameters()) == set(run.parameters)
    assert not differing(run.clip, method.clip.model.state_dict().items())
    assert not any(p.requires_grad for p in method.clip.model.parameters())
    optims = [optim for optim in run.trainer._optims.values() if optim is not None]  # none: solved in one go
    optimised = {id(p) for optim in optims for group in optim.param_groups for p in group["params"]}
    assert optimised == {id(p) for p in method.parameters()} or not optims


def test_record_and_log(run):
    record = json.loads((run.output / "run.json").read_text())
    log = (run.output / "log.txt").read_text()
    assert (record["status"], record["method"]) == ("complete", run.name)
    assert record["trainable_params"] == sum(p.numel() for p in run.trainer.method.parameters())
    assert 0 <= record["metrics"]["accuracy"] <= 100
    assert f"* accuracy: {record['metrics']['accuracy']:.1f}%" in log
    if run.trainer.learns:
        assert re.search(r"epoch \[(\d+)/\1\] batch \[(\d+)/\2\].* loss ", log)  # the last step of the last epoch


def test_row_of_the_efficiency_table(run):
    ((labels, cells),) = efficiency(find_runs(run.output)).rows
    parameters, seconds, *_ = (cell.score.mean for cell in cells)
    assert labels[0] == "few-shot" and labels[-1] == method_name(run.name)
    assert parameters == sum(p.numel() for p in run.trainer.method.parameters()) and seconds > 0


def test_a_fresh_trainer_predicts_the_same_after_loading(run, workshop):
    fresh = build(workshop, run.name, "trained", "SEED", 2)
    fresh.load_model(run.output)
    assert torch.equal(predictions(fresh), predictions(run.trainer))
    for file in run.output.glob("*/model.pth.tar-*"):
        saved = torch.load(file, weights_only=True)["state_dict"]
        assert saved.keys() == run.trainer.method.state_dict().keys(), "a checkpoint holds nothing of CLIP"


def test_nothing_learned_is_nothing_to_test(run):
    """--eval-only without --model-dir would report the start values as the method's result."""
    if run.trainer.learns:
        with pytest.raises(ValueError, match=rf"{run.name}.*--model-dir"):
            run.trainer.load_model("")


def test_a_image_is_judged_by_itself(run):
    images = test_images(run.trainer)
    together = predictions(run.trainer, images)
    alone = predictions(run.trainer, images[:1])
    torch.testing.assert_close(alone, together[:1], rtol=1e-4, atol=1e-4)


def test_other_classes(run, workshop):
    """Predicted with what was learned, or refused in words that name the method and the kind of classes."""
    try:
        other = build(workshop, run.name, "other", "TEST.CLASSES", "unseen")
    except ValueError as refusal:
        assert run.name in str(refusal) and "unseen" in str(refusal)
        return
    other.load_model(run.output)
    assert predictions(other).shape[1] == len(CLASSES["other"])


def test_some_of_its_classes(run, workshop):
    """Domain generalization may ask for some of the trained classes: each is scored as it was among all."""
    some = build(workshop, run.name, "some", "TEST.CLASSES", "seen")
    some.load_model(run.output)
    names, images = list(run.trainer.dm.dataset.classnames), test_images(run.trainer)
    wanted = predictions(run.trainer, images)[:, [names.index(name) for name in some.dm.dataset.classnames]]
    torch.testing.assert_close(predictions(some, images), wanted, rtol=1e-4, atol=1e-4)


def test_only_a_training_of_promptkd_needs_unlabelled_images(run, workshop):
    """Domain generalization tests it on datasets that have none."""
    if run.name != "PromptKD":
        pytest.skip("it needs no unlabelled images")
    other = build(workshop, run.name, "other", "TEST.CLASSES", "unseen", "DATASET.UNLABELLED", "True")
    other.load_model(run.output)
    predictions(other)
    with pytest.raises(ValueError, match="TinyImages gives no unlabelled images"):
        other.train()


BY_SIZE = ("OPTIM.NAME", "sgd")
"""Steps as large as gradients are: Adam's are as large where a gradient is nothing but rounding."""


class Killed(BaseException):
    """Nothing handles it, as nothing handles SIGKILL."""


def finished(words: list[str]) -> dict[str, dict]:
    """Run train.py to its end; its last checkpoints by their model's folder."""
    assert train.main(words) == 0
    return checkpoints(Path(words[words.index("--output-dir") + 1]))


def checkpoints(folder: Path) -> dict[str, dict]:
    return {file.parent.name: torch.load(file, weights_only=True) for file in folder.glob("*/model.pth.tar-*")}


def same(one, other) -> bool:
    """Return whether nested containers hold the same tensors and values."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def test_killed_within_an_epoch_and_started_again(run, workshop, tmp_path, monkeypatch):
    """Parameters, optimiser, schedule and random generators end bit for bit as in a run that nothing disturbed."""
    words, steps = arguments(workshop, run.name, "trained", "TRAIN.CHECKPOINT_STEPS", "1", output=tmp_path), []
    plain = _BatchTrainer._step

    def until_killed(self, *given):
        if len(steps) == 1:
            raise Killed
        steps.append(1)
        return plain(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr(_BatchTrainer, "_step", until_killed)
        if isinstance(run.trainer, TrainingFreeTrainer) or not run.trainer.learns:
            pytest.skip("it takes no steps")
        if run.trainer.num_batches * run.trainer.max_epoch == 1:
            pytest.skip("one step is all there is")
        with pytest.raises(Killed):
            finished(words)
        assert len(steps) == 1 and not checkpoints(tmp_path)
    again, whole = finished(words), checkpoints(run.output)
    assert again.keys() == whole.keys()
    for name, state in whole.items():
        for part in ("state_dict", "optimizer", "scheduler", "random_state"):
            assert same(again[name][part], state[part]), part


def test_alone_and_beside_another_seed(run, workshop, tmp_path):
    """--seeds trains runs in one pass: each ends as alone, to rounding."""
    alone = finished(arguments(workshop, run.name, "trained", *BY_SIZE, output=tmp_path / "alone"))
    words = arguments(workshop, run.name, "trained", *BY_SIZE, output=tmp_path)
    at = words.index("--seed")
    finished([*words[:at], "--seeds", "1", "2", *words[at + 2 :]])
    joint, other = checkpoints(tmp_path / "seed1"), checkpoints(tmp_path / "seed2")
    for name, state in alone.items():
        for key, value in state["state_dict"].items():
            off = (joint[name]["state_dict"][key].float() - value.float()).norm()
            assert off <= 1e-4 * value.float().norm() + 1e-6, key
    record, beside = (json.loads((tmp_path / part / "run.json").read_text()) for part in ("alone", "seed1"))
    assert record["metrics"] == beside["metrics"] and beside["efficiency"]["runs_in_process"] == 2
    assert not alone or not same(joint, other)


def test_prediction_and_export_say_what_evaluation_said(run, workshop, tmp_path):
    predictor = Predictor.load(run.output, device="cpu")
    files = [Path(item.impath) for item in run.trainer.dm.dataset.test]
    images = torch.stack([predictor.transform(Image.open(file)) for file in files])
    expected = predictions(run.trainer)
    torch.testing.assert_close(predictor.scores(images), expected, rtol=1e-4, atol=1e-4)
    labels = torch.cat([batch["label"] for batch in run.trainer.test_loader])
    named = [predictor.run.classes.index(found.classes[0]) for found in predictor.predict(files)]
    accuracy = 100 * (torch.tensor(named) == labels).float().mean().item()
    assert accuracy == pytest.approx(json.loads((run.output / "run.json").read_text())["metrics"]["accuracy"], abs=1e-3)
    try:
        write_program(predictor, tmp_path / "program.pt")
    except ExportError as refusal:
        assert run.name in str(refusal) and "each image" in str(refusal)
        return
    compute = load_program((tmp_path / "program.pt").read_bytes(), ".pt")
    torch.testing.assert_close(compute(images), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("options", [(), ("DATALOADER.TRAIN_X.BATCH_SIZE", 1)], ids=["one class", "batch of one"])
def test_small_numbers(name, options, workshop, tmp_path):
    kind = "trained" if options else "single"
    trainer = build(workshop, name, kind, "OUTPUT_DIR", tmp_path, *options)
    trainer.train()
    predictions(trainer)


@pytest.mark.parametrize("value", ["amp", "bf16"])
def test_bfloat16_on_a_cpu(run, value, workshop, tmp_path):
    """Float32 parameters predict about the same, and training works; bf16 on a CPU stands for fp16 on a GPU."""
    if run.name not in WITH_PRECISION:
        pytest.skip(f"{run.name} computes in float32 only")
    rough = build(workshop, run.name, "trained", *precision(run.name, value))
    rough.load_model(run.output)
    wanted = predictions(run.trainer)
    largest = max(wanted.abs().max().item(), rough.method.clip.logit_scale)
    assert (predictions(rough) - wanted).abs().max() < 0.05 * largest
    trainer = build(workshop, run.name, "trained", *precision(run.name, value), "OUTPUT_DIR", tmp_path)
    trainer.train()
    assert all(p.dtype == torch.float32 for p in trainer.method.parameters())
    predictions(trainer)


@pytest.mark.parametrize("name", WITH_PRECISION)
def test_float16_on_a_cpu_is_refused(name, workshop):
    with pytest.raises(ValueError, match=r"fp16 needs a GPU.*amp"):
        build(workshop, name, "trained", *precision(name, "fp16"))
