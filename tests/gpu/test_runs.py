"""Whole runs on a GPU, on the embedded images; where there is none, these skip themselves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from short_runs import clothes

import train
import trainers  # noqa: F401  (registers the methods)
from dassl.engine import TRAINER_REGISTRY
from inference.predictor import Predictor
from trainers.base.trainer import ClipTrainer

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

PROJECT = Path(__file__).parents[2]
IMAGES = PROJECT / "datasets/embedded/clothing_64/images"
EVERY = [name for name in TRAINER_REGISTRY.registered_names() if issubclass(TRAINER_REGISTRY.get(name), ClipTrainer)]


@pytest.fixture(autouse=True)
def as_before():
    yield
    torch.use_deterministic_algorithms(False)


def run(method: str, output: Path, *options: object, seeds: tuple = ("--seed", 1), of: str = ".") -> dict:
    """A short training; the record in the folder `of` below the output."""
    short = ["OPTIM.MAX_EPOCH", 2, "DATASET.NUM_SHOTS", 4, "OPTIM.WARMUP_EPOCH", 0]
    assert train.main(clothes(output, *short, *options, method=method, seeds=seeds)) == 0
    return json.loads((output / of / "run.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("method", EVERY)
def test_deterministic_runs_are_equal_bit_for_bit(method, tmp_path):
    first, second = (run(method, tmp_path / name, "DETERMINISTIC", True) for name in ("first", "second"))
    assert first["machine"]["gpu"]
    assert first["parameters_sha256"] == second["parameters_sha256"] and first["metrics"] == second["metrics"]


@pytest.mark.parametrize("method", ["CoOp", "MMRL", "MMRLpp"])
@pytest.mark.parametrize("precision", ["fp32", "amp", "fp16", "bf16"])
def test_stopped_and_continued(method, precision, tmp_path, monkeypatch):
    """Graphs are recorded anew where a run continues: with the state of the scaler and of every generator as it was."""
    options = ["DETERMINISTIC", True, "TRAIN.CHECKPOINT_STEPS", 2, "DATALOADER.TRAIN_X.BATCH_SIZE", 8]
    options += ["DATALOADER.NUM_WORKERS", 2]
    options += [f"TRAINER.{setting(method)}.PREC", precision]
    whole = run(method, tmp_path / "whole", *options)
    calls, plain = 0, ClipTrainer.forward_backward

    def interrupted(self, batch):
        nonlocal calls
        calls += 1
        if calls == 14:
            raise KeyboardInterrupt
        return plain(self, batch)

    with monkeypatch.context() as patch, pytest.raises(AssertionError):
        patch.setattr(ClipTrainer, "forward_backward", interrupted)
        run(method, tmp_path / "cut", *options)
    assert run(method, tmp_path / "cut", *options)["parameters_sha256"] == whole["parameters_sha256"]


@pytest.mark.parametrize("method", EVERY)
def test_a_gpu_predicts_what_a_cpu_does(method, tmp_path):
    run(method, tmp_path)
    paths = sorted(IMAGES.rglob("*.png"))[:32]
    on_gpu, on_cpu = (Predictor.load(tmp_path, device=device, precision="fp32") for device in ("cuda", "cpu"))
    images = torch.stack([on_cpu.transform(Image.open(file).convert("RGB")) for file in paths])
    expected = on_cpu.scores(images)
    # A GPU's convolutions are in TF32, ten bits of mantissa.
    torch.testing.assert_close(on_gpu.scores(images), expected, rtol=0, atol=5e-3 * expected.abs().max().item())


def test_seeds_in_one_pass_end_as_alone(tmp_path):
    options = ["OPTIM.NAME", "sgd", "TRAINER.MMRL.PREC", "fp32", "DATALOADER.TRAIN_X.BATCH_SIZE", 8]
    alone = run("MMRL", tmp_path / "alone", *options)
    joint = run("MMRL", tmp_path / "joint", *options, seeds=("--seeds", 1, 2), of="seed1")
    assert joint["efficiency"]["runs_in_process"] == 2 and joint["metrics"] == pytest.approx(alone["metrics"], abs=1)
    one, other = (learned(tmp_path / folder) for folder in ("alone", "joint/seed1"))
    for name, value in one.items():
        assert (other[name] - value).norm() <= 1e-3 * value.norm() + 1e-6, name


def learned(folder: Path) -> dict[str, torch.Tensor]:
    file = folder / "MultiModalRepresentationLearner/model.pth.tar-2"
    return torch.load(file, map_location="cpu", weights_only=True)["state_dict"]


def setting(method: str) -> str:
    return TRAINER_REGISTRY.get(method).settings_node
