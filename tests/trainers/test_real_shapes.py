"""Every method on OpenAI's models at their true sizes: a training step's shapes, and how much is learned.

All is on PyTorch's `meta` device, which has shapes and no numbers, so that size costs nothing. Sizes are open_clip's.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import open_clip
import pytest
import torch

import train
import trainers  # noqa: F401  (registers the methods)
from clip.model import CLIP
from dassl.engine import TRAINER_REGISTRY
from runs.protocol import plan, read
from trainers.base.frozen_clip import FrozenCLIP
from trainers.base.method import Task
from trainers.base.run_settings import settings_of_run

DATA = Path(__file__).parents[2] / "docs" / "methods.yaml"
EVERYWHERE = ("CoOp", "CoCoOp", "KgCoOp", "ProGrad", "TCP", "CLIPAdapter", "TipAdapterF")
VIT_ONLY = ("VPT", "IVLP", "MaPLe", "PromptSRC", "MMA", "MMRL", "MMRLpp")
META = torch.device("meta")
CLASSES = ("face", "yin_yang", "Windsor chair")


@cache
def sized(name: str) -> FrozenCLIP:
    """A CLIP of that size."""
    config = open_clip.get_model_config(name)
    vision, text = config["vision_cfg"], config["text_cfg"]
    layers = tuple(vision["layers"]) if isinstance(vision["layers"], list) else vision["layers"]
    with META:
        model = CLIP(
            config["embed_dim"],
            vision["image_size"],
            layers,
            vision["width"],
            vision["patch_size"],
            text["context_length"],
            text["vocab_size"],
            text["width"],
            text["heads"],
            text["layers"],
        )
    frozen = FrozenCLIP(model, META)
    frozen.logit_scale = 100.0
    return frozen


def method_on(name: str, frozen: FrozenCLIP):
    """The method with the settings of its base-to-novel runs."""
    run = plan("base2new", "train", name, "caltech101", [1])[0]
    words = [str(word) for pair in run.options.items() for word in pair]
    file = f"configs/trainers/{name}/{run.cfg}.yaml"
    real = TRAINER_REGISTRY.get(name)
    cfg = settings_of_run(train.parse(["--trainer", name, "--config-file", file, *words])).cfg
    task = Task(CLASSES, "a photo of a {}.", "Caltech101")
    method = real.method_class(cfg.TRAINER[real.settings_node], frozen, task)
    if hasattr(method, "fill"):
        method.fill(torch.zeros(6, frozen.embed_dim), torch.arange(6) % len(CLASSES))
    return method.to(META)


@pytest.fixture(autouse=True)
def one_template_of_sixty(monkeypatch):
    """PromptSRC's teacher is a mean, of whatever number."""
    monkeypatch.setattr("trainers.promptsrc.ensemble", lambda name: ["a photo of a {}."])


@pytest.mark.parametrize(
    ("name", "clip"), [(name, "ViT-L-14") for name in EVERYWHERE + VIT_ONLY] + [(name, "RN50") for name in EVERYWHERE]
)
def test_a_step(name, clip):
    """The largest and the other kind; test_prompt_methods_on_backbones.py has steps in the proportions of all."""
    frozen = sized(clip)
    method, side = method_on(name, frozen), frozen.visual.input_resolution
    with META:
        images, labels = torch.empty(2, 3, side, side), torch.zeros(2, dtype=torch.long)
    losses = method.losses(images, labels)
    assert losses.logits.shape == (2, len(CLASSES))
    method.backward(losses)
    for key, parameter in method.named_parameters():
        assert parameter.grad is not None and parameter.grad.shape == parameter.shape, key


@pytest.mark.parametrize("name", VIT_ONLY)
def test_refused_on_a_resnet(name):
    with pytest.raises(ValueError, match=r"vision transformer.*MODEL\.BACKBONE\.NAME"):
        method_on(name, sized("RN50"))


@pytest.mark.parametrize("name", EVERYWHERE + VIT_ONLY)
def test_what_is_learned_is_as_much_as_the_methods_page_says(name):
    """At ViT-B/16."""
    said = re.match(r"[\d,]+", read(DATA)[name]["parameters"])
    count = sum(p.numel() for p in method_on(name, sized("ViT-B-16")).parameters())
    if said is None:
        assert name == "TipAdapterF" and count == 6 * 512  # N E
    else:
        assert count == int(said[0].replace(",", ""))
