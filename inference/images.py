"""Batches of images from files and folders; unreadable files are reported and skipped."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch
from PIL import Image
from torch import Tensor

from safeio.errors import UserError
from safeio.images import image_suffixes, is_image_name, read_image

Item = TypeVar("Item", Path, "Path | Image.Image")


class NoImagesError(UserError, ValueError):
    """No image was found; the message names the places searched."""


class Unreadable(NamedTuple):
    """A file that is no readable image, and why."""

    path: Path
    why: str


def find_images(paths: Iterable[str | os.PathLike]) -> list[Path]:
    """Named files in their order, folders replaced by the images below them, sorted; each once.

    Raises:
        NoImagesError: nothing was named, or the folders hold no image.
    """
    given = [Path(path) for path in paths]
    found: dict[Path, None] = {}
    for path in given:
        found.update(dict.fromkeys(_below(path) if path.is_dir() else [path]))
    if not found:
        named = ", ".join(map(str, given)) or "an empty list"
        looked = ", ".join(sorted(image_suffixes()))
        raise NoImagesError(f"No images found in {named}: looked for files ending in {looked}")
    return list(found)


def _below(folder: Path) -> list[Path]:
    def wanted(path: Path) -> bool:
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        return is_image_name(path) and not hidden and path.is_file()

    return sorted(path for path in folder.rglob("*") if wanted(path))


def read_upright(path: str | os.PathLike) -> Image.Image:
    """Read an image as RGB, turned upright by its EXIF orientation; damaged EXIF data is ignored.

    Raises:
        OSError: the file is missing or is no readable image.
    """
    return read_image(path, upright=True)


def batches(
    items: Iterable[Item], transform: Callable[[Image.Image], Tensor], size: int
) -> Iterator[tuple[list[Item], Tensor | None, list[Unreadable]]]:
    """Yield up to `size` files or images in memory at a time; the next are read while the caller computes.

    Yields:
        The n readable ones, their tensor (n, 3, S, S) or None if there is none, the unreadable ones.
    """

    def read(item: Item) -> Tensor:
        return transform(item if isinstance(item, Image.Image) else read_upright(item))

    left = iter(items)
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as threads:
        waiting: list[tuple[Item, Future]] = []
        while True:
            ahead = [(item, threads.submit(read, item)) for item in itertools.islice(left, size)]
            if waiting:
                yield _gathered(waiting)
            waiting = ahead
            if not ahead:
                return


def _gathered(waiting: Sequence[tuple[Item, Future]]) -> tuple[list[Item], Tensor | None, list[Unreadable]]:
    readable, tensors, unreadable = [], [], []
    for item, future in waiting:
        try:
            tensors.append(future.result())
            readable.append(item)
        except OSError as error:
            unreadable.append(Unreadable(Path(str(item)), str(error)))
    return readable, torch.stack(tensors) if tensors else None, unreadable
