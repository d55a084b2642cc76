"""Candidates for fewer kernels learn what the present step learns; what only a GPU has is stood in for."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from benchmarks import _candidates, kernels, together
from benchmarks._candidates import CANDIDATES
from benchmarks._command import fails_with_a_row
from benchmarks._measure import moved_apart
from benchmarks._trainers import build_trainer, leave_start
from benchmarks.step import differences, loss_and_gradients, step
from clip.model import CLIP
from safeio.errors import UserError

NAMES = ["cat", "a rather long class name, with commas", "dog", "ox cart"]
SHAPE = {"embed_dim": 32, "image_resolution": 24, "vision_layers": 3, "vision_width": 64, "vision_patch_size": 8}
SHAPE |= {"transformer_width": 64, "transformer_heads": 1, "transformer_layers": 3}
COMPILED = {"backend": "aot_eager"}  # traced and differentiated as a whole; machine code is not written


class StandIn:
    """Computes again, as a CUDA graph does."""

    def __init__(self, compute):
        self.compute, self.outputs = compute, compute()

    def replay(self):
        self.compute()


def one_by_one(q, k, v, first_q, first_k, longest_q, longest_k, window_size):
    """Attention of variable length (rows, H, d), sequence by sequence; the last rows stand beside one another."""
    assert window_size == (-1, 0) and first_q.dtype == first_k.dtype == torch.int32
    out = []
    for i in range(len(first_q) - 1):
        own, keys, values = (
            x[first[i] : first[i + 1]].transpose(0, 1) for x, first in ((q, first_q), (k, first_k), (v, first_k))
        )
        rows, columns = own.shape[1], keys.shape[1]
        assert 0 < rows <= longest_q and rows <= columns <= longest_k
        seen = torch.ones(rows, columns, dtype=torch.bool).tril(columns - rows)
        out.append(F.scaled_dot_product_attention(own, keys, values, seen).transpose(0, 1))
    return torch.cat(out)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("clip") / "random.pt"
    torch.save(CLIP(context_length=77, vocab_size=49408, **SHAPE).state_dict(), file)
    return file


def arguments(method="MMRL", **more):
    """Arguments of the commands; SGD, because AdamW moves what has no gradient but rounding."""
    options = ["INPUT.SIZE", "(24,24)", "OPTIM.NAME", "sgd"]
    common = {"device": "cpu", "prec": "fp32", "options": options, "backbone": "ViT-B/32"}
    return SimpleNamespace(**common, method=method, classes=len(NAMES), batch=2, runs=2, repeats=1, **more)


def build(weights, method="MMRL"):
    trainer = build_trainer(arguments(method), weights, NAMES)
    leave_start(trainer)
    trainer.set_model_mode("train")
    return trainer


def batch():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, 3, 24, 24, generator=generator), torch.tensor([0, 3])


ON_A_CPU = {
    "compiled blocks": partial(_candidates.compile_blocks, **COMPILED),
    "compiled encoders": partial(_candidates.compile_encoders, **COMPILED),
    "fused norms": partial(_candidates.fuse_norms, **COMPILED),
    "varlen attention": partial(_candidates.attend_by_length, attend=one_by_one),
    "whole step": partial(_candidates.record_whole, record=StandIn),
}
CASES = [(name, "MMRL") for name in CANDIDATES if name != "compiled blocks, combined"]
CASES += [("varlen attention", "CoCoOp"), ("compiled blocks", "MaPLe")]


@pytest.mark.parametrize(("name", "method"), CASES)
def test_a_candidate_learns_what_the_present_step_does(weights, name, method):
    torch.compiler.reset()
    with CANDIDATES[name].building():
        changed = build(weights, method)
    present = build(weights, method)
    start = kernels.learned(present)
    go = ON_A_CPU.get(name, CANDIDATES[name].change)(changed)
    found = differences(*(loss_and_gradients(trainer, *batch()) for trainer in (present, changed)))
    assert found["loss_difference"] < 1e-5 and found["gradient_difference"] < 1e-4
    for _ in range(2):
        step(present, *batch())
        go(*batch())
    assert moved_apart(start, kernels.learned(present), kernels.learned(changed)) < 1e-3


def test_a_recorded_step_follows_the_schedule_and_keeps_nothing_of_its_recording(weights):
    whole, plain = build(weights), build(weights)
    for trainer in (whole, plain):
        _candidates.fuse_optimizer(trainer)
    rates = torch.tensor([[0.1], [0.03], [0.0], [0.02]])
    recorded = _candidates.WholeStep(whole, rates, StandIn)
    for rate in rates:
        plain.optim.param_groups[0]["lr"] = rate.item()
        step(plain, *batch())
        recorded(*batch())
    assert all(map(torch.equal, kernels.learned(whole), kernels.learned(plain)))


def test_padded_suffixes_are_refused(weights):
    trainer = build(weights)
    prompts = trainer.method.prompts
    prompts.buckets = [prompts.buckets[0]._replace(length=prompts.buckets[0].length + 1), *prompts.buckets[1:]]
    with pytest.raises(UserError, match="exact lengths"):
        _candidates.Layout.of(prompts, 1, 1, prompts.prefix, ends_only=True)


def test_a_batch_normalised_after_the_transfer_has_the_same_bits():
    found = kernels.crops(arguments())
    assert found["loss_difference"] == 0 and found["ratio"] > 0


def test_what_is_lacking_or_fails_is_said_in_the_table(weights, monkeypatch, capsys):
    def broken(trainer):
        raise RuntimeError("no such kernel\nand more")

    candidates = {name: CANDIDATES[name] for name in ("varlen attention", "whole step", "fused optimiser")}
    candidates["broken"] = kernels.Candidate("it does not work", broken)
    monkeypatch.setattr(kernels, "CANDIDATES", candidates)
    monkeypatch.setattr(kernels, "ROWS", (*candidates, kernels.CROPS))
    monkeypatch.setattr(kernels, "random_weights", lambda backbone, folder: weights)
    monkeypatch.setattr(kernels, "class_names", lambda count: NAMES)
    found = kernels.measure(arguments(only=["varlen attention", "whole step", "fused optimiser", "broken"]))
    lines = [line.split("|") for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    said = {cells[1].strip(): cells[-2].strip() for cells in lines}
    assert said["varlen attention"] == said["whole step"] == "needs a GPU"
    assert said["broken"] == "failed: no such kernel" and fails_with_a_row(None, found) == 1
    assert found["fused optimiser: ratio"] > 0 and said["fused optimiser"] == ""
    with pytest.raises(UserError, match="no candidate 'fused'"):
        kernels.measure(arguments(only=["fused"]))


def test_several_runs_learn_the_same_each_way(weights, monkeypatch, capsys):
    monkeypatch.setattr(together, "random_weights", lambda backbone, folder: weights)
    monkeypatch.setattr(together, "class_names", lambda count: NAMES)
    found = together.measure(arguments(steps=1))
    assert fails_with_a_row(None, found) == 0, found
    for way in ("one pass", "processes"):
        assert found[f"{way}: loss_difference"] < 1e-5 and found[f"{way}: gradient_difference"] < 1e-4
        assert found[f"{way}: learned_difference"] < 1e-3 and found[f"{way}: ratio"] > 0
    assert found["streams: why"] == found["processes, MPS: why"] == "needs a GPU"
    assert len([line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]) == 6
