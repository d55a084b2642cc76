"""WebDataset shards: tar files in which files of one name, up to the first dot, belong together."""

from __future__ import annotations

import tarfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from datasets.base.missing import few
from datasets.own.headings import text
from datasets.own.names import name_classes
from datasets.own.split_words import splits_of
from datasets.own.table import OwnDataError, Row, Table
from safeio.images import is_image_name
from safeio.packed_images import tar_address
from safeio.read_back import parse_json, read_back

LARGEST_TEXT = 1 << 16
"""Bytes of a label or description in a shard."""
LABELS = ("cls", "class", "label", "txt")
"""Endings of members that hold a label, the first that is there counts."""
KEYS = ("label", "class", "cls", "classname", "class_name", "category")
"""Keys of a label in a member that ends in .json, the first that is there counts."""
NAMES = ("classname", "class_name", "label_name", "category_name", "name")


class Name(NamedTuple):
    """A class name beside an image; `described`: from a .txt, which may describe the image instead."""

    text: str
    described: bool = False


def read_shards(files: list[Path], root: Path) -> Table:
    """Read shards in place: nothing is unpacked.

    Raises:
        OwnDataError: a file is no shard with images and labels, or is compressed.
    """
    table = Table(root, [], rules=[f"shards: {len(files)} tar files (WebDataset), read in place"])
    groups = {file: _group(file, root) for file in files}
    splits = splits_of(groups.values())
    if len(files) > 1 and splits and len(splits) < len(set(groups.values())):
        odd = [str(file) for file, group in groups.items() if group not in splits]
        raise OwnDataError(f"{root}: some shards name a split and some do not, such as {few(odd, 3)}. Rename them.")
    given: dict[str, Name] = {}
    described = False
    for file, group in groups.items():
        for address, label, name, place in _samples(file):
            table.rows.append(Row(address, label, splits.get(group, ""), place))
            described |= name.described and given.get(label, name) != name
            if given.setdefault(label, name) != name and not described:
                raise OwnDataError(f"{place}: label {label!r} has two names: {given[label].text!r} and {name.text!r}.")
    if splits:
        groups = ", ".join(f"{group} is {split}" for group, split in splits.items())
        table.rules.append(f"splits: by the shards' names or folders, {groups}")
    if described:
        table.warnings.append("the .txt members describe images, each in other words, so they name no classes")
        given = {label: Name(label) for label in given}
    names = {label: name.text for label, name in given.items()}
    named = all(names.values()) and any(name != label for label, name in names.items())
    table.names, rule = name_classes(names, [root if root.is_dir() else root.parent], names if named else None)
    table.rules.append(rule)
    return table


def _group(file: Path, root: Path) -> str:
    """Return the name that may be a split's: the shard's without its number, or else its folder's."""
    stem = file.name.removesuffix(".tar").rstrip("0123456789-_.")
    return stem if stem and splits_of([stem]) else (file.parent.name if file.parent != root else stem)


def _samples(file: Path) -> Iterator[tuple[str, str, Name, str]]:
    """Yield address, label, name and place of each image in a shard."""
    images, about = read_back(file, _members, "Unpack a compressed one first.", "a tar file", OwnDataError)
    if not images:
        raise OwnDataError(f"{file} holds no images.")
    for key, address in images.items():
        try:
            label, name = _label(about[key])
        except OwnDataError as error:
            raise OwnDataError(f"{file}, {address.rpartition('::')[2]}: {error}") from error
        if not label:
            raise OwnDataError(
                f"{file}: {address.rpartition('::')[2]} has no label beside it (a member of the same name ending in "
                f".cls, .txt or .json). If the archive holds class folders, unpack it and give the folder."
            )
        yield address, label, name if name.text else Name(label), f"{file.name}, {address.rpartition('::')[2]}"


def _members(file: Path) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Return the address of each sample's image, and its texts by ending."""
    images: dict[str, str] = {}
    about: dict[str, dict[str, str]] = defaultdict(dict)
    with tarfile.open(file, "r:") as shard:
        for member in shard:
            folder, _, base = member.name.rpartition("/")
            key, _, kind = base.partition(".")
            key, kind = f"{folder}/{key}", kind.lower()
            if not member.isfile():
                continue
            if is_image_name(base) and key in images:
                raise OwnDataError(
                    f"{file}: {member.name} is a second image of its sample, beside "
                    f"{images[key].rpartition('::')[2]}. A sample has one image: give the others another name."
                )
            if is_image_name(base):
                images[key] = tar_address(file, member.offset_data, member.size, member.name)
            elif kind in (*LABELS, "json") and member.size <= LARGEST_TEXT:
                data = shard.extractfile(member)
                about[key][kind] = data.read().decode("utf-8", "replace").strip() if data else ""
    return images, about


def _label(about: dict[str, str]) -> tuple[str, Name]:
    """Return label and name of a sample, empty where it has none."""
    label = next((about[kind] for kind in LABELS if about.get(kind)), "")
    name = Name(about.get("txt", "") if label != about.get("txt") else "", described=True)
    try:
        content = parse_json(about.get("json", "{}"))
    except ValueError:
        content = {}
    if isinstance(content, dict):
        label = label or next((text(content[key]) for key in KEYS if content.get(key) is not None), "")
        name = next((Name(text(content[key])) for key in NAMES if content.get(key)), name)
    return label, name
