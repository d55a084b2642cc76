"""Read CLIP weights from the formats they are published in, and load a model by name or path."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from clip.architecture import OF_A_FILE, OF_OPENAI, Architecture
from clip.model import CLIP, convert_weights, from_state_dict
from clip.open_clip_models import find, is_open_clip
from clip.pos_embed import resize_positions
from clip.preprocess import MEAN, STD, evaluation_transform
from clip.pretrained import available_models, resolve
from safeio.archive_limits import refuse_bomb
from safeio.errors import MissingFile, UserError
from safeio.torchscript import torchscript_weights
from safeio.unpickle import CheckpointError, is_torchscript, load_checkpoint_file

# Stored beside the weights, but not part of them: shapes in OpenAI's archives, a causal mask in open_clip's.
NOT_WEIGHTS = {"input_resolution", "context_length", "vocab_size", "attn_mask"}


class WeightsError(UserError, RuntimeError):
    """A file does not hold the weights of a CLIP; the message names the file and what is wrong with it."""


def load(
    name_or_path: str | os.PathLike,
    device: str | torch.device = "cpu",
    jit: bool = False,
    download_root: str | os.PathLike | None = None,
    side: int | None = None,
) -> tuple[CLIP, Callable]:
    """A CLIP in evaluation mode, and the transform its image encoder expects.

    Args:
        name_or_path: one of `clip.available_models`, a weights file (see `state_dict_from`), or one of open_clip's
            names (see `clip.open_clip_models.find`).
        device: where to put it. As with OpenAI's loader, matrices are float32 on the CPU, elsewhere float16.
        jit: kept for callers of OpenAI's loader; only False is possible.
        download_root: cache folder, see `clip.pretrained.cache_folder`.
        side: image size in pixels, where it is to be another than the model's; see `resize_positions`.

    Raises:
        clip.pretrained.UnknownModelError, clip.open_clip_models.UnsupportedModelError, safeio.download.DownloadError,
            WeightsError: each says what to do.
        ValueError: a size that the model's patches do not fill.
    """
    if jit:
        raise ValueError("clip.load never returns a TorchScript program: pass jit=False.")
    path, architecture = _locate(os.fspath(name_or_path), download_root)
    weights = state_dict_from(path)
    try:
        model = from_state_dict(weights, architecture)
    except ValueError as error:
        found = f"The file has {len(weights)} entries, the first are {', '.join(list(weights)[:3])}."
        raise WeightsError(f"{path}: {error}. {found}") from error
    if side not in (None, model.visual.input_resolution):
        model = from_state_dict(resize_positions(weights, side), architecture)
    if torch.device(device).type != "cpu":
        convert_weights(model)
    mean, std = architecture.mean or MEAN, architecture.std or STD
    return model.to(device), evaluation_transform(model.visual.input_resolution, mean, std)


def _locate(name: str, root: str | os.PathLike | None) -> tuple[Path, Architecture]:
    if is_open_clip(name):
        return find(name)
    return resolve(name, root), OF_OPENAI if name in available_models() else OF_A_FILE


def state_dict_from(path: str | os.PathLike) -> dict[str, Tensor]:
    """Weights of a CLIP under OpenAI's parameter names, on the CPU, in the types they are stored in.

    Reads OpenAI's TorchScript archives, files of `torch.save` (a state dict, or a training checkpoint
    that holds one as `state_dict`), safetensors, and `.npz` of plain arrays. Wrappers' `module.`
    prefixes and open_clip's `text.` layout are undone. Which activation a model was trained with, and how
    many heads it has, is not in such a file: see `clip.architecture`.

    Raises:
        FileNotFoundError: there is no such file.
        WeightsError: the file is damaged or holds no named tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFile(f"There is no weights file {path}.")
    content = _read(path)
    content = content.get("state_dict", content)
    tensors = {}
    if isinstance(content, Mapping):
        tensors = {name: value for name, value in content.items() if isinstance(value, Tensor)}
    if not tensors:
        raise WeightsError(f"{path} holds no named tensors, so it is no state dict of a CLIP.")
    return _openai_names(tensors)


def _read(path: Path) -> Mapping:
    try:
        refuse_bomb(path)
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        if _is_npz(path):
            with np.load(path, allow_pickle=False) as arrays:
                return {name: torch.from_numpy(arrays[name]) for name in arrays.files}
        if is_torchscript(path):
            return torchscript_weights(path)
        return load_checkpoint_file(path)
    except CheckpointError as error:
        raise WeightsError(str(error)) from error
    except Exception as error:  # readers answer damaged data with almost any exception
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise WeightsError(f"{path} cannot be read, it is damaged or of another format: {reason}") from error


def _is_npz(path: Path) -> bool:
    if path.suffix == ".npz":
        return True
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return all(name.endswith(".npy") for name in archive.namelist())


def _openai_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    for wrapper in ("module.", "_orig_mod."):  # data-parallel and compiled models save themselves under these
        if all(name.startswith(wrapper) for name in tensors):
            tensors = {name.removeprefix(wrapper): value for name, value in tensors.items()}
    tensors = {name.removeprefix("text."): value for name, value in tensors.items()}
    tensors = {name: value for name, value in tensors.items() if name not in NOT_WEIGHTS}
    if "logit_scale" in tensors and tensors["logit_scale"].numel() == 1:
        tensors["logit_scale"] = tensors["logit_scale"].reshape(())  # open_clip can keep it as a vector
    return tensors
