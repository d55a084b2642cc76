"""Recorded steps and predictions: what a graph would do, on a CPU with a stand-in, and on a GPU where there is one."""

from functools import partial

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from dassl.utils.phases import PhaseClock
from trainers.base.frozen_clip import one_copy_of_weights
from trainers.base.trainer import ClipTrainer
from trainers.steps import cuda_graph
from trainers.steps.cuda_graph import COMPARED, SEEN_BEFORE, GraphedStep, Graphs
from trainers.steps.joint_runs import JointPass, JointRuns, WaitingStep, set_gradients
from trainers.steps.lockstep import in_lockstep
from trainers.steps.plain import PlainStep

NAMES = ["a cat", "a rather long class name, with commas", "dog"]
METHODS = ["CoOp", "CoCoOp", "VPT", "IVLP", "MaPLe", "KgCoOp", "ProGrad", "PromptSRC", "TCP", "MMA", "CLIPAdapter"]
METHODS += ["MMRL", "MMRLpp"]


class StandIn:
    """Computes again into the same tensors, as a graph does."""

    def __init__(self, compute):
        self.compute, self.outputs = compute, compute()

    def replay(self):
        for held, new in zip(self.outputs, self.compute(), strict=True):
            held.copy_(new)


class Stuck(StandIn):
    """A graph with something baked in."""

    def replay(self):
        pass


class NeedsTheCPU(TorchDispatchMode):
    """Notes operations that read a number back or bring one over, which no graph can hold."""

    FORBIDDEN = ("_local_scalar_dense", "nonzero", "lift_fresh", "masked_select", "unique", "is_nonzero", "equal")

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        if name in self.FORBIDDEN:
            self.found.append(name)
        return function(*args, **(kwargs or {}))


def batches(workshop, count, size=2):
    found = [workshop.batch("twelve layers", size, len(NAMES)) for _ in range(count)]
    for number, batch in enumerate(found):
        batch["img"] = torch.randn(batch["img"].shape, generator=torch.Generator().manual_seed(number))
        batch["label"] = (batch["label"] + number) % len(NAMES)
    return found


def trained(workshop, method, count, computer=None, **settings):
    """The learned parameters after some steps, and what the log would show."""
    torch.manual_seed(0)
    trainer = workshop.build(method, "twelve layers", NAMES, **settings)
    if computer:
        trainer.computer = computer(trainer)
    trainer.set_model_mode("train")
    shown = [trainer.forward_backward(batch) for batch in batches(workshop, count)]
    return {name: p.detach().clone() for name, p in trainer.method.named_parameters()}, shown, trainer


@pytest.mark.parametrize("method", METHODS)
def test_replayed_steps_end_where_plain_ones_do(workshop, method):
    count = SEEN_BEFORE + COMPARED + 2
    plain, shown_plainly, _ = trained(workshop, method, count)
    replayed, shown, trainer = trained(workshop, method, count, lambda trainer: GraphedStep(trainer, StandIn))
    assert trainer.computer.graphed.graphs.usable and len(trainer.computer.graphed.graphs.replayed) == 1
    assert shown == shown_plainly
    for name, value in plain.items():
        assert torch.equal(replayed[name], value), name


@pytest.mark.parametrize("method", METHODS)
def test_a_step_can_be_recorded(workshop, method):
    """An operation that a graph cannot hold would send every step on a GPU back to the plain computation."""
    torch.manual_seed(0)
    trainer = workshop.build(method, "twelve layers", NAMES)
    first, batch = batches(workshop, 2)
    trainer.forward_backward(first)  # what is read once and kept is there when a step is recorded
    with NeedsTheCPU() as watched:
        trainer.computer.backward(trainer, trainer.computer.losses(trainer, batch["img"], batch["label"]))
    assert watched.found == []


@pytest.mark.parametrize("method", METHODS)
def test_a_prediction_can_be_recorded(workshop, method):
    trainer = workshop.build(method, "twelve layers", NAMES)
    first, batch = batches(workshop, 2)
    with trainer.fixed_classes():
        trainer.model_inference(first["img"])
        with NeedsTheCPU() as watched:
            trainer.model_inference(batch["img"])
    assert watched.found == []


def trained_together(workshop, method, count, joint_pass, **settings):
    """Learned parameters of three runs after some steps in one pass."""
    with one_copy_of_weights():
        torch.manual_seed(0)
        runs = [workshop.build(method, "twelve layers", NAMES, **settings) for _ in range(3)]
    for trainer in runs:
        trainer.computer = WaitingStep()
        trainer.set_model_mode("train")

    def steps(number, trainer):
        for batch in batches(workshop, count + number)[number:]:
            trainer.forward_backward(batch)

    in_lockstep([partial(steps, *run) for run in enumerate(runs)], joint_pass)
    return [{name: p.detach().clone() for name, p in trainer.method.named_parameters()} for trainer in runs]


