"""Checkpoints: ``<folder>/model.pth.tar-<epoch>``, ``model-best.pth.tar``, and a text file naming the newest.

A file is complete or absent, and loads under ``torch.load(weights_only=True)``: nothing in it but tensors,
numbers, strings and containers.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from safeio.atomic import atomic_write, atomic_write_text
from safeio.errors import MissingFile
from safeio.unpickle import CheckpointError, load_checkpoint_file

POINTER = "checkpoint"  # text file beside the checkpoints, holds the name of the newest
BEST = "model-best.pth.tar"
NUMBERED = "model.pth.tar-"  # followed by the number of completed epochs
DROP = object()


def save_checkpoint(
    state: Mapping[str, Any],
    save_dir: str | os.PathLike,
    is_best: bool = False,
    remove_module_from_keys: bool = True,
    model_name: str = "",
) -> None:
    """Write one checkpoint, and then the pointer to it.

    Args:
        state: ``state_dict``, ``epoch`` (completed epochs) and whatever else is to be kept, such as
            ``optimizer``, ``scheduler``, ``val_result``. What is neither tensor, number, string nor container
            is left out, and said.
        save_dir: folder, made when missing.
        is_best: write ``model-best.pth.tar`` too.
        remove_module_from_keys: strip the ``module.`` that a parallel wrapper puts before parameter names.
        model_name: file name instead of ``model.pth.tar-<epoch>``.
    """
    folder = Path(save_dir)
    path = folder / (model_name or f"{NUMBERED}{state['epoch']}")
    state = dict(state)
    if remove_module_from_keys:
        state["state_dict"] = without_module_prefix(state["state_dict"])
    for target in [path, folder / BEST] if is_best else [path]:
        save_plain(state, target)
        print(f"Checkpoint saved to {target}")
    atomic_write_text(folder / POINTER, f"{path.name}\n")


def save_plain(state: Mapping[str, Any], path: str | os.PathLike) -> None:
    """Write tensors, numbers, strings and containers, atomically; anything else is left out, and said."""
    left_out: list[str] = []
    content = _plain(state, "", left_out)
    if left_out:
        print(f"Not saved, being objects: {', '.join(left_out)}")
    with atomic_write(path) as file:
        torch.save(content, file)


def load_checkpoint(fpath: str | os.PathLike) -> dict[str, Any]:
    """Read a checkpoint to the CPU, ours or one written by published code, without running anything in it.

    Raises:
        ValueError: no path given.
        FileNotFoundError: there is no such file.
        safeio.unpickle.CheckpointError: the file is damaged, or is no checkpoint.
    """
    if fpath is None:
        raise ValueError("No checkpoint path was given (None)")
    return load_checkpoint_file(fpath)


def newest_checkpoint(folder: str | os.PathLike) -> Path | None:
    """The checkpoint that the pointer names; without a usable pointer that of the highest epoch; or None."""
    folder = Path(folder)
    pointer = folder / POINTER
    if pointer.is_file():
        # Only the last part counts: the folder may have been moved since.
        named = folder / Path(pointer.read_text(encoding="utf-8").strip()).name
        if named.is_file():
            return named
    numbered = _numbered(folder)
    return numbered[-1] if numbered else None


def find_checkpoint(folder: Path, epoch: int | None) -> Path:
    """The checkpoint after `epoch` epochs; for None the best on validation data if there is one, else the newest.

    Raises:
        safeio.errors.MissingFile: there is none; says what was looked for and what is there.
    """
    if epoch is not None:
        path, sought = folder / f"{NUMBERED}{epoch}", f"{NUMBERED}{epoch}"
    else:
        best = folder / BEST
        path, sought = best if best.is_file() else newest_checkpoint(folder), f"{BEST} or {NUMBERED}<epoch>"
    if path is None or not path.is_file():
        there = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else None
        found = f"which holds {there}" if there is not None else "which does not exist: was that run trained?"
        raise MissingFile(f"No model found: looked for {sought} in {folder}, {found}")
    return path


def newest_epoch(folders: Sequence[str | os.PathLike]) -> int | None:
    """Completed epochs of the newest checkpoint in all of these folders, where none holds a best one.

    For plugins: a `load_model` of their own looks for the best model unless it is told an epoch, and training that
    ends with the last step writes none.
    """
    if any((Path(folder) / BEST).is_file() for folder in folders):
        return None
    newest = {path.name if (path := newest_checkpoint(folder)) else "" for folder in folders}
    epoch = newest.pop().removeprefix(NUMBERED) if len(newest) == 1 else ""
    return int(epoch) if epoch.isdecimal() else None


def _numbered(folder: str | os.PathLike) -> list[Path]:
    """The numbered checkpoints of a folder, ascending."""
    found = {path.name.removeprefix(NUMBERED): path for path in Path(folder).glob(f"{NUMBERED}*")}
    return [found[number] for number in sorted((n for n in found if n.isdecimal()), key=int)]


def load_newest_checkpoint(folder: str | os.PathLike) -> dict[str, Any]:
    """Read what :func:`newest_checkpoint` finds; if that is damaged, say so and read the one before it.

    Raises:
        FileNotFoundError: no checkpoint there.
        safeio.unpickle.CheckpointError: none of those there can be read.
    """
    path = newest_checkpoint(folder)
    if path is None:
        raise MissingFile(f"No checkpoint in {folder}: looked for {NUMBERED}<epoch> and {BEST}")
    candidates = [path, *(other for other in reversed(_numbered(folder)) if other != path)]
    while True:
        candidate = candidates.pop(0)
        print(f'Loading checkpoint from "{candidate}"')
        try:
            return load_checkpoint(candidate)
        except CheckpointError as error:
            if not candidates:
                raise
            print(f"WARNING: {error} The checkpoint before it is used.", file=sys.stderr)


def newest_of_one_epoch(folders: Mapping[str, Path]) -> dict[str, dict[str, Any]]:
    """The newest checkpoints of models that were saved one after the other, none later than the others.

    Args:
        folders: of each model, by name.

    Raises:
        FileNotFoundError: the newest are of different epochs, and one folder lacks the earliest of these.
        safeio.unpickle.CheckpointError: as `load_newest_checkpoint`.
    """
    states = {name: load_newest_checkpoint(folder) for name, folder in folders.items()}
    epochs = {name: state.get("epoch", 0) for name, state in states.items()}
    if len(set(epochs.values())) == 1:
        return states
    print(f"The newest checkpoints are of different epochs {epochs}: those of the earliest are used")
    return {name: load_checkpoint(find_checkpoint(folder, min(epochs.values()))) for name, folder in folders.items()}


def restore_from_state(
    state: Mapping[str, Any],
    model: nn.Module,
    optimizer: torch.optim.Optimizer | None = None,
    scheduler: Any = None,
) -> int:
    """Put model, optimiser and scheduler into the state of a checkpoint; returns the completed epochs."""
    model.load_state_dict(state["state_dict"])
    epoch = int(state["epoch"])
    if optimizer is not None and state.get("optimizer") is not None:
        optimizer.load_state_dict(state["optimizer"])
    if scheduler is not None and state.get("scheduler") is not None:
        # Upstream pickles a scheduler within the scheduler; of that, the epoch says all there is to know.
        foreign = "successor" in state["scheduler"]
        scheduler.load_state_dict({"last_epoch": epoch} if foreign else state["scheduler"])
    return epoch


def resume_from_checkpoint(
    fdir: str | os.PathLike,
    model: nn.Module,
    optimizer: torch.optim.Optimizer | None = None,
    scheduler: Any = None,
) -> int:
    """Put model, optimiser and scheduler back where the newest checkpoint in ``fdir`` left them.

    Returns:
        The number of completed epochs.

    Raises:
        FileNotFoundError: no checkpoint there.
    """
    return restore_from_state(load_newest_checkpoint(fdir), model, optimizer, scheduler)


def load_pretrained_weights(model: nn.Module, weight_path: str | os.PathLike) -> None:
    """Load those parameters of a file that agree with the model in name and size, and print which do not."""
    checkpoint = load_checkpoint(weight_path)
    given = without_module_prefix(checkpoint.get("state_dict", checkpoint))
    own = model.state_dict()
    fitting = {name: value for name, value in given.items() if name in own and own[name].shape == value.shape}
    discarded = [name for name in given if name not in fitting]
    if not fitting:
        warnings.warn(f"Nothing in {weight_path} fits the model: no parameter agrees in name and size", stacklevel=2)
        return
    model.load_state_dict({**own, **fitting})
    print(f'Loaded {len(fitting)} of {len(own)} tensors from "{weight_path}"')
    if discarded:
        print(f"Discarded because name or size differ: {discarded}")


def without_module_prefix(state_dict: Mapping[str, Any]) -> OrderedDict[str, Any]:
    """The same tensors under names without a leading ``module.``."""
    return OrderedDict((name.removeprefix("module."), value) for name, value in state_dict.items())


def _plain(value: Any, where: str, left_out: list[str]) -> Any:
    """``value`` with numpy scalars as Python numbers and without objects, whose places go to ``left_out``."""
    if isinstance(value, np.generic):  # before float: numpy.float64 is a float, but pickles as numpy's
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str, torch.Tensor)):
        return value
    if isinstance(value, Mapping):
        kind = type(value) if type(value) in (OrderedDict, Counter) else dict
        items = ((key, _plain(item, f"{where}.{key}".lstrip("."), left_out)) for key, item in value.items())
        return kind({key: item for key, item in items if item is not DROP})
    if isinstance(value, (list, tuple, set)):
        items = (_plain(item, f"{where}[{i}]", left_out) for i, item in enumerate(value))
        return (tuple if isinstance(value, tuple) else list)(item for item in items if item is not DROP)
    left_out.append(where)
    return DROP
