"""Ways to train several runs on one device: one after the other, in one pass, in streams, in processes."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing import get_context

from benchmarks._measure import synchronise
from benchmarks._trainers import build_trainer, check_learns
from benchmarks.step import step
from dassl.utils.environment import prepare_cpu_memory
from trainers.base.frozen_clip import one_copy_of_weights
from trainers.base.trainer import ClipTrainer
from trainers.steps.joint_runs import JointPass, WaitingStep
from trainers.steps.lockstep import in_lockstep

MPS = "nvidia-cuda-mps-control"
Gradients = tuple[float, list[Tensor]]
"""A run's loss and its parameters' gradients."""


class Run:
    """One run: a trainer at its start values, with a batch of its own.

    Args:
        args: the command's, with the `names` of the classes.
        weights: file of the backbone's.
        number: tells the run from others.
    """

    def __init__(self, args: argparse.Namespace, weights: Path, number: int):
        self.trainer: ClipTrainer = build_trainer(args, weights, args.names)
        check_learns(self.trainer)
        self.trainer.set_model_mode("train")
        side = self.trainer.method.clip.visual.input_resolution
        generator = torch.Generator().manual_seed(number)
        images = torch.randn(args.batch, 3, side, side, generator=generator)
        labels = torch.randint(args.classes, (args.batch,), generator=generator)
        self.batch = images.to(args.device), labels.to(args.device)

    def gradients(self) -> Gradients:
        """Return loss and gradients."""
        trainer = self.trainer
        trainer.optim.zero_grad()
        losses = trainer.losses(*self.batch)
        trainer.computer.backward(trainer, losses)
        scale = trainer.scaler.get_scale()
        found = [p.grad.float().cpu() / scale for p in trainer.method.parameters() if p.grad is not None]
        return losses.total().item(), found

    def steps(self, count: int) -> None:
        """Make steps."""
        for _ in range(count):
            step(self.trainer, *self.batch)

    def learned(self) -> list[Tensor]:
        """Return copies of the learned parameters."""
        return [parameter.detach().float().cpu().clone() for parameter in self.trainer.method.parameters()]


class Apart:
    """One run after the other in one process.

    Args:
        args, weights: as for `Run`; `args.runs` of them are made, which share the frozen weights.
    """

    def __init__(self, args: argparse.Namespace, weights: Path):
        with one_copy_of_weights():
            self.runs = [Run(args, weights, number) for number in range(args.runs)]

    def of_each(self, what: str, *given: Any) -> list[Any]:
        """Return what each run's method `what` returns."""
        return [getattr(run, what)(*given) for run in self.runs]

    def steps(self, count: int) -> float:
        """Make steps of every run; returns the processor seconds that other processes spent on them."""
        self.of_each("steps", count)
        return 0.0

    def close(self) -> None:
        """End all processes and threads that were started."""


class OnePass(Apart):
    """All runs in one pass through the frozen encoders, as in `train.py --seeds`."""

    def __init__(self, args: argparse.Namespace, weights: Path):
        super().__init__(args, weights)
        self.joint = JointPass()
        for run in self.runs:
            run.trainer.computer = WaitingStep()

    def of_each(self, what: str, *given: Any) -> list[Any]:
        return in_lockstep([partial(getattr(run, what), *given) for run in self.runs], self.joint)