@pytest.mark.parametrize("method", METHODS)
def test_several_runs_replayed_end_where_plain_ones_do(workshop, method, monkeypatch):
    count = SEEN_BEFORE + COMPARED + 2
    plain = trained_together(workshop, method, count, JointPass())
    monkeypatch.setattr(ClipTrainer, "graphs", True)
    joint_pass = JointPass(StandIn)
    replayed = trained_together(workshop, method, count, joint_pass)
    groups = joint_pass.groups.values()
    assert sorted(len(group.trainers) for group in groups) == ([1, 1, 1] if method == "ProGrad" else [3])
    assert all(group.graphed.graphs.usable and len(group.graphed.graphs.replayed) == 1 for group in groups)
    for run, expected in zip(replayed, plain, strict=True):
        for name, value in expected.items():
            assert torch.equal(run[name], value), name


@pytest.mark.parametrize("method", METHODS)
def test_a_step_of_several_runs_can_be_recorded(workshop, method):
    with one_copy_of_weights():
        runs = [workshop.build(method, "twelve layers", NAMES, **settings) for settings in ({}, {"REG_WEIGHT": 3.0})]
    both = JointRuns([runs[0]] if method == "ProGrad" else runs, StandIn)
    first, second = (
        [torch.stack([batch[key]] * len(both.trainers)) for key in ("img", "label")] for batch in batches(workshop, 2)
    )
    set_gradients(both.trainers, both.plain_losses(*first))
    with NeedsTheCPU() as watched:
        set_gradients(both.trainers, both.plain_losses(*second))
    assert watched.found == []


def test_a_graph_that_is_wrong_is_noticed_and_left(workshop):
    count = SEEN_BEFORE + 3
    plain, _, _ = trained(workshop, "MMRL", count)
    with pytest.warns(UserWarning, match="No CUDA graph is used for the training step: tensor 0"):
        found, _, trainer = trained(workshop, "MMRL", count, lambda trainer: GraphedStep(trainer, Stuck))
    assert not trainer.computer.graphed.graphs.usable
    for name, value in plain.items():
        assert torch.equal(found[name], value), name


def test_what_cannot_be_recorded_goes_on_plainly():
    def refuses(compute):
        raise RuntimeError("operation not permitted when stream is capturing\nand more")

    graphs = Graphs("prediction", lambda x: [x * 2], refuses)
    x = torch.ones(2)
    with pytest.warns(UserWarning, match="not permitted.*TRAIN.CUDA_GRAPHS False") as said:
        assert [graphs(x) for _ in range(SEEN_BEFORE + 2)] == [None] * (SEEN_BEFORE + 2)
    assert len(said) == 1


def test_each_shape_has_a_graph_and_rare_ones_have_none():
    graphs = Graphs("prediction", lambda x: [x * 2], StandIn)
    for _ in range(SEEN_BEFORE + COMPARED + 1):
        for size in (2, 3):
            x = torch.rand(size)
            found = graphs(x)
            assert found is None or torch.equal(found[0], x * 2)
    assert graphs(torch.rand(5)) is None
    assert len(graphs.replayed) == 2


def test_recording_is_a_phase_of_its_own(monkeypatch):
    clock = PhaseClock()
    monkeypatch.setattr(cuda_graph, "phase", clock)
    graphs = Graphs("prediction", lambda x: [x * 2], StandIn)
    for number in range(SEEN_BEFORE + 1):
        assert "graph recording" not in clock.as_dict()
        assert (graphs(torch.ones(2)) is None) == (number < SEEN_BEFORE)
    assert "graph recording" in clock.as_dict()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("precision", ["fp32", "amp"])
@pytest.mark.parametrize("method", METHODS)
def test_on_a_gpu(workshop, method, precision):
    count = SEEN_BEFORE + COMPARED + 4
    plain, _, _ = trained(workshop, method, count, lambda trainer: PlainStep(), cuda=True, PREC=precision)
    found, _, trainer = trained(workshop, method, count, cuda=True, PREC=precision)
    assert isinstance(trainer.computer, GraphedStep) and trainer.computer.graphed.graphs.usable
    for name, value in plain.items():
        torch.testing.assert_close(found[name], value, rtol=1e-2, atol=1e-3)
    with trainer.fixed_classes():
        images = batches(workshop, 1)[0]["img"].to(trainer.device)
        for _ in range(SEEN_BEFORE + COMPARED + 1):
            logits = trainer.model_inference(images)
        assert trainer.replays.usable
        torch.testing.assert_close(logits, trainer.scores(images), rtol=1e-2, atol=1e-2)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("precision", ["fp32", "amp"])
@pytest.mark.parametrize("method", METHODS)
def test_several_runs_on_a_gpu(workshop, method, precision, monkeypatch):
    count, joint_pass = SEEN_BEFORE + COMPARED + 4, JointPass()
    found = trained_together(workshop, method, count, joint_pass, cuda=True, PREC=precision, optimizer="sgd")
    assert all(group.graphed.graphs.usable for group in joint_pass.groups.values())
    monkeypatch.setattr(ClipTrainer, "graphs", False)
    plain = trained_together(workshop, method, count, JointPass(), cuda=True, PREC=precision, optimizer="sgd")
    for run, expected in zip(found, plain, strict=True):
        for name, value in expected.items():
            torch.testing.assert_close(run[name], value, rtol=1e-2, atol=1e-3)
