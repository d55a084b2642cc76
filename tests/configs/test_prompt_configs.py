"""Configs of the prompt-learning methods against the optimiser settings that the golden cases took from the published
files, and how a protocol chooses among them."""

import json
from pathlib import Path

import pytest

import train
import trainers  # noqa: F401  (registers the methods)
from runs.protocol import plan
from trainers.base.run_settings import settings_of_run

PROJECT = Path(__file__).parents[2]
KEYS = ("NAME", "LR", "WEIGHT_DECAY", "LR_SCHEDULER", "MAX_EPOCH", "WARMUP_EPOCH", "WARMUP_TYPE", "WARMUP_CONS_LR")
SHORTENED = {"PromptSRC": 20}  # epochs of the published file, of which the golden case runs fewer
FILES = {
    "CoOp": ("vit_b16_ep50", "vit_b16_ep50_ctxv1", "vit_b32_ep50", "rn50_ep50", "rn50_ep50_ctxv1", "rn101_ep50"),
    "CoCoOp": tuple(f"vit_b16_{name}" for name in ("c4_ep10_batch1", "c8_ep10_batch1", "c4_ep10_batch1_ctxv1")),
    "KgCoOp": ("vit_b16_ep100_ctxv1",),
    "ProGrad": ("rn50_ep100", "vit_b16_ep100_ctxv1"),
    "TCP": ("vit_b16_ep100_ctxv1",),
    "VPT": ("vit_b16_c2_ep5_batch4_4",),
    "IVLP": ("vit_b16_c2_ep5_batch4_4ctx_language_only",),
    "MaPLe": ("vit_b16_c2_ep5_batch4_2ctx",),
    "PromptSRC": ("vit_b16_c2_ep20_batch4_4+4ctx",),
    "MMA": ("vit_b16_ep5", "vit_b16_ep5_imnet"),
    "CLIPAdapter": ("vit_b16_ep50", "vit_b32_ep50", "rn50_ep50", "rn101_ep50"),
}
NOT_TINY = {  # what the golden cases did not have to make smaller: the published values
    "CoCoOp": ("COCOOP", ("N_CTX", "CTX_INIT")),
    "KgCoOp": ("KGCOOP", ("N_CTX", "W")),
    "ProGrad": ("PROGRAD", ("T", "LAMBDA")),
    "TCP": ("TCP", ("N_CTX",)),
    "MaPLe": ("MAPLE", ("N_CTX", "CTX_INIT")),
    "PromptSRC": ("PROMPTSRC", ("N_CTX_VISION", "N_CTX_TEXT", "CTX_INIT", "TEXT_LOSS_WEIGHT", "IMAGE_LOSS_WEIGHT")),
    "MMA": ("MMADAPTER", ("TEXT_CTX_INIT",)),
}


def settings(trainer: str, cfg: str, *options: str):
    file = PROJECT / "configs" / "trainers" / trainer / f"{cfg}.yaml"
    return settings_of_run(train.parse(["--trainer", trainer, "--config-file", str(file), *options])).cfg


@pytest.mark.parametrize(("trainer", "cfg"), [(t, cfg) for t, files in FILES.items() for cfg in files])
def test_optimiser_is_the_published_one(trainer, cfg):
    case = json.loads((PROJECT / f"tests/golden/{trainer}_a.json").read_text(encoding="utf-8"))
    published = {key: case["optimizer"][key.lower()] for key in KEYS}
    published["MAX_EPOCH"] = SHORTENED.get(trainer, published["MAX_EPOCH"])
    assert {key: settings(trainer, cfg).OPTIM[key] for key in KEYS} == published


@pytest.mark.parametrize("trainer", NOT_TINY)
def test_values_that_published_runs_had(trainer, caltech101):
    """With the options that the protocol adds."""
    run = plan("base2new", "train", trainer, caltech101, [1])[0]
    node, keys = NOT_TINY[trainer]
    published = json.loads((PROJECT / f"tests/golden/{trainer}_a.json").read_text(encoding="utf-8"))["config"]
    published = {key.split(".")[-1]: value for key, value in reversed(published.items())}
    words = [str(word) for pair in run.options.items() for word in pair]
    assert {key: settings(trainer, run.cfg, *words).TRAINER[node][key] for key in keys} == {
        key: published[key] for key in keys
    }


def test_the_optimiser_of_tip_adapter_f():
    """The epochs of the golden case are fewer."""
    case = json.loads((PROJECT / "tests/golden/TipAdapter_a.json").read_text(encoding="utf-8"))["optimizer"]
    ours = settings("TipAdapterF", "vit_b16").OPTIM
    assert (case["name"], case["lr"], case["weight_decay"]) == (ours.NAME, ours.LR, ours.WEIGHT_DECAY)
    assert ("cosine", 0, case["eps"]) == (ours.LR_SCHEDULER, ours.WARMUP_EPOCH, ours.ADAM_EPS)


@pytest.mark.parametrize(
    ("cfg", "backbone", "epochs", "words"),
    [
        ("vit_b16", "ViT-B/16", 200, ""),
        ("vit_b16_ep100", "ViT-B/16", 100, ""),
        ("vit_b16_ctxv1", "ViT-B/16", 200, "a photo of a"),
        ("vit_b16_ep100_ctxv1", "ViT-B/16", 100, "a photo of a"),
        ("vit_b32_ep50", "ViT-B/32", 50, ""),
        ("rn50_ep50_ctxv1", "RN50", 50, "a photo of a"),
        ("rn101", "RN101", 200, ""),
    ],
)
def test_names_of_coops_files_say_what_is_in_them(cfg, backbone, epochs, words):
    found = settings("CoOp", cfg)
    assert backbone == found.MODEL.BACKBONE.NAME
    assert (epochs, words) == (found.OPTIM.MAX_EPOCH, found.TRAINER.COOP.CTX_INIT)


@pytest.fixture
def caltech101(monkeypatch):
    """A dataset without settings of its own, whether or not its builder is here."""
    monkeypatch.setattr("runs.protocol.datasets", lambda: ["caltech101"])
    return "caltech101"


def test_coops_epochs_follow_the_shots(caltech101):
    runs = plan("few_shot", "train", "CoOp", caltech101, [1])
    epochs = {run.options["DATASET.NUM_SHOTS"]: settings("CoOp", run.cfg).OPTIM.MAX_EPOCH for run in runs}
    assert epochs == {1: 50, 2: 100, 4: 100, 8: 200, 16: 200}
    assert all(f"/{run.cfg}/" in run.folder for run in runs)


def test_a_named_config_is_taken_for_every_number_of_shots(caltech101):
    runs = plan("few_shot", "train", "CoOp", caltech101, [1], cfg="rn50_ep50")
    assert {run.cfg for run in runs} == {"rn50_ep50"}
