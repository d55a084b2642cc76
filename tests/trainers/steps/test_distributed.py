"""A run over two processes (gloo, on the CPU) takes the steps of one process, whatever the method."""

from __future__ import annotations

import os
import socket
import traceback
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing

from dassl.engine import TRAINER_REGISTRY
from dassl.engine.distributed import DistributedError, process_group, rank
from trainers.base.method import Method
from trainers.steps.distributed import DistributedStep, distribute

METHODS = (
    *("CoOp", "CoCoOp", "KgCoOp", "ProGrad", "TCP", "CLIPAdapter"),
    *("VPT", "IVLP", "MaPLe", "PromptSRC", "MMA", "MMRL", "MMRLpp"),
)
CLASSES = ("cat", "a_long name", "ox", "big dog")
IMAGES = 5  # for two processes: 2 and 3
SHALLOW = {"PROMPT_DEPTH": 3, "PROMPT_DEPTH_VISION": 3, "PROMPT_DEPTH_TEXT": 3}


def steps(workshop, method: str, prepare=lambda trainer: None) -> dict:
    """Two steps: what was learned, the last gradients, and the numbers that the log shows.

    With SGD: Adam's first step is as long where a gradient is nothing but rounding as where it is large.
    """
    settings = {key: value for key, value in SHALLOW.items() if key in TRAINER_REGISTRY.get(method).defaults}
    if method == "ProGrad":  # from its teacher's words the teacher's gradient begins as nothing but rounding
        settings |= {"CTX_INIT": "", "N_CTX": 4}
    torch.manual_seed(0)
    trainer = workshop.build(method, "ViT-B-32", CLASSES, optimizer="sgd", **settings)
    prepare(trainer)
    trainer.set_model_mode("train")
    shown = [trainer.forward_backward(workshop.batch("ViT-B-32", IMAGES, len(CLASSES))) for _ in range(2)]
    gradients = {name: parameter.grad for name, parameter in trainer.method.named_parameters()}
    return {"learned": dict(trainer.method.state_dict()), "gradients": gradients, "shown": shown}


def one_of_two(number: int, port: int, workshop) -> None:
    """A process: every method's steps, kept in the workshop's folder."""
    os.environ |= {"RANK": str(number), "LOCAL_RANK": str(number), "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "CUDA_VISIBLE_DEVICES": ""}
    torch.set_num_threads(1)
    try:
        with process_group():
            found = {method: steps(workshop, method, distribute) for method in METHODS}
            torch.save(found, workshop.folder / f"process {rank()}")
    except BaseException:
        traceback.print_exc()
        os._exit(1)


@pytest.fixture(scope="module")
def both(workshop) -> list[dict]:
    """Return the results of the two processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.start_processes(one_of_two, (port, workshop), nprocs=2, start_method="spawn")
    return [torch.load(workshop.folder / f"process {number}", weights_only=True) for number in range(2)]


@pytest.mark.parametrize("method", METHODS)
def test_two_processes_take_the_steps_of_one(workshop, both, method):
    alone = steps(workshop, method)
    first, second = (found[method] for found in both)
    for name, value in first["learned"].items():
        assert torch.equal(value, second["learned"][name]), "the processes stay together, bit for bit"
    for name, value in alone["gradients"].items():
        difference, largest = (first["gradients"][name] - value).abs().max(), value.abs().max()
        assert largest > 0 and difference <= 1e-4 * largest, name
    for one, two in zip(alone["shown"], first["shown"], strict=True):
        assert one == pytest.approx(two, rel=1e-4)


@pytest.fixture
def alone_in_a_group():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def test_a_backward_that_forgets_the_others_is_refused(workshop, alone_in_a_group, monkeypatch):
    trainer = workshop.build("CoOp", "ViT-B-32", CLASSES)
    distribute(trainer)
    monkeypatch.setattr(Method, "backward", lambda self, losses, scale: losses.total().backward())
    with pytest.raises(DistributedError, match=r"CoOpMethod.backward does not call `reduce`"):
        trainer.forward_backward(workshop.batch("ViT-B-32", IMAGES, len(CLASSES)))


def test_steps_that_are_not_ours_are_refused():
    with pytest.raises(DistributedError, match=r"SimpleNamespace has a training step of its own.*without torchrun"):
        distribute(SimpleNamespace())


def test_gradients_are_a_part_and_values_the_whole(workshop, alone_in_a_group):
    trainer = workshop.build("MMRL", "ViT-B-32", CLASSES)
    batch = workshop.batch("ViT-B-32", IMAGES, len(CLASSES))
    plain = trainer.losses(batch["img"], batch["label"])
    trainer.computer = DistributedStep()
    shared = trainer.losses(batch["img"], batch["label"])
    torch.testing.assert_close(shared.total(), plain.total())
    torch.testing.assert_close(shared.logits, plain.logits)
