"""Read a folder or file of own images into one table. The first of these layouts that fits is used:

a list or table that is named itself; `manifest.*`; what `datasets.save_to_disk` wrote; `metadata.*` (Hugging Face's
imagefolder); parquet and arrow files; tar shards; class folders; a list beside a flat folder of images.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection
from pathlib import Path

from datasets.base.missing import few
from datasets.own.arrow_tables import read_tables
from datasets.own.entries import ENDINGS, read_entries
from datasets.own.folders import read_folders, refuse_dangling
from datasets.own.headings import heads_of
from datasets.own.manifest import is_manifest, read_manifest, why_no_manifest
from datasets.own.name_lists import is_name_list
from datasets.own.shards import read_shards
from datasets.own.split_words import split_word, splits_of
from datasets.own.table import OwnDataError, Row, Table, check_allowed, check_table
from datasets.own.tree import ARCHIVES, Tree, ending, survey
from safeio.errors import UserError
from safeio.packed_images import ARROW, PARQUET, TAR, is_packed

TABLES = (PARQUET, ARROW)
SHEETS = (".xlsx", ".xls", ".ods")
LISTS = (*ENDINGS, *SHEETS, ".xml", ".mat", ".yaml", ".yml")
"""Endings of files that may say something of the images: they are named where they are not used."""
EXPECTED = "<class>/*.jpg, train/<class>/*.jpg and test/<class>/*.jpg, a manifest (csv, tsv, json, jsonl), parquet, "
EXPECTED += "arrow or tar files"


def read_table(root: Path, allow: Collection[str] = ()) -> Table:
    """Read own images and check that nothing about them is in doubt.

    Args:
        root: a folder, a manifest, or a parquet, arrow or tar file.
        allow: faults that are accepted, words of `datasets.own.table.ALLOWABLE`.

    Raises:
        OwnDataError: the layout is not understood or has a fault; the message says which, and what to do.
        dassl.data.class_names.ClassNamesError: names that are empty, undecodable or the same in words.
        FileNotFoundError: a list names images that are missing.
    """
    check_allowed(allow)
    root = existing(root)
    table = _read_file(root, allow) if root.is_file() else _read_folder(root, allow)
    check_table(table, allow)
    if "partial" in allow:
        _leave_out_untrained(table)
    return table


def existing(root: str | Path) -> Path:
    """Return the absolute path of own images.

    Raises:
        OwnDataError: there is nothing.
    """
    root = Path(root).expanduser().absolute()
    if root.exists():
        return root
    tail = "/".join(root.parts[-2:])
    hint = ""
    if re.fullmatch(r"[\w.-]+/[\w.-]+", tail) and not root.parent.exists():
        hint = (
            f" If {tail} is a dataset on the Hugging Face hub, download it first: "
            f"hf download {tail} --repo-type dataset --local-dir {root.name}, then --root {root.name}"
        )
    raise OwnDataError(f"There is no folder or file {root}. Is DATASET.ROOT (--root) right?{hint}")


def _read_file(root: Path, allow: Collection[str]) -> Table:
    kind = root.suffix.lower()
    if kind in ENDINGS:
        return read_manifest([root], root.parent, allow)
    if kind in TABLES:
        return read_tables([root], root)
    if kind == TAR:
        return read_shards([root], root)
    advice = f"Expected a folder with {EXPECTED}, or such a file."
    advice = "Unpack it, and give the folder." if kind in ARCHIVES else advice
    advice = "Save the sheet as CSV." if kind in SHEETS else advice
    raise OwnDataError(f"{root} is no dataset that can be read in place. {advice}")


def _read_folder(root: Path, allow: Collection[str]) -> Table:
    tree, wrappers = survey(root), []
    while not tree.images and not tree.others and len(tree.folders) == 1 and not _is_split(tree):
        (name, inner), *_ = tree.folders.items()
        if not (inner.folders or any(ending(other) in (*LISTS, *TABLES, TAR) for other in inner.others)):
            break
        wrappers.append(f"wrapper folder: {name}/ is alone in {tree.path}, so its content is read")
        tree = inner
    table = _read_tree(tree, allow)
    table.root, table.rules = root, [*dict.fromkeys([*wrappers, *table.rules])]
    _note_unread(tree, table)
    return table


def _is_split(tree: Tree) -> bool:
    return bool(split_word(next(iter(tree.folders))))


def _read_tree(tree: Tree, allow: Collection[str]) -> Table:
    lists = [tree.path / name for name in tree.others if ending(name) in ENDINGS]
    manifests = [file for file in lists if file.stem.lower() == "manifest"]
    if manifests and (is_manifest(manifests[0]) or len(tree.inhabited) < 2):
        return _only(manifests, tree.path, allow)
    if metadata := _metadata(tree):
        return metadata
    for kinds, read in ((TABLES, read_tables), ((TAR,), read_shards)):
        found = [folder.path / name for folder in tree.walk() for name in folder.others if ending(name) in kinds]
        if found and not tree.count:
            return read([file for file in found if not file.name.startswith("cache-")], tree.path)
    if not tree.count:
        refuse_dangling(tree)
        packed = [name for folder in tree.walk() for name in folder.others if ending(name) in ARCHIVES]
        advice = f" Unpack {packed[0]} first." if packed else ""
        unread = ", ".join(f"{count} {kind}" for kind, count in tree.endings().most_common(5))
        raise OwnDataError(
            f"There are no images that can be read in {tree.path}{f', only {unread}' if unread else ''}. Expected "
            f"{EXPECTED}. Is DATASET.ROOT (--root) right?{advice}"
        )
    return _folders_or_list(tree, lists, allow)


def _folders_or_list(tree: Tree, lists: list[Path], allow: Collection[str]) -> Table:
    """Read class folders; where there are none, or where it alone names the splits, the list that labels the images."""
    candidates = [file for file in lists if is_manifest(file)]
    splits = splits_of([file.stem for file in candidates])
    by_name = len(splits) == len(candidates) > 1
    try:
        table = read_folders(tree, allow)
        if len(table.names) < 2 and not candidates:
            check_table(table, allow)
    except OwnDataError as error:
        if not candidates:
            raise OwnDataError(f"{error}{_why_unused(tree, lists)}") from error
        listed = read_manifest(candidates, tree.path, allow) if by_name else _only(candidates, tree.path, allow)
        if lost := _unlisted_classes(tree, listed):
            raise OwnDataError(
                f"{error} {few([file.name for file in candidates])} could be read alone (--root {candidates[0]}), but "
                f"would leave out {few(lost)}."
            ) from error
        return listed
    if len(table.names) > 1 or not candidates:
        listed = [_agreeing(table, file, tree.path) for file in candidates]
        if table.splits or not (by_name or any(one is not None and one.splits for one in listed)):
            return table
    if by_name:
        return read_manifest(candidates, tree.path, allow)
    return _only(candidates, tree.path, allow)


def _unlisted_classes(tree: Tree, table: Table) -> list[str]:
    """Return the folders that look like classes, several side by side, and of whose images a list names none."""
    listed = {os.path.dirname(row.path) for row in table.rows}
    lost = [folder.path for folder in tree.walk() if folder.images and str(folder.path) not in listed]
    beside = Counter(path.parent for path in lost)
    return [f"{path.relative_to(tree.path)}/" for path in lost if beside[path.parent] > 1 and not split_word(path.name)]


def _why_unused(tree: Tree, lists: list[Path]) -> str:
    """Say why the lists beside images do not label them, and what the images may be for instead; empty without any."""
    kinds = {ending(name) for folder in tree.walk() for name in folder.others}
    yaml = [name for name in tree.others if ending(name) in (".yaml", ".yml")]
    sheets = [name for name in tree.others if ending(name) in SHEETS]
    said = [f"{name} is not read: save the sheet as CSV." for name in sheets]
    said += [f"{file.name} labels no images: {why_no_manifest(file)}." for file in lists if ending(file.name) != ".txt"]
    if ".xml" in kinds or (yaml and ".txt" in kinds):
        what = f"{yaml[0]}, YOLO" if yaml else "xml files, Pascal VOC"
        said.append(
            f"Is this for object detection ({what})? A classifier needs one label for each image instead of boxes: "
            f"cut the objects out, or list image and label in manifest.csv."
        )
    return "".join(f" {sentence}" for sentence in said[:3])


def _agreeing(table: Table, file: Path, root: Path) -> Table | None:
    """Read a list beside class folders that divides the images into the same classes; None where it lists other images.

    Raises:
        OwnDataError: the list divides the images otherwise than the folders; the message has an image with both. Or the
            list has a fault, so that nobody knows whether it does.
    """
    try:
        listed = read_manifest([file], root)
    except OSError:  # a list of other images
        return None
    except UserError as error:
        raise OwnDataError(
            f"{root} holds class folders and a list of images, {file.name}, which cannot be read: {error} Repair the "
            "list, or for the folders move it away."
        ) from error
    folder_of = {row.path: row.label for row in table.rows}
    label_of: dict[str, str] = {}
    name_of: dict[str, str] = {}
    for row in listed.rows:
        folder, label = folder_of.get(row.path), row.label
        if folder and label_of.setdefault(folder, label) == label and name_of.setdefault(label, folder) == folder:
            continue
        place = f"{folder!r} by its folder" if folder else "in no class folder"
        raise OwnDataError(
            f"{root}: the folders and {file.name} put the images into different classes: {row.path} is {place} and "
            f"{label!r} by the list. For the list: --root {file}. For the folders: move the list away."
        )
    return listed


def _only(candidates: list[Path], root: Path, allow: Collection[str]) -> Table:
    """Read the only list there is.

    Raises:
        OwnDataError: there are several.
    """
    if len(candidates) > 1:
        names = few([file.name for file in candidates])
        raise OwnDataError(f"{root} holds several lists of images: {names}. Give one: --root {candidates[0]}")
    return read_manifest(candidates, root, allow)


def _metadata(tree: Tree) -> Table | None:
    """Read Hugging Face's `metadata.csv` or `metadata.jsonl`, beside the images or in each split's folder."""
    found: list[tuple[Path, str]] = []
    splits = splits_of(tree.folders)
    for folder, split in ((tree, ""), *((tree.folders[name], split) for name, split in splits.items())):
        for name in folder.others:
            if name.lower() in ("metadata.csv", "metadata.jsonl"):
                heads = heads_of([entry.cells for entry in read_entries(folder.path / name)])
                if heads.path and (heads.label or heads.name):
                    found.append((folder.path / name, split))
    if not found:
        return None
    whole = Table(tree.path, [])
    tables = [(read_manifest([file], file.parent), split) for file, split in found]
    for table, split in tables:
        first = {_first_folder(row.path, tree.path): row for row in table.rows} if not split else {}
        by_folder = splits_of(first)
        for row in table.rows:
            own = row.split or split or by_folder.get(_first_folder(row.path, tree.path), "")
            whole.rows.append(Row(row.path, row.label, own, row.place))
        whole.rules += [f"metadata: {table.root / rule.removeprefix('list: ')}" for rule in table.rules[:1]]
        for label, name in table.names.items():
            if whole.names.setdefault(label, name) != name:
                raise OwnDataError(
                    f"{table.root}: label {label!r} is called {name!r} here, but {whole.names[label]!r} in another "
                    f"split's list. Give it one name."
                )
    whole.rules.append("splits: by the folders of the images, or the list's own")
    return whole


def _first_folder(path: str, top: Path) -> str:
    try:
        return Path(path).relative_to(top).parts[0]
    except ValueError:
        return ""


def _note_unread(tree: Tree, table: Table) -> None:
    """Put on record which files were not read."""
    used = {word.strip(",") for rule in table.rules for word in rule.replace("/", " ").split()}
    packed = []
    for folder in tree.walk():
        for name in folder.others:
            kind, file = ending(name), folder.path / name
            if name in used or (kind in (*TABLES, TAR) and not tree.count):
                continue
            table.unread[kind] += 1
            if kind in (*ARCHIVES, *TABLES, TAR):
                packed.append(str(file.relative_to(tree.path)))
            elif kind in LISTS and (folder is tree or len(table.ignored) < 20):
                table.ignored.append(f"{file.relative_to(tree.path)}{_hint(file, tree)}")
    if packed:
        table.warnings.append(f"left out, images may be in {few(packed)}: unpack them, or read them alone")
    _note_unlisted(tree, table)


def _note_unlisted(tree: Tree, table: Table) -> None:
    """Say how many images the lists that were read do not name."""
    if not table.rows or not all(row.place for row in table.rows) or is_packed(table.rows[0].path):
        return
    listed = {row.path for row in table.rows}
    if left := [path for path in tree.all_images() if path not in listed]:
        table.warnings.append(f"left out, {len(left):,} images are in no list that was read, such as {left[0]}")


def _hint(file: Path, tree: Tree) -> str:
    """Suggest a use for a file that was not read."""
    named = is_name_list(file)
    if file.parent == tree.path and is_manifest(file):
        return f" (it lists images: to use it, --root {file})"
    if named:
        return " (a list of class names? It does not fit the classes; if it should, make it classnames.txt)"
    return ""


def _leave_out_untrained(table: Table) -> None:
    """Leave out classes without a training image, where the data names the splits."""
    if "train" not in table.splits or any(not row.split for row in table.rows):
        return
    trained = {row.label for row in table.rows if row.split == "train"}
    left = [label for label in table.names if label not in trained]
    if left:
        table.rows = [row for row in table.rows if row.label in trained]
        table.names = {label: name for label, name in table.names.items() if label in trained}
        table.warnings.append(f"left out, classes without training images: {few(left)}")
