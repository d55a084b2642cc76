"""A folder as the published code leaves it is evaluated by train.py as the run is that it was learned in.

That the published code predicts the same with the same parameters: tests/trainers/base/test_published_checkpoints.py.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from published_engine import ConstantWarmupScheduler
from short_runs import Runs

import clip
import train
from dassl.engine import TRAINER_REGISTRY

WHOLE = {"CoOp": False, "MaPLe": True, "MMRL": True, "MMRLpp": True}
"""Method -> whether its code saves the whole model, or the learner alone."""


@pytest.fixture(scope="module")
def short(tmp_path_factory) -> Runs:
    return Runs(tmp_path_factory.mktemp("short"))


def published(short: Runs, method: str, own: Path, folder: Path) -> Path:
    """A trained run's parameters in the layout of the published code."""
    trainer = TRAINER_REGISTRY.get(method)
    (file,) = (own / trainer.checkpoint_folder).glob("model.pth.tar-*")
    kind, learned = trainer.method_class, torch.load(file, weights_only=True)["state_dict"]
    state = {kind.published_name(kind, name): value for name, value in learned.items()}
    model, _ = clip.load(short.folder / "clip.pt")
    if any(name.startswith("prompt_learner.") for name in state):
        start, suffix = model.token_embedding.weight.detach()[49406], torch.zeros(5, 60, model.ln_final.weight.numel())
        state |= {"prompt_learner.token_prefix": start.expand(5, 1, -1), "prompt_learner.token_suffix": suffix}
    if WHOLE[method]:
        state |= {f"image_encoder.{name}": value for name, value in model.visual.state_dict().items()}
        text = ("transformer.", "positional_embedding", "text_projection", "ln_final.")
        state |= {f"text_encoder.{k}": v for k, v in model.state_dict().items() if k.startswith(text)}
        state |= {"logit_scale": model.logit_scale.detach()}
    else:
        state = {name.partition(".")[2]: value for name, value in state.items()}
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(2))], lr=0.1, momentum=0.9)
    scheduler = ConstantWarmupScheduler(optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 1))
    content = {"state_dict": state, "epoch": 1, "optimizer": optimizer.state_dict(), "val_result": np.float64(50)}
    (folder / trainer.checkpoint_folder).mkdir(parents=True)
    target = folder / trainer.checkpoint_folder / "model.pth.tar-1"
    torch.save(content | {"scheduler": scheduler.state_dict()}, target)
    assert b"CosineAnnealingLR" in target.read_bytes()
    target.with_name("checkpoint").write_text("model.pth.tar-1\n")
    return folder


@pytest.mark.parametrize("method", WHOLE)
def test_it_is_tested_as_the_run_itself(method, short, tmp_path):
    own = short(method)
    theirs = published(short, method, own, tmp_path / "theirs")
    predictions = {}
    for source, words in ((own, []), (theirs, ["--load-epoch", "1"])):
        for classes in ("base", "new"):
            side = "theirs" if words else "own"
            output = tmp_path / f"{side}-{classes}"
            test = ["--eval-only", "--model-dir", source, *words]
            assert train.main(short.arguments(method, classes, output, *test)) == 0
            predictions[side, classes] = json.loads((output / "confusion.json").read_text())
    assert len(predictions["own", "base"]["classes"]) == 2
    for classes in ("base", "new"):
        assert predictions["own", classes] == predictions["theirs", classes]
    assert predictions["own", "base"] != predictions["own", "new"]


def test_another_number_of_tokens_is_refused_with_both_shapes(short, tmp_path, capsys):
    theirs = published(short, "MMRL", short("MMRL"), tmp_path / "theirs")
    test = ["--eval-only", "--model-dir", theirs, "TRAINER.MMRL.N_REP_TOKENS", 3]
    assert train.main(short.arguments("MMRL", "base", tmp_path / "tested", *test)) == 1
    said = capsys.readouterr().err
    assert "Traceback" not in said and "model.pth.tar-1 does not fit" in said
    assert "torch.Size([3," in said and "torch.Size([5," in said
