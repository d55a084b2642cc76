"""Inputs of predictions: files, folders, PIL images, arrays, tensors, and anything that yields these one by one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from inference.images import NoImagesError, find_images
from safeio.errors import UserError
from safeio.images import as_rgb

Source = Path | Image.Image
"""A file, or an image in memory (RGB)."""


class InputError(UserError, TypeError, ValueError):
    """Something that is no image; the message says what it is and what is expected."""


def sources(inputs: Any) -> Iterable[Source]:
    """Return files and images in memory; a sequence where their number is known.

    Args:
        inputs: a path, a folder, a PIL image, an array (H, W), (H, W, 3) or (N, H, W, 3), a tensor (3, H, W) or
            (N, 3, H, W), or an iterable of these. Numbers are uint8, or floats from 0 to 1.

    Raises:
        InputError: none of these.
        NoImagesError: a folder without images, or an empty list.
    """
    if isinstance(inputs, np.ndarray) and inputs.dtype.kind in "OU":  # paths, or images, one by one
        inputs = inputs.ravel().tolist()
    if isinstance(inputs, Sequence) and not isinstance(inputs, str | bytes):
        found = [source for item in inputs for source in _expand(item)]
        return _not_empty(found)
    if isinstance(inputs, str | os.PathLike | Image.Image | np.ndarray | Tensor):
        return _not_empty(list(_expand(inputs)))
    if hasattr(inputs, "read"):
        raise InputError("An open file is no image: give its path, or PIL.Image.open of it")
    if isinstance(inputs, Iterable) and not isinstance(inputs, bytes | Mapping):
        return (source for item in inputs for source in _expand(item))
    raise InputError(f"{type(inputs).__name__} is no image: give a path, a PIL image, an array, a tensor, or a list")


def _not_empty(found: list[Source]) -> list[Source]:
    if not found:
        raise NoImagesError("There is nothing to predict: the list, array or tensor is empty")
    return found


def _expand(item: Any) -> Iterator[Source]:
    if isinstance(item, str | os.PathLike):
        if not os.fspath(item):
            raise InputError("A path is empty: name an image or a folder")
        try:
            found = find_images([item])
        except OSError as error:
            raise InputError(f"{os.fspath(item):.80} cannot be read: {error.strerror or error}") from error
        yield from found
    elif isinstance(item, Image.Image):
        yield _rgb(item)
    elif isinstance(item, Tensor):
        try:
            item = item.detach().cpu()
            array = (item.float() if item.is_floating_point() else item).numpy()  # NumPy has no bfloat16
        except (RuntimeError, TypeError) as error:  # sparse, or without numbers
            raise InputError(f"A tensor is no image: {error}") from error
        if array.ndim not in (3, 4) or array.shape[-3] not in (1, 3):
            raise InputError(f"A tensor is (3, H, W) or (N, 3, H, W), this one is {tuple(array.shape)}")
        yield from _images(np.moveaxis(array, -3, -1))
    elif isinstance(item, np.ndarray):
        yield from _images(item)
    else:
        raise InputError(f"{type(item).__name__} is no image: expected a path, a PIL image, an array or a tensor")


def _rgb(image: Image.Image) -> Image.Image:
    """Return an image in memory as RGB.

    Raises:
        InputError: it has no pixels, is cut off, or has numbers of an unknown range.
    """
    if 0 in image.size:
        raise InputError(f"An image of {image.width} x {image.height} pixels is empty")
    try:
        return as_rgb(image)
    except (OSError, ValueError) as error:  # Pillow decodes an opened file only now
        raise InputError(f"An image in memory cannot be read: {error}") from error


def checked_path(path: str | os.PathLike, name: str) -> Path:
    """Return an argument as path.

    Raises:
        InputError: it is no text and no path, is empty, or too long; the message has the argument's name.
    """
    if not isinstance(path, str | os.PathLike) or not os.fspath(path):
        raise InputError(f"{name} is {path!r:.80}; expected a path")
    try:
        Path(path).exists()
    except OSError as error:
        raise InputError(f"{name} is {os.fspath(path):.80}: {error.strerror or error}") from error
    return Path(path)


def check_numbers(**numbers: Any) -> None:
    """Refuse options that are no whole numbers from 1 on.

    Raises:
        InputError: one is not; the message has its name.
    """
    for name, number in numbers.items():
        if not isinstance(number, int | np.integer) or isinstance(number, bool) or number < 1:
            raise InputError(f"{name} is {number!r}; it must be a whole number of at least 1")


def _images(array: np.ndarray) -> Iterator[Image.Image]:
    """Yield the images of an array, channels last."""
    if array.ndim == 4:
        for one in array:
            yield from _images(one)
        return
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[-1] not in (3, 4)) or 0 in array.shape:
        hint = "; channels come last, other than in a tensor" if 3 in array.shape[:1] else ""
        raise InputError(f"An array is (H, W), (H, W, 3) or (N, H, W, 3), this one is {array.shape}{hint}")
    if array.dtype != np.uint8:
        if not np.issubdtype(array.dtype, np.number) or np.iscomplexobj(array):
            raise InputError(f"An array of images has numbers, this one {array.dtype}")
        low, high = float(array.min()), float(array.max())
        if not (np.isfinite(low) and np.isfinite(high)) or low < 0 or high > (1 if array.dtype.kind == "f" else 255):
            raise InputError(
                f"Images are uint8 or floats from 0 to 1, this array is {array.dtype}, {low:g} to {high:g}"
            )
        array = np.round(array * (255 if array.dtype.kind == "f" else 1)).astype(np.uint8)
    yield Image.fromarray(np.ascontiguousarray(array)).convert("RGB")
