"""Base class of all trainers: holds models and their optimisers, saves and loads them, and runs epochs."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dassl.engine.callbacks import Callback
from dassl.utils.checkpoint import (
    find_checkpoint,
    load_checkpoint,
    load_parameters,
    newest_checkpoint,
    newest_of_one_epoch,
    restore_from_state,
    save_checkpoint,
)
from dassl.utils.environment import random_state, restore_random_state
from dassl.utils.phases import phase
from safeio.errors import UserError
from safeio.read_back import say
from safeio.unpickle import CheckpointError

Names = str | Sequence[str] | None


class TrainerBase:
    """The life of a training run as a sequence of hooks that subclasses override.

    ``train`` calls ``before_train``, then in each epoch ``before_epoch``, ``run_epoch``, ``after_epoch``, and
    at the end ``after_train``.
    """

    def __init__(self):
        self._models: OrderedDict[str, nn.Module] = OrderedDict()
        self._optims: OrderedDict[str, torch.optim.Optimizer | None] = OrderedDict()
        self._scheds: OrderedDict[str, Any] = OrderedDict()
        self._writer = None
        self.callbacks: list[Callback] = []
        self.notices: list[str] = []  # for the run's record; checkpoints carry them on
        self.workers_before: int | None = None  # loader processes of the training that is continued

    def notify(self, event: str, *details: Any) -> None:
        """Call a method of every callback, such as ``on_epoch_end``."""
        for callback in self.callbacks:
            getattr(callback, event)(self, *details)

    def notice(self, message: str) -> None:
        """Print a warning that readers of the result must know; it is kept in the record and the checkpoints."""
        say(message)
        self._add_notices([message])

    def _add_notices(self, messages: Sequence[str]) -> None:
        self.notices += [message for message in messages if message not in self.notices]

    # Models

    def register_model(self, name: str = "model", model: Any = None, optim: Any = None, sched: Any = None) -> None:
        """Register a model with its optimiser and schedule, which the trainer then saves, resumes and steps.

        Raises:
            ValueError: the name is taken.
        """
        if "_models" not in self.__dict__:
            raise AttributeError("Call super().__init__() before register_model()")
        if name in self._models:
            raise ValueError(f"A model named {name!r} is already registered")
        self._models[name] = model
        self._optims[name] = optim
        self._scheds[name] = sched

    def get_model_names(self, names: Names = None) -> list[str]:
        """``names`` as a list, after checking that they are registered; without names all."""
        if names is None:
            return list(self._models)
        names = [names] if isinstance(names, str) else list(names)
        for name in names:
            if name not in self._models:
                raise KeyError(f"No model named {name!r} is registered; there are {list(self._models)}")
        return names

    def set_model_mode(self, mode: str = "train", names: Names = None) -> None:
        """``train``, or ``eval`` (also called ``test``), for dropout and batch normalisation."""
        if mode not in ("train", "eval", "test"):
            raise KeyError(f"Unknown model mode {mode!r}, expected 'train', 'eval' or 'test'")
        for name in self.get_model_names(names):
            if self._models[name] is not None:
                self._models[name].train(mode == "train")

    def update_lr(self, names: Names = None) -> None:
        """Step the schedules; to be called once at the end of an epoch."""
        for name in self.get_model_names(names):
            if self._scheds[name] is not None:
                self._scheds[name].step()

    def get_current_lr(self, names: Names = None) -> float:
        """Rate of the first parameter group of the first model that has an optimiser; 0.0 if none has."""
        optims = (self._optims[name] for name in self.get_model_names(names))
        return next((optim.param_groups[0]["lr"] for optim in optims if optim is not None), 0.0)

    # Files

    def save_model(
        self,
        epoch: int,
        directory: str | os.PathLike,
        is_best: bool = False,
        val_result: float | None = None,
        model_name: str = "",
    ) -> None:
        """Write a checkpoint of each model into ``<directory>/<model name>/``. ``epoch`` counts from 0."""
        with phase("writing"):
            for name in self.get_model_names():
                save_checkpoint(
                    self.checkpoint_state(name, epoch + 1, val_result),
                    os.path.join(directory, name),
                    is_best=is_best,
                    model_name=model_name,
                )

    def checkpoint_state(self, name: str, epoch: int, val_result: float | None = None) -> dict[str, Any]:
        """Return the content of a checkpoint of model ``name`` after ``epoch`` epochs; overrides may add to it."""
        optim, sched = self._optims[name], self._scheds[name]
        scaler = getattr(self, "scaler", None)  # where CoOp-style plugins keep torch's GradScaler
        return {
            "state_dict": self._models[name].state_dict(),
            "epoch": epoch,
            "optimizer": None if optim is None else optim.state_dict(),
            "scheduler": None if sched is None else sched.state_dict(),
            "val_result": val_result,
            "scaler": scaler.state_dict() if hasattr(scaler, "state_dict") else None,
            "random_state": random_state(),
            "about": self.about(),
            "notices": list(self.notices),
        }

    def about(self) -> dict[str, Any]:
        """Return the run's identity, which checkpoints keep for `check_about`: numbers, texts and containers."""
        return {}

    def check_about(self, about: dict[str, Any], source: str, resuming: bool) -> None:
        """Refuse a checkpoint of another run, by the identity kept in it. Subclasses override this.

        Args:
            about: empty for files of published code; source: the file, for the message.
            resuming: whether training is to continue from it, or it is only tested.
        """

    def restore_state(self, name: str, state: dict[str, Any]) -> int:
        """Restore what :meth:`checkpoint_state` returned; return the number of completed epochs.

        A file of published code has neither random state nor loss scaler; those are then left unchanged.

        Raises:
            safeio.unpickle.CheckpointError: an entry is missing or does not fit the parameters, for example because
                another version of the code wrote it.
        """
        source = f"The checkpoint of {name} to resume from"
        try:
            about = state.get("about") or {}
            self.check_about(about, source, resuming=True)
            self.workers_before = about.get("workers")
            self._add_notices(state.get("notices") or ())
            epoch = restore_from_state(state, self._models[name], self._optims[name], self._scheds[name])
            if state.get("scaler") and getattr(self, "scaler", None) is not None:
                self.scaler.load_state_dict(state["scaler"])
            if state.get("random_state"):
                restore_random_state(state["random_state"])
        except UserError:
            raise
        except Exception as error:  # states of another shape: almost any
            raise CheckpointError(
                f"{source} does not fit what is trained here ({type(error).__name__}: {error}). It may be of another "
                f"version of this code: continue with that one, or train anew with another OUTPUT_DIR (--output-dir)."
            ) from error
        return epoch

    def resume_model_if_exist(self, directory: str | os.PathLike) -> int:
        """Continue from the newest checkpoints in ``directory``, if every model has one.

        Returns:
            The number of completed epochs, 0 when there is nothing to continue from.

        Raises:
            safeio.errors.MissingFile: the models' newest checkpoints are of different epochs, and one lacks the
                earliest of these.
        """
        folders = {name: Path(directory) / name for name in self.get_model_names()}
        if not folders or not all(newest_checkpoint(folder) for folder in folders.values()):
            return 0
        print(f"Resuming the training in {directory}")
        for name, state in newest_of_one_epoch(folders).items():
            epoch = self.restore_state(name, state)
        print(f"Resumed after epoch {epoch}")
        return epoch

    def load_model(self, directory: str | os.PathLike, epoch: int | None = None) -> None:
        """Load every model from ``<directory>/<model name>/``.

        Args:
            epoch: completed epochs of the checkpoint; without it the best on validation data if there is one,
                else the newest.

        Raises:
            safeio.errors.MissingFile: a model has no such file; the message names what was looked for.
            safeio.unpickle.CheckpointError: it is damaged, or of other parameters.
        """
        if not directory:
            print("No model folder given: nothing is loaded")
            return
        for name in self.get_model_names():
            path = find_checkpoint(Path(directory) / name, epoch)
            checkpoint = load_checkpoint(path)
            self.check_about(checkpoint.get("about") or {}, str(path), resuming=False)
            print(f'Loading weights to {name} from "{path}" (epoch = {checkpoint.get("epoch")})')
            if "state_dict" not in checkpoint:
                raise CheckpointError(f"{path} is no checkpoint of a run: it has no state_dict")
            load_parameters(self._models[name], checkpoint["state_dict"], str(path))
            self._add_notices(checkpoint.get("notices") or ())

    # TensorBoard

    def init_writer(self, log_dir: str | os.PathLike) -> None:
        """Open a TensorBoard writer; if the package is missing, print that no curves are written."""
        if self._writer is not None:
            return
        try:
            from torch.utils.tensorboard import SummaryWriter  # optional, and slow to import
        except ImportError:
            print("TensorBoard is not installed: no curves are written (pip install tensorboard)")
            return
        try:
            self._writer = SummaryWriter(log_dir=os.fspath(log_dir))
        except (OSError, ValueError) as error:  # ValueError: a path that is no UTF-8
            print(f"TensorBoard cannot write to {log_dir}, so there are no curves: {error}")
            return
        print(f"TensorBoard curves go to {log_dir}")

    def close_writer(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def write_scalar(self, tag: str, scalar_value: float, global_step: int | None = None) -> None:
        """Add a point to a TensorBoard curve, if there is a writer."""
        if self._writer is not None:
            self._writer.add_scalar(tag, scalar_value, global_step)

    # Life

    def train(self, start_epoch: int, max_epoch: int) -> None:
        """Run the epochs ``start_epoch`` (which ``before_train`` may move) to ``max_epoch - 1``."""
        self.start_epoch = start_epoch
        self.max_epoch = max_epoch
        self.before_train()
        epochs = range(self.start_epoch, self.max_epoch)
        for self.epoch in epochs:
            self.before_epoch()
            self.run_epoch()
            self.after_epoch()
        self.after_train()

    def before_train(self) -> None:
        pass

    def after_train(self) -> None:
        pass

    def before_epoch(self) -> None:
        pass

    def after_epoch(self) -> None:
        pass

    def run_epoch(self) -> None:
        raise NotImplementedError

    def test(self, split: str | None = None) -> Any:
        raise NotImplementedError

    def parse_batch_train(self, batch: Any) -> Any:
        raise NotImplementedError

    def parse_batch_test(self, batch: Any) -> Any:
        raise NotImplementedError

    def forward_backward(self, batch: Any) -> dict[str, Any] | None:
        """One training step; returns scalars to print."""
        raise NotImplementedError

    def model_inference(self, input: Any) -> Any:
        raise NotImplementedError

    # Parts of a training step

    def detect_anomaly(self, loss: Tensor) -> None:
        if not torch.isfinite(loss).all():
            raise FloatingPointError("Loss is infinite or NaN!")

    def model_zero_grad(self, names: Names = None) -> None:
        for name in self.get_model_names(names):
            if self._optims[name] is not None:
                self._optims[name].zero_grad()

    def model_backward(self, loss: Tensor) -> None:
        self.detect_anomaly(loss)
        loss.backward()

    def model_update(self, names: Names = None) -> None:
        for name in self.get_model_names(names):
            if self._optims[name] is not None:
                self._optims[name].step()

    def model_backward_and_update(self, loss: Tensor, names: Names = None) -> None:
        """Zero the gradients, run the backward pass, and step the optimisers."""
        self.model_zero_grad(names)
        self.model_backward(loss)
        self.model_update(names)