class Streams(Apart):
    """A thread with a CUDA stream for each run; their graphs are recorded one after the other."""

    def __init__(self, args: argparse.Namespace, weights: Path):
        super().__init__(args, weights)
        self.streams = [torch.cuda.Stream() for _ in self.runs]
        self.recorded = False

    def steps(self, count: int) -> float:
        if not self.recorded:  # the first steps, in which graphs are recorded: only one thread may do that
            for run in self.runs:
                torch._C._cuda_clearCublasWorkspaces()  # graphs that run at once may not share scratch memory
                run.steps(count)
            self.recorded = True
            return 0.0
        torch.cuda.synchronize()
        threads = [threading.Thread(target=self._in_stream, args=(*pair, count)) for pair in self._pairs()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return 0.0

    def _pairs(self) -> list[tuple[Run, Any]]:
        return list(zip(self.runs, self.streams, strict=True))

    @staticmethod
    def _in_stream(run: Run, stream: Any, count: int) -> None:
        with torch.cuda.stream(stream):
            run.steps(count)
        stream.synchronize()


class Processes:
    """A warm process for each run.

    Args:
        args, weights: as for `Run`.
        around: a context in which the processes are started, and that ends with them.
    """

    def __init__(self, args: argparse.Namespace, weights: Path, around: Callable[[], Any] = nullcontext):
        self.around, context = around(), get_context("spawn")
        self.around.__enter__()
        self.ends, self.processes = [], []
        for number in range(args.runs):
            here, there = context.Pipe()
            self.processes.append(context.Process(target=work, args=(there, args, weights, number), daemon=True))
            self.processes[-1].start()
            there.close()
            self.ends.append(here)
        self.of_each("ready")

    def of_each(self, what: str, *given: Any) -> list[Any]:
        """Return what each run's method `what` returns, computed at the same time.

        Raises:
            RuntimeError: a process has ended, or its run raised an error.
        """
        for end in self.ends:
            end.send((what, *given))
        try:
            answers = [end.recv() for end in self.ends]
        except EOFError:
            raise RuntimeError("a process with a run has ended; what it said stands above") from None
        for answer in answers:
            if isinstance(answer, str):
                raise RuntimeError(answer)
        return [value for value, _ in answers] if what != "steps" else [seconds for _, seconds in answers]

    def steps(self, count: int) -> float:
        """Make steps of every run; returns the processor seconds that the processes spent on them."""
        return sum(self.of_each("steps", count))

    def close(self) -> None:
        """End the processes."""
        for end in self.ends:
            end.close()
        for process in self.processes:
            process.join(timeout=30)
        self.around.__exit__(None, None, None)


def work(end: Connection, args: argparse.Namespace, weights: Path, number: int) -> None:
    """Answer a parent's requests about a run with (value, processor seconds), or with the message of an error."""
    prepare_cpu_memory()
    try:
        run = Run(args, weights, number)
        while True:
            what, *given = end.recv()
            began = time.process_time()
            value = None if what == "ready" else getattr(run, what)(*given)
            synchronise(torch.device(args.device))
            if what == "gradients":
                value = value[0], [gradient.numpy() for gradient in value[1]]
            elif what == "learned":
                value = [parameter.numpy() for parameter in value]
            end.send((value, time.process_time() - began))
    except EOFError:  # the parent has all it wants
        return
    except Exception as error:
        end.send(f"{type(error).__name__}: {error}")


@contextmanager
def mps() -> Iterator[None]:
    """Run NVIDIA's multi-process service for the processes started in this context."""
    with tempfile.TemporaryDirectory() as folder:
        own = {"CUDA_MPS_PIPE_DIRECTORY": folder, "CUDA_MPS_LOG_DIRECTORY": folder}
        before = {name: os.environ.get(name) for name in own}
        os.environ.update(own)
        subprocess.run([MPS, "-d"], check=True, capture_output=True)
        try:
            yield
        finally:
            subprocess.run([MPS], input="quit\n", text=True, check=True, capture_output=True)
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})


Way = Apart | Processes
GPU = "needs a GPU"


def ways(device: str) -> dict[str, Callable[[argparse.Namespace, Path], Way] | str]:
    """Return the ways by name, the reference first; for a way that cannot run here, the reason."""
    gpu = device == "cuda"
    served: Any = partial(Processes, around=mps)
    if not gpu or shutil.which(MPS) is None:
        served = GPU if not gpu else f"needs {MPS}"
    return {
        "one after the other": Apart,
        "one pass": OnePass,
        "processes": Processes,
        "processes, MPS": served,
        "streams": Streams if gpu else GPU,
    }


def as_tensors(values: Sequence[Any]) -> list[Tensor]:
    """Return tensors from tensors or another process's arrays."""
    return [torch.as_tensor(value) for value in values]
