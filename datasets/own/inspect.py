"""Check every image of a dataset: find broken ones and duplicates across splits, and draw a contact sheet."""

from __future__ import annotations

import hashlib
import io
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from dassl.data.datasets import Datum
from dassl.data.few_shot import group_by
from datasets.base.splits import Split
from safeio.atomic import atomic_write
from safeio.escape import for_line
from safeio.images import read_image
from safeio.packed_images import is_packed, packed_bytes
from safeio.progress import progress

NEAR = 6
"""Bits of 64 by which the perceptual hashes of near duplicates differ at most."""
BLOCK = 1024
"""Images handed to the threads together, and hashes compared together."""
CELL, PER_CLASS, MOST_CLASSES = 96, 4, 40
"""Sizes of the contact sheet: pixels of an image, images of each class and split, classes."""


class Look(NamedTuple):
    """Facts about an image: its fault, the hash of its bytes, its perceptual hash; None if unknown."""

    path: str
    problem: str | None
    content: str
    perceptual: int | None


@dataclass
class Findings:
    """The outcome of looking at every image.

    Attributes:
        unreadable: reasons, an image each.
        exact, near: pairs of images in different splits.
        near_looked_for: False where imagehash is not installed.
    """

    unreadable: list[str] = field(default_factory=list)
    exact: list[tuple[str, str]] = field(default_factory=list)
    near: list[tuple[str, str]] = field(default_factory=list)
    near_looked_for: bool = True

    def lines(self) -> Iterator[str]:
        """Yield the findings as text."""
        yield f"unreadable images: {len(self.unreadable):,}"
        yield from (f"  {reason}" for reason in self.unreadable[:20])
        yield f"exact duplicates across splits: {len(self.exact):,}"
        yield from (f"  {one} = {other}" for one, other in self.exact[:20])
        if self.near_looked_for:
            yield f"near duplicates across splits: {len(self.near):,}"
            yield from (f"  {one} ~ {other}" for one, other in self.near[:20])
        else:
            yield "near duplicates: not looked for, imagehash is not installed (pip install imagehash)"


def inspect(splits: Split) -> Findings:
    """Decode every image of a dataset and compare those of different splits."""
    hasher = _perceptual_hasher()
    split_of = {item.impath: split for split, items in splits._asdict().items() for item in items}
    found = Findings(near_looked_for=hasher is not None)
    looks = list(_looks(list(split_of), hasher))
    found.unreadable = [look.problem for look in looks if look.problem]
    by_content = group_by([look for look in looks if look.content], lambda look: look.content)
    for same in by_content.values():
        first = same[0]
        found.exact += [(first.path, look.path) for look in same[1:] if split_of[look.path] != split_of[first.path]]
    exact = {frozenset(pair) for pair in found.exact}
    whole = [look for look in looks if look.perceptual is not None]
    found.near = [pair for pair in _near_pairs(whole, split_of) if frozenset(pair) not in exact]
    return found


def unreadable_images(paths: Iterable[str]) -> list[str]:
    """Decode images; return the reasons of those that cannot be."""
    return [look.problem for look in _looks(list(dict.fromkeys(paths)), None, hashes=False) if look.problem]


def _looks(paths: Sequence[str], hasher: Callable | None, hashes: bool = True) -> Iterator[Look]:
    def look(path: str) -> Look:
        try:
            image = read_image(path)
            content = hashlib.sha256(_content(path)).hexdigest() if hashes else ""
            return Look(path, None, content, hasher(image) if hasher else None)
        except OSError as error:
            return Look(path, str(error), "", None)

    waiting = iter(paths)
    with ThreadPoolExecutor(os.cpu_count()) as threads, progress(paths, "decoding images") as bar:
        while block := list(islice(waiting, BLOCK)):
            for done in threads.map(look, block):
                bar.update(1)
                yield done


def _content(path: str) -> bytes:
    return packed_bytes(path) if is_packed(path) else Path(path).read_bytes()


def _perceptual_hasher() -> Callable[[Image.Image], int] | None:
    if find_spec("imagehash") is None:
        return None
    import imagehash  # optional: the extra own-data

    return lambda image: int(str(imagehash.phash(image)), 16)


def _near_pairs(looks: Sequence[Look], split_of: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield pairs of different splits whose perceptual hashes differ in few bits; plain images are alike to many."""
    by_split: dict[str, list[Look]] = defaultdict(list)
    for look in looks:
        if 8 < int(look.perceptual or 0).bit_count() < 56:
            by_split[split_of[look.path]].append(look)
    names = list(by_split)
    for number, one in enumerate(names):
        for other in names[number + 1 :]:
            there = np.array([look.perceptual for look in by_split[other]], dtype=np.uint64)
            for start in range(0, len(by_split[one]), BLOCK):
                block = by_split[one][start : start + BLOCK]
                here = np.array([look.perceptual for look in block], dtype=np.uint64)
                close = np.bitwise_count(here[:, None] ^ there[None]) <= NEAR
                yield from ((block[i].path, by_split[other][j].path) for i, j in np.argwhere(close))


def contact_sheet(splits: Split, file: Path) -> Path:
    """Draw a few images of each class and split, side by side, and write them as PNG; return the file."""
    groups = [group_by(items, lambda item: item.label) for items in splits]
    names = {item.label: item.classname for items in splits for item in items}
    labels = sorted(names)[:MOST_CLASSES]
    used = [(split, group) for split, group in zip(Split._fields, groups, strict=True) if group]
    line, title = CELL + 16, 24
    sheet = Image.new("RGB", (len(used) * (PER_CLASS * CELL + 12), title + len(labels) * line), "white")
    draw = ImageDraw.Draw(sheet)
    for column, (split, group) in enumerate(used):
        left = column * (PER_CLASS * CELL + 12)
        draw.text((left + 2, 4), f"{split}", "black")
        for row, label in enumerate(labels):
            top = title + row * line
            items = group.get(label, [])
            caption = f"{label} {for_line(names[label])} ({len(items)})".encode("ascii", "replace").decode()
            draw.text((left + 2, top), caption, "black")
            for place, item in enumerate(items[:PER_CLASS]):
                sheet.paste(_thumbnail(item), (left + place * CELL, top + 14))
    content = io.BytesIO()
    sheet.save(content, "PNG")
    with atomic_write(file) as opened:
        opened.write(content.getbuffer())
    return file


def _thumbnail(item: Datum) -> Image.Image:
    """Return an image as small square, red where it cannot be read."""
    try:
        image: Any = read_image(item.impath, upright=True)
    except OSError:
        return Image.new("RGB", (CELL - 4, CELL - 4), "red")
    image.thumbnail((CELL - 4, CELL - 4))
    return image
