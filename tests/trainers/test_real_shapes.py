"""Every method on OpenAI's models at their true sizes: a training step's shapes, and how much is learned.

All is on PyTorch's `meta` device, which has shapes and no numbers, so that size costs nothing. Sizes are open_clip's.
"""

from __future__ import annotations

import re
from functools import cache

import open_clip
import pytest
import torch

import train
import trainers  # noqa: F401  (registers the methods)
from clip.model import CLIP
from dassl.engine import TRAINER_REGISTRY
from runs.names import METHODS
from runs.protocol import plan, read, stages_of
from trainers.base.build import method_settings
from trainers.base.frozen_clip import FrozenCLIP
from trainers.base.method import Task
from trainers.base.run_settings import settings_of_run
from trainers.promptkd import Teacher
from trainers.tip_adapter import TipAdapterMethod

EVERYWHERE = ("CoOp", "CoCoOp", "KgCoOp", "ProGrad", "TCP", "CLIPAdapter", "TipAdapterF")
VIT_ONLY = ("VPT", "IVLP", "MaPLe", "PromptSRC", "MMA", "MMRL", "MMRLpp")
META = torch.device("meta")
CLASSES, IMAGES = ("face", "yin_yang", "Windsor chair"), 6


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
    run = plan("base2new", stages_of("base2new", name)[0], name, "caltech101", [1])[0]
    words = [str(word) for pair in run.options.items() for word in pair]
    file = f"configs/trainers/{name}/{run.cfg}.yaml"
    real = TRAINER_REGISTRY.get(name)
    cfg = settings_of_run(train.parse(["--trainer", name, "--config-file", file, *words])).cfg
    task = Task(CLASSES, "a photo of a {}.", "Caltech101")
    method = real.method_class(method_settings(cfg, real.settings_node), frozen, task)
    if isinstance(method, TipAdapterMethod):
        method.fill(torch.zeros(IMAGES, frozen.embed_dim), torch.arange(IMAGES) % len(CLASSES))
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


def number(cell: str, **letters: int) -> int:
    """Return the number that a cell of the page states: of `61,440 + E C`, or of `2,048 (8,192 for 16 words)`."""
    formula = re.sub(r",| \(\d.*", "", cell)
    return eval(re.sub(r"(?<=[\w)]) (?=[A-Z])", " * ", formula), {}, letters)


@pytest.mark.parametrize(("cell", "found"), [("2,048 (8,192 for 16 words)", 2048), ("10 + (E + 1) C", 25), ("N E", 28)])
def test_a_number_of_the_page_is_read(cell, found):
    assert number(cell, C=3, E=4, N=7) == found


@pytest.mark.parametrize("name", read(METHODS))
def test_what_is_learned_is_as_much_as_the_methods_page_says(name, monkeypatch):
    """At ViT-B/16; PromptKD's teacher is a ViT-L/14, as published."""
    teacher = Teacher(sized("ViT-L-14"), lambda names: None)
    monkeypatch.setattr("trainers.promptkd.zero_shot_teacher", lambda settings, student, task: teacher)
    method = method_on(name, sized("ViT-B-16"))
    said = number(read(METHODS)[name]["parameters"], C=len(CLASSES), E=512, N=IMAGES)
    assert sum(p.numel() for p in method.parameters()) == said
