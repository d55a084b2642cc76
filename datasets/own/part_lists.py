"""Lists of each split's images beside class folders: `meta/train.txt` of Food-101, `train_test_split.txt` of CUB."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from dassl.data.class_names import numbered_lines
from datasets.base.missing import few
from datasets.own.parts import part_word
from datasets.own.table import OwnDataError, Row, Table
from safeio.errors import UserError
from safeio.images import is_image_name

CUB = ("images.txt", "train_test_split.txt")
"""Number, path; number, 1 for training."""


def take_parts(table: Table, folders: Sequence[Path]) -> None:
    """Divide the images of class folders as lists say, if there are any: lines of `class/image`, perhaps with a label.

    Args:
        table: images without splits.
        folders: where the lists may lie.

    Raises:
        OwnDataError: an image is in the lists of two splits.
    """
    images = {_key(row.path): row.path for row in table.rows}
    for folder in folders:
        parts = _of_cub(folder, images) or _of_lists(folder, images)
        if parts:
            break
    else:
        return
    part_of: dict[str, str] = {}
    for (name, part), paths in parts.items():
        if twice := [path for path in paths if part_of.setdefault(path, part) != part]:
            raise OwnDataError(
                f"{folder}: {len(twice):,} images are in the lists of two splits, which makes a test worthless: "
                f"{few(twice, 3)}. Remove the lines, or move the lists away."
            )
        table.rules.append(f"splits: {name} lists the {len(paths):,} images of {part}")
    if left := sum(row.path not in part_of for row in table.rows):
        table.warnings.append(f"left out, {left:,} images are in no split's list")
    table.rows = [Row(row.path, row.label, part_of[row.path]) for row in table.rows if row.path in part_of]


def _key(path: str) -> str:
    """Return class folder and image, without an ending, of a path as lists write it."""
    name = PurePosixPath(path.replace("\\", "/"))
    return "/".join((*name.parts[-2:-1], name.stem if is_image_name(name.name) else name.name))


def _of_lists(folder: Path, images: Mapping[str, str]) -> dict[tuple[str, str], list[str]]:
    """Return the images by (list, split): a list for training and another, of which every line is an image."""
    found: dict[tuple[str, str], list[str]] = {}
    for file in sorted(folder.glob("*.txt")):
        part = part_word(file.stem)
        if part and (paths := list(_listed(file, images))):
            found[file.name, "test" if part == "eval" else part] = paths
    parts = [part for _, part in found]
    return found if len(set(parts)) == len(parts) > 1 and "train" in parts else {}


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
    parts = {number: "train" if flag == "1" else "test" for number, flag in trained.items()}
    paths = {number: images.get(_key(path)) for number, path in named.items()}
    if set(parts) != set(paths) or not all(paths.values()) or len(set(parts.values())) < 2:
        return {}
    return {(CUB[1], part): [paths[number] for number in paths if parts[number] == part] for part in ("train", "test")}
