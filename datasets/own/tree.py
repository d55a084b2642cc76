"""Listing of a folder, read once: its images, other files and folders, without hidden ones."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dassl.data.class_names import natural_key
from safeio.images import is_image_name

LEFTOVERS = {"thumbs.db", "desktop.ini", "__macosx", "__pycache__", "@eadir", "lost+found", "split_fewshot",
             "#recycle", "$recycle.bin", "system volume information"}  # fmt: skip
"""Files and folders that systems, and CoOp-style code, leave among images, in lower case; hidden ones count too."""
ARCHIVES = {".zip", ".gz", ".tgz", ".7z", ".rar", ".xz", ".bz2", ".zst"}
"""Endings of files that are to be unpacked first."""


@dataclass
class Tree:
    """A folder.

    Attributes:
        images, others: names of files in it; folders: by name. All in natural order.
        dangling: names of links that lead nowhere, such as those of git-annex to what was not fetched.
    """

    path: Path
    images: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    folders: dict[str, Tree] = field(default_factory=dict)
    dangling: list[str] = field(default_factory=list)

    @property
    def inhabited(self) -> dict[str, Tree]:
        """The folders that hold images at any depth."""
        return {name: folder for name, folder in self.folders.items() if folder.count}

    @property
    def count(self) -> int:
        """Number of images at any depth."""
        return len(self.images) + sum(folder.count for folder in self.folders.values())

    def walk(self) -> Iterator[Tree]:
        """Yield this folder and all below it."""
        yield self
        for folder in self.folders.values():
            yield from folder.walk()

    def all_images(self) -> Iterator[str]:
        """Yield the paths of all images below, in natural order, a folder's own first."""
        for folder in self.walk():
            yield from (str(folder.path / name) for name in folder.images)

    def endings(self) -> Counter[str]:
        """Count the files that are no images, by ending."""
        return Counter(ending(name) for folder in self.walk() for name in folder.others)


def ending(name: str) -> str:
    """Return a file's ending in lower case, `(none)` where it has none."""
    return os.path.splitext(name)[1].lower() or "(none)"


def survey(root: Path) -> Tree:
    """Look at a folder and all below; links to folders are followed, once each."""
    return _survey(root, set())


def _survey(path: Path, seen: set[str]) -> Tree:
    tree = Tree(path)
    if (real := os.path.realpath(path)) in seen:
        return tree
    seen = seen | {real}
    with os.scandir(path) as entries:
        found = sorted(entries, key=lambda entry: natural_key(entry.name))
    for entry in found:
        if entry.name.startswith(".") or entry.name.lower() in LEFTOVERS:
            continue
        if entry.is_symlink() and not os.path.exists(entry.path):
            tree.dangling.append(entry.name)
        elif entry.is_dir():
            tree.folders[entry.name] = _survey(Path(entry.path), seen)
        else:
            (tree.images if entry.is_file() and is_image_name(entry.name) else tree.others).append(entry.name)
    return tree
