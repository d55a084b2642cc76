"""Lists of each split's images beside class folders: `meta/train.txt` of Food-101, `train_test_split.txt` of CUB."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from dassl.data.class_names import numbered_lines
from datasets.base.missing import few
from datasets.own.split_words import split_word
from datasets.own.table import OwnDataError, Row, Table
from safeio.errors import UserError
from safeio.images import is_image_name

CUB = ("images.txt", "train_test_split.txt")
"""Number, path; number, 1 for training."""


def take_splits(table: Table, folders: Sequence[Path]) -> None:
    """Divide the images of class folders as lists say, if there are any: lines of `class/image`, perhaps with a label.

    Args:
        table: images without splits.
        folders: where the lists may lie.

    Raises:
        OwnDataError: an image is in the lists of two splits.
    """
    images = {_key(row.path): row.path for row in table.rows}
    for folder in folders:
        splits = _of_cub(folder, images) or _of_lists(folder, images)
        if splits:
            break
    else:
        return
    split_of: dict[str, str] = {}
    for (name, split), paths in splits.items():
        if twice := [path for path in paths if split_of.setdefault(path, split) != split]:
            raise OwnDataError(
                f"{folder}: {len(twice):,} images are in the lists of two splits, which makes a test worthless: "
                f"{few(twice, 3)}. Remove the lines, or move the lists away."
            )
        table.rules.append(f"splits: {name} lists the {len(paths):,} images of {split}")
    if left := sum(row.path not in split_of for row in table.rows):
        table.warnings.append(f"left out, {left:,} images are in no split's list")
    table.rows = [Row(row.path, row.label, split_of[row.path]) for row in table.rows if row.path in split_of]


def _key(path: str) -> str:
    """Return class folder and image, without an ending, of a path as lists write it."""
    name = PurePosixPath(path.replace("\\", "/"))
    return "/".join((*name.parts[-2:-1], name.stem if is_image_name(name.name) else name.name))


def _of_lists(folder: Path, images: Mapping[str, str]) -> dict[tuple[str, str], list[str]]:
    """Return the images by (list, split): a list for training and another, of which every line is an image."""
    found: dict[tuple[str, str], list[str]] = {}
    for file in sorted(folder.glob("*.txt")):
        split = split_word(file.stem)
        if split and (paths := list(_listed(file, images))):
            found[file.name, "test" if split == "eval" else split] = paths
    splits = [split for _, split in found]
    return found if len(set(splits)) == len(splits) > 1 and "train" in splits else {}


def _listed(file: Path, images: Mapping[str, str]) -> Iterator[str]:
    try:
        lines = [line for _, line in numbered_lines(file)]
    except UserError:
        return
    paths = [images.get(_key(line)) or images.get(_key(_without_label(line))) for line in lines]
    if all(paths):
        yield from dict.fromkeys(paths)


def _without_label(line: str) -> str:
    """Return a line without the number at its end that a space or comma sets apart."""
    unnumbered = line.rstrip("0123456789")
    path = unnumbered.rstrip(" \t,")
    return path if len(path) < len(unnumbered) < len(line) else line


def _of_cub(folder: Path, images: Mapping[str, str]) -> dict[tuple[str, str], list[str]]:
    """Return the images by (list, split) where the folder holds the two lists of CUB."""
    try:
        named, trained = (dict(line.split(maxsplit=1) for _, line in numbered_lines(folder / name)) for name in CUB)
    except (UserError, ValueError):
        return {}
    splits = {number: "train" if flag == "1" else "test" for number, flag in trained.items()}
    paths = {number: images.get(_key(path)) for number, path in named.items()}
    if set(splits) != set(paths) or not all(paths.values()) or len(set(splits.values())) < 2:
        return {}
    return {
        (CUB[1], split): [paths[number] for number in paths if splits[number] == split] for split in ("train", "test")
    }
