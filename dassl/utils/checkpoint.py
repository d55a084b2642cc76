"""Checkpoints: ``<folder>/model.pth.tar-<epoch>``, ``model-best.pth.tar``, and a text file naming the newest.

A file is complete or absent, and loads under ``torch.load(weights_only=True)``: nothing in it but tensors,
numbers, strings and containers.
"""

from __future__ import annotations

import os
import warnings
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np
import torch
from torch import nn

from safeio.atomic import atomic_write, atomic_write_text
from safeio.errors import MissingFile, UserError
from safeio.read_back import DamagedFile, check_shape, newest_whole, read_back, reading, say
from safeio.unpickle import CheckpointError, load_checkpoint_file

POINTER = "checkpoint"  # text file beside the checkpoints, holds the name of the newest
BEST = "model-best.pth.tar"
NUMBERED = "model.pth.tar-"  # followed by the number of completed epochs
DROP = object()


class NoneWhole(CheckpointError):
    """None of a folder's checkpoints can be read."""


def state_of_parameters(value: Any) -> bool:
    """names with tensors"""
    return isinstance(value, Mapping) and all(isinstance(name, str) for name in value)


def measured(value: Any) -> bool:
    """a number"""
    return isinstance(value, int | float | np.number)


def settings(value: Any) -> bool:
    """names with numbers, texts and lists of these"""
    return isinstance(value, Mapping) and all(isinstance(name, str) and _setting(part) for name, part in value.items())


def _setting(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_setting, value))
    return settings(value) if isinstance(value, Mapping) else isinstance(value, str | bool | int | float | NoneType)


def about_run(value: Any) -> bool:
    """the identity of a run"""
    if not isinstance(value, Mapping) or value:  # files of published code say nothing
        check_shape(value, ABOUT, "about")
    return True


ABOUT = {
    **dict.fromkeys(("method", "backbone", "dataset"), str),
    **{"settings": settings, "course?": settings, "classes": [str], "workers?": int},
}
CHECKPOINT = {
    "state_dict?": state_of_parameters,
    "val_result?": measured,
    "about?": about_run,
    "notices?": [str],
    **dict.fromkeys(("epoch?", "skipped_steps?"), int),
}
"""Shape of what is read of a checkpoint, where it is there at all: plain weights have none of it."""


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
            is left out, with a warning.
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
    """Write tensors, numbers, strings and containers, atomically; anything else is left out, with a warning."""
    left_out: list[str] = []
    content = _plain(state, "", left_out)
    if left_out:
        print(f"Not saved, because checkpoints hold no objects: {', '.join(left_out)}")
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
    content = load_checkpoint_file(fpath)
    with reading(str(fpath), "a checkpoint that can be used here", CheckpointError):
        check_shape(content, CHECKPOINT)
    return content


def newest_checkpoint(folder: str | os.PathLike) -> Path | None:
    """The checkpoint that the pointer names; without a usable pointer that of the highest epoch; or None."""
    folder = Path(folder)
    pointer = folder / POINTER
    numbered = _numbered(folder)
    try:
        # Only the last part counts: the folder may have been moved since.
        named = read_back(pointer, lambda path: folder / Path(path.read_text(encoding="utf-8").strip()).name)
        if named != folder and named.is_file():
            return named
        if numbered:
            say(f"{pointer} names {named.name}, which is not there: {numbered[-1].name} is used.")
    except MissingFile:
        pass
    except DamagedFile as error:
        say(f"{error} The checkpoint of the highest epoch is used.")
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

    For plugins: a `load_model` of their own looks for the best model unless it is given an epoch, and training that
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
        NoneWhole: none of those there can be read.
    """
    path = newest_checkpoint(folder)
    if path is None:
        raise MissingFile(f"No checkpoint in {folder}: looked for {NUMBERED}<epoch> and {BEST}")
    found = newest_whole([path, *(other for other in reversed(_numbered(folder)) if other != path)], load_checkpoint)
    if found is None:
        raise NoneWhole(
            f"None of the checkpoints in {folder} can be read. Remove the folder, and the same command trains anew; or "
            f"give another OUTPUT_DIR (--output-dir)."
        )
    print(f'Loaded checkpoint from "{found[0]}"')
    return found[1]


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


def load_parameters(model: nn.Module, state_dict: Mapping[str, Any], source: str) -> None:
    """Put parameters into a model.

    Raises:
        safeio.unpickle.CheckpointError: names, shapes or kinds of number differ, or values are no numbers.
    """
    check_finite(state_dict, source)
    for name, own in model.state_dict().items():  # PyTorch would round numbers to whole ones, and drop imaginary parts
        given = state_dict.get(name, own)
        if isinstance(given, torch.Tensor) and given.is_floating_point() != own.is_floating_point():
            raise CheckpointError(f"{source} does not fit this run's model: {name} is {given.dtype} in it.")
    try:
        model.load_state_dict(state_dict)
    except UserError:
        raise
    except Exception as error:  # PyTorch names each parameter, with both shapes; of other types it raises anything
        raise CheckpointError(f"{source} does not fit this run's model: {error}") from error


def check_finite(state_dict: Mapping[str, Any], source: str) -> None:
    """Refuse parameters that predict nothing.

    Raises:
        safeio.unpickle.CheckpointError: some are NaN or infinite.
    """
    lost = [
        name
        for name, value in state_dict.items()
        if isinstance(value, torch.Tensor) and value.is_floating_point() and not torch.isfinite(value).all()
    ]
    if lost:
        raise CheckpointError(
            f"{source} holds parameters that are NaN or infinite ({', '.join(lost[:3])}), which predict nothing: the "
            f"training went wrong. Train anew, with a lower OPTIM.LR for example."
        )


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
