"""Read CLIP weights from the formats they are published in, and load a model by name or path."""

from __future__ import annotations

import os
import re
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from clip.architecture import OF_A_FILE, OF_OPENAI, Architecture
from clip.hugging_face import find as find_hugging_face
from clip.hugging_face import is_hugging_face, weights_files
from clip.layouts import LayoutError, named_tensors, openai_layout
from clip.model import CLIP, convert_weights, from_state_dict
from clip.open_clip_models import find, is_open_clip
from clip.open_clip_models import is_resnet as is_open_clip_resnet
from clip.pos_embed import resize_positions
from clip.preprocess import MEAN, STD, evaluation_transform
from clip.pretrained import available_models, releases, unknown, weights_file
from safeio.archive_limits import refuse_bomb
from safeio.arrays import read_arrays
from safeio.errors import MissingFile
from safeio.escape import shown
from safeio.read_back import DamagedFile, read_back
from safeio.torchscript import torchscript_weights
from safeio.unpickle import CheckpointError, is_torchscript, load_checkpoint_file

LFS = b"version https://git-lfs"
"""Beginning of the note that stands for a file which Git has not fetched."""
REMEDY = "It is damaged, or of another format: fetch it again."


class WeightsError(DamagedFile, RuntimeError):
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
        name_or_path: one of `clip.available_models`, a weights file or folder (see `state_dict_from`), one of
            open_clip's names (see `clip.open_clip_models.find`), or one of the Hugging Face hub, `hf:OWNER/NAME`.
        device: device of the model. As in OpenAI's loader, matrices are float32 on a CPU, elsewhere float16.
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
    if architecture is OF_A_FILE and not is_torchscript(path):  # which is how OpenAI's own are released
        warnings.warn(
            f"{path} does not say which activation, heads and normalisation its CLIP has: OpenAI's are assumed "
            f"(QuickGELU, heads of width 64). If it has others, as most of open_clip's have, give its folder, or "
            f"open_clip:ARCHITECTURE/FILE.",
            stacklevel=2,
        )
    if side not in (None, model.visual.input_resolution):
        model = from_state_dict(resize_positions(weights, side), architecture)
    if torch.device(device).type != "cpu":
        convert_weights(model)
    mean, std = architecture.mean or MEAN, architecture.std or STD
    return model.to(device), evaluation_transform(model.visual.input_resolution, mean, std)


def known_resnet(name: str) -> bool:
    """Return True if the name alone shows that the image encoder is a ResNet, so that nothing is downloaded."""
    return is_open_clip_resnet(name) if is_open_clip(name) else name in releases() and name.startswith("RN")


def not_found(name: str) -> str | None:
    """Return the message for what `load` would find nowhere; None for what it finds, or will look for elsewhere."""
    try:
        return None if is_open_clip(name) or is_hugging_face(name) else unknown(name)
    except (OSError, ValueError):  # too long for a file's name, or with a zero in it
        return f"There is no CLIP called {shown(name)}, and no file can be."


def _locate(name: str, root: str | os.PathLike | None) -> tuple[Path, Architecture]:
    if is_open_clip(name):
        return find(name)
    if name not in available_models() and is_hugging_face(name):
        return find_hugging_face(name)
    return weights_file(name, root), OF_OPENAI if name in available_models() else OF_A_FILE


def state_dict_from(path: str | os.PathLike) -> dict[str, Tensor]:
    """Read the weights of a CLIP under OpenAI's parameter names, on the CPU, in the types they are stored in.

    Reads OpenAI's TorchScript archives, files of `torch.save` (a state dict, or a training checkpoint that holds one),
    safetensors, `.npz` of plain arrays, and folders of a Hugging Face `CLIPModel`, in one file or several. Names are
    brought to OpenAI's by `clip.layouts`. Which activation a model was trained with, and how many heads it has, is not
    in such a file: see `clip.architecture`.

    Raises:
        FileNotFoundError: there is no such file.
        WeightsError: the file is damaged or holds no named tensors.
    """
    path = Path(path)
    if path.is_dir():
        files = weights_files(path)
    elif path.is_file():
        files = [path]
    else:
        raise MissingFile(f"There is no weights file {path}.")
    tensors = {name: value for file in files for name, value in named_tensors(_read(file)).items()}
    if not tensors:
        raise WeightsError(f"{path} holds no named tensors, so it is no state dict of a CLIP.")
    try:
        return openai_layout(tensors)
    except LayoutError as error:
        shard = re.search(r"-\d+-of-\d+\.", path.name)
        hint = f" This is one of several files: give the folder, {path.parent}." if shard else ""
        raise WeightsError(f"{path}: {error}{hint}") from error


def _read(path: Path) -> Mapping:
    try:
        return read_back(path, _tensors, REMEDY, "weights", WeightsError)
    except CheckpointError as error:
        raise WeightsError(str(error)) from error


def _tensors(path: Path) -> Mapping:
    refuse_bomb(path)
    with open(path, "rb") as file:
        if file.read(len(LFS)) == LFS:
            raise WeightsError(f"{path} is a pointer of Git LFS, not the weights. Fetch them: git lfs pull.")
    if path.suffix == ".safetensors":
        return safetensors.torch.load_file(path)
    if _is_npz(path):
        return {name: torch.from_numpy(array) for name, array in read_arrays(path).items()}
    if is_torchscript(path):
        return torchscript_weights(path)
    return load_checkpoint_file(path)


def _is_npz(path: Path) -> bool:
    if path.suffix == ".npz":
        return True
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return all(name.endswith(".npy") for name in archive.namelist())
