"""Headings of lists of images: which column holds the path, the label, the name and the split."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from datasets.own.split_words import splits_of
from datasets.own.table import OwnDataError
from safeio.images import is_image_name

PATH = ("path", "impath", "filename", "filepath", "image", "imagepath", "imagefile", "imagefilename", "imagename",
        "img", "imgpath", "imgname", "imgfile", "file", "relativepath", "imageid", "imgid", "id")  # fmt: skip
LABEL = ("label", "class", "category", "target", "labelid", "classid", "categoryid", "classindex", "labelindex", "y",
         "species", "breed", "labels")  # fmt: skip
NAME = ("classname", "labelname", "categoryname", "labeltext", "name", "speciesname")
SPLIT = ("split", "part", "subset", "set", "partition", "phase", "usage", "fold")
"""Headings, compared without case, blanks, `_` and `-`. The first that is there counts."""
FLAGS = {"istrain": ("train", "test"), "istraining": ("train", "test"), "istest": ("test", "train"),
         "isval": ("val", "train"), "isvalid": ("val", "train"), "isvalidation": ("val", "train")}  # fmt: skip
"""Headings of a column of yes and no -> the split of each."""
KNOWN = {*PATH, *LABEL, *NAME, *SPLIT, *FLAGS}
TRUTH = dict.fromkeys(("1", "true", "yes", "t", "y"), True) | dict.fromkeys(("0", "false", "no", "f", "n"), False)
MISSING = {"", "nan", "<na>", "#n/a"}
"""Labels that stand for none, in lower case."""
SAMPLE = 100
"""Lines that are looked at where the content tells what a column holds."""


class Heads(NamedTuple):
    """The headings that a list uses; None where it has none of a kind."""

    path: str | None
    label: str | None
    name: str | None
    split: str | None


def plain(heading: str) -> str:
    """Return a heading in lower case, without blanks, `_` and `-`."""
    return "".join(c for c in heading.lower() if c.isalnum())


def headings(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the headings of a list, in its order."""
    return list(dict.fromkeys(str(key) for cells in lines[:SAMPLE] for key in cells))


def heads_of(lines: Sequence[Mapping[str, Any]]) -> Heads:
    """Return the headings of path, label, name and split, by their words; of path and split also by the content."""
    found: dict[str, str] = {}
    for heading in headings(lines):
        found.setdefault(plain(heading), heading)

    def first(words: Collection[str], taken: Collection[str | None] = ()) -> str | None:
        return next((found[word] for word in words if word in found and found[word] not in taken), None)

    label = first(LABEL)
    path = _paths(lines, first(PATH, (label,)), label)
    name = first(NAME, (path, label))
    return Heads(path, label, name, _splits(lines, first([*SPLIT, *FLAGS]), (path, label, name)))


def split_meanings(lines: Sequence[Mapping[str, Any]], heading: str | None) -> dict[str, str]:
    """Return what a list's words for splits mean: `Training` -> train; of `is_train`, 1 -> train, 0 -> test."""
    values = _values(lines, heading) if heading else set()
    if heading and plain(heading) in FLAGS:
        yes, no = FLAGS[plain(heading)]
        return {value: yes if TRUTH[value.lower()] else no for value in values if value.lower() in TRUTH}
    return splits_of(values)


def one_hot(lines: Sequence[Mapping[str, Any]], heads: Heads) -> list[str] | None:
    """Return the labels of a list with a column of 0 and 1 for each class; None where it is no such list."""
    taken = {heads.path, heads.split, None}
    columns = [
        heading
        for heading in headings(lines)
        if heading.strip() and heading not in taken and {text(cells.get(heading)) for cells in lines} <= {"0", "1"}
    ]
    if not heads.path or len(columns) < 2:
        return None
    marked = [[heading for heading in columns if text(cells.get(heading)) == "1"] for cells in lines]
    return [found[0] for found in marked] if all(len(found) == 1 for found in marked) else None


def text(value: Any) -> str:
    """Return the text of a cell: whole numbers without `.0`, the only value of a list.

    Raises:
        OwnDataError: it holds several values.
    """
    if isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    if isinstance(value, list | tuple | dict):
        raise OwnDataError(f"one label for each image is needed, here are {len(value)}: {str(value)[:80]}")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    found = "" if value is None else str(value)
    whole, _, rest = found.strip().partition(".")
    return whole if whole.isdecimal() and rest and not rest.strip("0") else found


def _paths(lines: Sequence[Mapping[str, Any]], named: str | None, label: str | None) -> str | None:
    """Return the heading of the paths: the one that says so, unless another column alone holds names of images."""

    def images(heading: str) -> bool:
        return all(is_image_name(str(cells.get(heading) or "")) for cells in lines[:SAMPLE])

    if not lines or (named and images(named)):
        return named
    others = [heading for heading in headings(lines) if heading != label and images(heading)]
    return others[0] if len(others) == 1 else named


def _splits(lines: Sequence[Mapping[str, Any]], named: str | None, taken: Collection[str | None]) -> str | None:
    """Return the heading of the splits: the one that says so, or the only column of nothing but words for splits."""
    if named and plain(named) not in FLAGS and all(value.isdecimal() for value in _values(lines, named)):
        named = None  # folds of a cross-validation are no splits
    if named:
        return named
    others = [heading for heading in headings(lines) if heading not in taken]
    full = [heading for heading in others if len(set(_all_splits(_values(lines, heading)).values())) > 1]
    return full[0] if len(full) == 1 else None


def _all_splits(values: Collection[str]) -> dict[str, str]:
    found = splits_of(values) if len(values) < SAMPLE else {}
    return found if len(found) == len(values) else {}


def _values(lines: Sequence[Mapping[str, Any]], heading: str) -> set[str]:
    """Return the values of a column, empty ones apart."""
    values = {str(value).strip() for cells in lines if (value := cells.get(heading)) is not None}
    return values - {""}
