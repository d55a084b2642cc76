"""Checkpoints in the layouts of the published code: they evaluate here as they did there, or are refused.

What was learned, and what it predicts, are the published implementations' own numbers (tests/golden).
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from published_engine import ConstantWarmupScheduler

from golden_cases import Case
from golden_outputs import compare_predictions
from safeio.unpickle import CheckpointError
from trainers.base.checkpoints import CheckpointMismatch

WHOLE, LEARNER = "whole model", "learner alone"
LAYOUTS = {  # what each method's code hands to its save function
    "CoOp_a": LEARNER,
    "CoCoOp_a": LEARNER,
    "KgCoOp_a": LEARNER,
    "ProGrad_a": LEARNER,
    "CLIPAdapter_a": LEARNER,
    "MaPLe_a": WHOLE,
    "PromptSRC_a": WHOLE,
    "MMRL_a": WHOLE,
    "MMRLpp_a": WHOLE,
}


def published_state(case, layout: str, clip) -> dict[str, torch.Tensor]:
    """The state dict: learned parameters, embeddings of the fixed tokens, and for a whole model the frozen encoders."""
    state = dict(case.group("after"))
    if any(name.startswith("prompt_learner.") for name in state):
        tokens = clip.model.token_embedding(case["prompt/tokens"]).detach()
        state |= {"prompt_learner.token_prefix": tokens[:, :1], "prompt_learner.token_suffix": tokens[:, 5:]}
    if layout == LEARNER:
        return {name.partition(".")[2]: value for name, value in state.items()}
    state |= {f"image_encoder.{name}": value for name, value in clip.visual.state_dict().items()}
    text = ("transformer.", "positional_embedding", "text_projection", "ln_final.")
    held = clip.model.state_dict()
    state |= {f"text_encoder.{name}": value for name, value in held.items() if name.startswith(text)}
    return state | {"logit_scale": clip.model.logit_scale.detach()}


def write(case, layout: str, folder: Path, trainer, change=lambda content: None) -> Path:
    """`<folder>/<learner>/model.pth.tar-6`, as the published `save_checkpoint` writes it."""
    content = {"state_dict": published_state(case, layout, trainer.method.clip), "epoch": 6}
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(2))], lr=0.1, momentum=0.9)
    scheduler = ConstantWarmupScheduler(optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 6))
    content |= {"optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict(), "val_result": np.float64(50)}
    change(content)
    (folder / trainer.checkpoint_folder).mkdir()
    torch.save(content, folder / trainer.checkpoint_folder / "model.pth.tar-6")
    (folder / trainer.checkpoint_folder / "checkpoint").write_text("model.pth.tar-6\n")
    return folder


def build(case, **more):
    return case.build(case.about["method"], case.about["classnames"], **more)


@pytest.mark.parametrize(("name", "layout"), LAYOUTS.items())
def test_it_evaluates_as_where_it_was_learned(name, layout, tmp_path):
    case = Case(name)
    trainer = build(case)
    trainer.load_model(str(write(case, layout, tmp_path, trainer)), epoch=6)
    with trainer.fixed_classes():
        compare_predictions(trainer, case, "eval")


@pytest.mark.parametrize("name", ["MMRL_a", "MaPLe_a"])
def test_it_evaluates_on_other_classes(name, tmp_path):
    """Though the file holds the fixed tokens of the classes that it was trained on."""
    case = Case(name)
    write(case, LAYOUTS[name], tmp_path, build(case))
    other = case.build(case.about["method"], case.about["novel_classnames"], test_classes="unseen")
    other.load_model(str(tmp_path))
    with other.fixed_classes():
        compare_predictions(other, case, "eval_novel")


@pytest.mark.parametrize("name", ["CoOp_a", "MMRL_a"])
def test_another_backbone_is_refused(name, tmp_path):
    """Same shapes, other weights: only what is frozen in the file tells."""

    def other_weights(content):
        for key, value in content["state_dict"].items():
            if "token_prefix" in key or key.startswith("image_encoder."):
                content["state_dict"][key] = value + 0.5

    case = Case(name)
    trainer = build(case)
    write(case, LAYOUTS[name], tmp_path, trainer, other_weights)
    with pytest.raises(CheckpointMismatch, match=r"another backbone.*--backbone"):
        trainer.load_model(str(tmp_path))


@pytest.mark.parametrize("name", ["MMRL_a", "MMRLpp_a"])
def test_a_checkpoint_from_before_the_aligners_had_their_name_is_read(name):
    method = build(Case(name)).method
    expected = {key: torch.randn_like(value) for key, value in method.state_dict().items()}
    method.load_state_dict({key.replace("_aligner", "_maps"): value for key, value in expected.items()})
    assert all(torch.equal(value, expected[key]) for key, value in method.state_dict().items())


def test_a_lacking_parameter_is_named(tmp_path):
    case = Case("MMRL_a")
    trainer = build(case)
    lacking = next(name for name in case.about["trainable"] if name.endswith("weight"))
    write(case, WHOLE, tmp_path, trainer, lambda content: content["state_dict"].pop(lacking))
    with pytest.raises(RuntimeError, match="Missing key"):
        trainer.load_model(str(tmp_path))


class Harmful:
    def __reduce__(self):
        return os.system, ("touch trace",)


def test_nothing_in_it_is_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    case = Case("CoOp_a")
    trainer = build(case)
    write(case, LEARNER, tmp_path, trainer, lambda content: content.update(scheduler=Harmful()))
    with pytest.raises(CheckpointError):
        trainer.load_model(str(tmp_path))
    assert not (tmp_path / "trace").exists()
