"""Several runs trained in one pass end where each would alone."""

from functools import partial

import pytest
import torch

from trainers.base.frozen_clip import one_copy_of_weights
from trainers.steps import joint_runs
from trainers.steps.lockstep import in_lockstep

NAMES = ["a cat", "a rather long class name, with commas", "dog"]
METHODS = ["CoOp", "CoCoOp", "VPT", "IVLP", "MaPLe", "KgCoOp", "ProGrad", "PromptSRC", "TCP", "MMA", "CLIPAdapter"]
METHODS += ["MMRL", "MMRLpp", "HiCroPL"]


@pytest.fixture
def sizes(monkeypatch):
    """Return the number of runs in each pass."""
    found, plain = [], joint_runs.JointRuns.losses

    def spied(self, images, labels):
        found.append(len(images))
        return plain(self, images, labels)

    monkeypatch.setattr(joint_runs.JointRuns, "losses", spied)
    return found


def steps(trainer, batches) -> dict[str, torch.Tensor]:
    """Train on the batches; the learned parameters after that."""
    trainer.optim = torch.optim.SGD(trainer.method.parameters(), lr=0.1)  # Adam would blow up small gradients' rounding
    trainer.set_model_mode("train")
    for batch in batches:
        trainer.forward_backward(batch)
    return {name: value.detach().clone() for name, value in trainer.method.named_parameters()}


def build_runs(workshop, method, variants):
    """One trainer for each mapping of settings, each with start values and batches of its own."""
    runs = []
    for number, settings in enumerate(variants):
        generator = torch.manual_seed(number)
        trainer = workshop.build(method, "twelve layers", NAMES, **settings)
        batches = [workshop.batch("twelve layers", 2, len(NAMES)) for _ in range(2)]
        for batch in batches:
            batch["img"] = torch.randn(batch["img"].shape, generator=generator)
        runs.append((trainer, batches))
    return runs


def check(workshop, method, variants):
    """Train apart and together, and compare."""
    alone = [steps(*run) for run in build_runs(workshop, method, variants)]
    with one_copy_of_weights():
        runs = build_runs(workshop, method, variants)
        for trainer, _ in runs:
            trainer.computer = joint_runs.WaitingStep()
        joint = in_lockstep([partial(steps, *run) for run in runs], joint_runs.JointPass())
    starts = [dict(trainer.method.named_parameters()) for trainer, _ in build_runs(workshop, method, variants)]
    for start, by_itself, in_one in zip(starts, alone, joint, strict=True):
        for name, value in by_itself.items():
            off, way = (torch.linalg.vector_norm(value - other[name]) for other in (in_one, start))
            assert off < 1e-4 * way + 1e-6, f"{name}: {off:.1e} off, after {way:.1e}"
    first, second = alone[0], alone[-1]
    assert any(not torch.allclose(first[name], second[name], atol=1e-4) for name in first)


@pytest.mark.parametrize("method", METHODS)
def test_every_method(workshop, method, sizes):
    check(workshop, method, [{}, {}, {}])
    assert sizes == ([1] * 6 if method == "ProGrad" else [3, 3])  # which combines gradients itself


@pytest.mark.parametrize("method", ["MMRL", "MMRLpp"])
def test_other_weights_and_fusions_share_the_pass(workshop, method, sizes):
    check(workshop, method, [{"ALPHA": 0.5, "REG_WEIGHT": 0.2}, {"ALPHA": 0.9, "REG_WEIGHT": 0.2}, {"REG_WEIGHT": 3.0}])
    assert sizes == [3, 3]


def test_other_shapes_are_computed_by_themselves(workshop, sizes):
    check(workshop, "MMRL", [{"N_REP_TOKENS": 3}, {"N_REP_TOKENS": 5}, {"N_REP_TOKENS": 3}])
    assert sorted(sizes) == [1, 1, 2, 2]


def test_the_frozen_encoders_are_there_once(workshop):
    with one_copy_of_weights():
        (one, _), (other, _) = build_runs(workshop, "MMRL", [{}, {}])
    assert one.method.clip.model is other.method.clip.model
    apart = workshop.build("MMRL", "twelve layers", NAMES)
    assert apart.method.clip.model is not one.method.clip.model
