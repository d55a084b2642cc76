"""From files and folders to batches of images; what cannot be read is told, not fatal."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image, ImageOps
from torch import Tensor

from dassl.utils.files import read_image

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".avif"}
"""Files of a folder that are taken for images; a file that is named itself is always tried."""


class NoImagesError(ValueError):
    """Nothing to look at; the message names where was looked."""


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
        raise NoImagesError(f"No images found in {named}: looked for files ending in {', '.join(sorted(SUFFIXES))}")
    return list(found)


def _below(folder: Path) -> list[Path]:
    def wanted(path: Path) -> bool:
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        return path.suffix.lower() in SUFFIXES and not hidden and path.is_file()

    return sorted(path for path in folder.rglob("*") if wanted(path))


def read_upright(path: str | os.PathLike) -> Image.Image:
    """A image as RGB, turned upright as its camera says; a damaged note of the camera is ignored.

    Raises:
        OSError: the file is missing or is no readable image.
    """
    image = read_image(path)
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # Pillow answers damaged EXIF data with almost any exception; the image itself is whole
        return image


def batches(
    paths: Sequence[Path], transform: Callable[[Image.Image], Tensor], size: int
) -> Iterator[tuple[list[Path], Tensor | None, list[Unreadable]]]:
    """Up to `size` files at a time; the next are read while the caller computes.

    Yields:
        Paths of the n readable ones, their tensor (n, 3, S, S) or None if there is none, the unreadable ones.
    """

    def read(path: Path) -> Tensor:
        return transform(read_upright(path))

    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as threads:
        waiting: list[tuple[Path, Future]] = []
        for first in range(0, len(paths) + size, size):
            ahead = [(path, threads.submit(read, path)) for path in paths[first : first + size]]
            if waiting:
                yield _gathered(waiting)
            waiting = ahead


def _gathered(waiting: Sequence[tuple[Path, Future]]) -> tuple[list[Path], Tensor | None, list[Unreadable]]:
    readable, tensors, unreadable = [], [], []
    for path, future in waiting:
        try:
            tensors.append(future.result())
            readable.append(path)
        except OSError as error:
            unreadable.append(Unreadable(path, str(error)))
    return readable, torch.stack(tensors) if tensors else None, unreadable
