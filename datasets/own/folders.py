"""Class folders, with or without folders for the splits, below any number of enclosing folders."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path

from dassl.data.class_names import ClassNamesError, numbered_lines, spoken
from datasets.base.missing import few
from datasets.own.manifest import is_manifest, read_manifest
from datasets.own.names import name_classes
from datasets.own.split_lists import take_splits
from datasets.own.split_words import is_filler, split_word, splits_of
from datasets.own.table import OwnDataError, Row, Table
from datasets.own.tree import ARCHIVES, Tree, ending
from safeio.images import is_image_name, open_image
from safeio.packed_images import TAR

UNREADABLE = {".heic", ".heif", ".eps", ".ps", ".svg", ".pdf", ".raw", ".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf",
              ".rw2", ".mp4", ".mov", ".avi", ".webm", ".npy", ".jxl"}  # fmt: skip
"""Endings of images and videos that are not read here: a class folder full of them must not vanish."""

ROLES = {"mask", "masks", "annotation", "annotations", "groundtruth", "ground", "truth", "gt", "segmentation", "depth",
         "jpeg", "class", "object", "label", "edges", "visualization", "thumbnails"}  # fmt: skip
"""Words for what files beside the images are for."""
BESIDE = {"meta", "labels", "annotations", "lists", "splits", "metadata", "info"}
"""Folders without images that hold lists beside the images."""


def read_folders(tree: Tree, allow: Collection[str] = ()) -> Table:
    """Read class folders.

    Raises:
        OwnDataError: the folders can be read in several ways, or in none; the message says what was found.
    """
    table = Table(tree.path, [])
    top = _descend(tree, table)
    folders = top.inhabited
    _refuse_vanished(top)
    refuse_dangling(tree)
    if not folders:
        raise OwnDataError(
            f"{top.path}: {len(top.images):,} images lie directly in it, in no class folder, so they have no label, "
            f"such as {top.images[0]}. Expected {top.path}/<class>/*.jpg, or a list with a label for each image "
            f"(manifest.csv). predict.py takes images without labels."
        )
    splits = _split_folders(top, allow)
    if splits:
        _refuse_splits_in_splits(top, splits)
        _refuse_packed_split(top, splits)
        _read_splits(top, splits, table, allow)
    elif _splits_below(folders):
        table.rules.append("splits: folders inside the class folders, <class>/<split>/")
        for name, folder in folders.items():
            for below, split in splits_of(folder.inhabited).items():
                table.rows += (Row(path, name, split) for path in folder.folders[below].all_images())
    else:
        _refuse_domains(top, folders, allow)
        _refuse_roles(top)
        _refuse_nested(top, allow)
        table.rows += _of_classes(top, "", table)
        take_splits(table, _places_of_lists(tree, top))
        given = "as listed" if table.splits else "none given"
        table.rules.append(f"classes: the folders in {top.path}; splits: {given}")
    _note_loose(top, table)
    _note_inner(top, splits, table)
    if table.rows:
        table.names, rule = name_classes({row.label for row in table.rows}, _places_of_lists(tree, top))
        table.rules.append(rule)
    return table


def _places_of_lists(tree: Tree, top: Tree) -> list[Path]:
    """Return the folders that may hold lists of names or splits: the class folders', those above them, `meta/`."""
    above = [folder for folder in (top.path, *top.path.parents) if folder.is_relative_to(tree.path)]
    beside = [folder.path for name, folder in tree.folders.items() if not folder.count and name.lower() in BESIDE]
    return [*above, *beside]


def _descend(tree: Tree, table: Table, in_split: bool = False) -> Tree:
    """Descend through folders that are the only one at their level, unless they are a class or a split."""
    while not tree.images and len(tree.inhabited) == 1:
        (name, only), *_ = tree.inhabited.items()
        if not only.inhabited or (not in_split and name in splits_of([name])):
            break
        table.rules.append(f"wrapper folder: {name}/ is alone in {tree.path}, so its content is read")
        tree = only
    return tree


def _split_folders(top: Tree, allow: Collection[str]) -> dict[str, str]:
    """Return folder -> split where the folders of `top` are splits; empty where they are classes.

    A folder called `train` that holds images among others that do so is a class: the vehicle.
    """
    folders = top.inhabited
    found = splits_of(folders)
    others = [name for name in folders if name not in found]
    if not found or (others and list(found.values()) == ["train"] and not folders[next(iter(found))].inhabited):
        return {}
    if others:
        raise OwnDataError(
            f"{top.path} holds the splits {few(list(found))} and besides them {few(others)}, with "
            f"{sum(folders[name].count for name in others):,} images: are those a split, or classes? Rename each to "
            f"train, val or test, move it elsewhere, or read one split alone: --root {top.path / next(iter(found))}"
        )
    doubled = [split for split, count in Counter(found.values()).items() if count > 1]
    if doubled:
        same = [name for name, split in found.items() if split in doubled]
        raise OwnDataError(
            f"{top.path}: {' and '.join(same)} both mean the split {doubled[0]!r}. Rename or merge them."
        )
    return found


def _refuse_splits_in_splits(top: Tree, splits: Collection[str]) -> None:
    """Refuse `train/train`, `train/test`, `test/train`, ...: either level can be the splits, and the other the classes.

    Raises:
        OwnDataError: it is so.
    """
    inside = {name for split in splits for name in top.folders[split].inhabited}
    if len(inside) > 1 and inside == set(splits_of(inside)):
        raise OwnDataError(
            f"{top.path} holds the splits {few(sorted(splits))}, and these hold {few(sorted(inside))}, which are words "
            "for splits too. Are they classes? Rename the classes' folders, for example train to train_class."
        )


def _refuse_packed_split(top: Tree, splits: dict[str, str]) -> None:
    """Refuse `test.zip` beside `train/`: the split would be drawn from the training images."""
    packed = [name for name in top.others if ending(name) in (*ARCHIVES, TAR)]
    if lost := [name for name in packed if (split_word(name.split(".")[0]) or "train") not in splits.values()]:
        raise OwnDataError(
            f"{top.path} holds {few(list(splits))} as folders, but {few(lost)} packed. Unpack it beside them."
        )


def _read_splits(top: Tree, splits: dict[str, str], table: Table, allow: Collection[str]) -> None:
    named = ", ".join(f"{name}/ is {split}" for name, split in splits.items())
    table.rules.append(f"splits: the folders in {top.path}: {named}")
    unlabelled = []
    train = [
        _descend(top.folders[name], Table(top.path, []), in_split=True)
        for name, split in splits.items()
        if split == "train"
    ]
    classes = set(train[0].inhabited) if train else set()
    for name, split in splits.items():
        folder = _descend(top.folders[name], table, in_split=True)
        flat = not folder.inhabited or (not classes & set(folder.inhabited) and _is_flat(folder))
        if not flat:
            _refuse_nested(folder, allow)
            table.rows += _of_classes(folder, split, table)
        elif rows := list(_annotated(folder, split, classes)) or list(_listed(folder, top, split, classes)):
            table.rules.append(f"{name}/: labels from {rows[0].place.partition(',')[0]}")
            table.rows += rows
        else:
            unlabelled.append(name)
    if not unlabelled:
        return
    left = {row.split for row in table.rows}
    named = ", ".join(f"{name}/ ({top.folders[name].count:,} images)" for name in unlabelled)
    if "train" not in left or not left & {"val", "test"}:
        usable = next((name for name, split in splits.items() if split in left), None)
        advice = f"To divide {usable}/ alone into training and testing: --root {top.path / usable}. " if usable else ""
        raise OwnDataError(
            f"{top.path}: images lie directly in {named}, in no class folder, so they have no label. Expected "
            f"{unlabelled[0]}/<class>/*.jpg, or a manifest. {advice}predict.py takes images without labels."
        )
    table.warnings.append(f"left out, images without class folders have no label: {named}")


def _is_flat(folder: Tree) -> bool:
    """Return True where all images lie in one folder with no class folders: `val/images/*.jpg`."""
    inside = list(folder.inhabited.values())
    return len(inside) == 1 and not inside[0].inhabited and not folder.images


def _annotated(folder: Tree, split: str, classes: set[str]) -> Iterator[Row]:
    """Yield the images that a text file beside them labels: lines of file name, TAB, class (Tiny-ImageNet's)."""
    paths = {path.rsplit("/", 1)[-1]: path for path in folder.all_images()}
    for name in (other for other in folder.others if ending(other) == ".txt"):
        try:
            lines = [(number, line.split("\t")) for number, line in numbered_lines(folder.path / name)]
        except ClassNamesError:
            continue
        if lines and all(len(cells) > 1 and cells[1] in classes for _, cells in lines):
            rows = [(number, paths.get(cells[0]), cells[1]) for number, cells in lines]
            yield from (Row(path, label, split, f"{name}, line {number}") for number, path, label in rows if path)
            return


def _listed(folder: Tree, top: Tree, split: str, classes: set[str]) -> Iterator[Row]:
    """Yield the images that a csv or json list in their folder, or beside it, labels with the classes of training.

    Raises:
        OwnDataError: it labels them with others.
    """
    paths = set(folder.all_images())
    for beside in (folder, top):
        for file in (beside.path / name for name in beside.others):
            if not is_manifest(file):
                continue
            try:
                rows = [row for row in read_manifest([file], top.path).rows if row.path in paths]
            except OSError:  # a list of other images
                continue
            if other := sorted({row.label for row in rows} - classes) if classes else []:
                raise OwnDataError(
                    f"{file} labels images of {folder.path} with {few(other)}, but the classes to train on are the "
                    f"folders {few(sorted(classes))}. Give the images the folders' names, or move the list away."
                )
            if rows:
                yield from (row._replace(split=split) for row in rows)
                return


def _of_classes(folder: Tree, split: str, table: Table) -> Iterator[Row]:
    """Yield the images of class folders; folders inside them belong to the class."""
    for name, inner in folder.inhabited.items():
        yield from (Row(path, name, split) for path in inner.all_images())
    if split and folder.images:
        table.warnings.append(f"left out, {len(folder.images)} images lie directly in {folder.path}, in no class")


def _splits_below(folders: dict[str, Tree]) -> bool:
    """Return True where every class folder holds nothing but split folders."""
    return bool(folders) and all(
        folder.inhabited
        and not folder.images
        and set(splits_of(folder.inhabited)) == set(folder.inhabited)
        and not any(split.inhabited for split in folder.inhabited.values())
        for folder in folders.values()
    )


def _refuse_roles(top: Tree) -> None:
    """Refuse `images/` beside `masks/`: folders that are named for what their files are for, none for a class."""
    names = list(top.inhabited)
    numbered = all(re.search(r"\d", name) for name in names)  # `class 0`, `class 1` are classes
    if len(names) > 1 and not numbered and all(is_filler(name, ROLES) for name in names):
        raise OwnDataError(
            f"{top.path} holds {few(names)}, which name no classes, but kinds of files, as for segmentation. Expected "
            f"a folder for each class, or a list with a label for each image (manifest.csv). Rename them if they are "
            f"classes."
        )


def _refuse_domains(top: Tree, folders: dict[str, Tree], allow: Collection[str]) -> None:
    """Refuse folders that hold the same folders: they are splits or domains under names that are not known."""
    inside = [set(folder.inhabited) for folder in folders.values()]
    if len(inside) < 2 or "nested" in allow or not all(inside):
        return
    shared = set.intersection(*inside)
    if all(is_filler(name) for name in shared) and not any(
        f.folders[n].inhabited for f in folders.values() for n in shared
    ):
        return  # <class>/images/*
    if len(shared) * 2 < max(map(len, inside)) or not shared:
        return
    names, first = list(folders), next(iter(folders))
    if set(splits_of(shared)) == shared:
        raise OwnDataError(
            f"{top.path} holds several datasets, {few(names)}, each with {few(sorted(shared))}. Give one: "
            f"--root {top.path / first}"
        )
    raise OwnDataError(
        f"{top.path}: the folders {few(names)} all hold {few(sorted(shared))}. They look like splits or domains and "
        f"not like classes. Rename the splits to train, val and test, or read one: --root {top.path / first}. If "
        f"{first} is a class: DATASET.ALLOW nested."
    )


def _refuse_nested(top: Tree, allow: Collection[str]) -> None:
    """Refuse class folders that hold several folders of images: is the class the outer folder or the inner one?"""
    for name, folder in top.inhabited.items() if "nested" not in allow else ():
        if len(folder.inhabited) > 1:
            raise OwnDataError(
                f"{folder.path} holds {few([f'{below}/' for below in folder.inhabited])} with images: is {name!r} the "
                f"class, or are those? If {name!r} is: DATASET.ALLOW nested (--allow nested of the check). If they "
                f"are: move them up beside the other classes, or read them alone: --root {folder.path}"
            )
    alone = {name: next(iter(f.inhabited)) for name, f in top.inhabited.items() if f.inhabited and not f.images}
    inner = [below for name, below in alone.items() if spoken(below) != spoken(name) and not is_filler(below)]
    if "nested" not in allow and len(set(inner)) == len(top.inhabited) > 1:
        pairs = [f"{name}/{below}" for name, below in alone.items()]
        raise OwnDataError(
            f"{top.path} holds {few(pairs)}: are the outer folders the classes, or the inner ones? If the outer ones "
            f"are: DATASET.ALLOW nested (--allow nested of the check). If the inner ones are: move them up."
        )


def _refuse_vanished(top: Tree) -> None:
    """Refuse class folders with images of which none can be read: the class would vanish."""
    beside = top.inhabited
    for name, folder in top.folders.items() if beside else ():
        kinds = [k for k in folder.endings() if k in UNREADABLE or k in ARCHIVES or _holds_image(folder, k)]
        if name not in beside and kinds:
            hint = " For HEIC: pip install pillow-heif." if {".heic", ".heif"} & set(kinds) else ""
            hint += " Unpack the archives." if ARCHIVES & set(kinds) else ""
            raise OwnDataError(
                f"{folder.path} holds no image that can be read, only files ending in {few(kinds)}: the class {name!r} "
                f"would vanish. Convert the files to JPEG or PNG, give them their right ending, or move the folder "
                f"away.{hint}"
            )


def refuse_dangling(tree: Tree) -> None:
    """Refuse links to images or folders that are not there: what they stand for would vanish."""
    links = [str(folder.path / name) for folder in tree.walk() for name in folder.dangling]
    if links := [link for link in links if is_image_name(link) or ending(link) == "(none)"]:
        raise OwnDataError(
            f"{len(links):,} links lead to nothing: {few(links, 3)}. Fetch what they stand for (`git annex get`, `dvc "
            f"pull`, mount the disk), or remove them."
        )


def _holds_image(folder: Tree, kind: str) -> bool:
    """Return True where the first file of an ending is an image all the same."""
    files = (inner.path / name for inner in folder.walk() for name in inner.others if ending(name) == kind)
    try:
        open_image(next(files)).close()
    except OSError:
        return False
    return True


def _note_loose(top: Tree, table: Table) -> None:
    if top.images:
        table.warnings.append(
            f"left out, {len(top.images)} images lie directly in {top.path}, in no class folder, such as "
            f"{top.images[0]}"
        )
    empty = [name for name in top.folders if name not in top.inhabited]
    if empty:
        table.warnings.append(f"folders without images are no classes: {few(empty)}")


def _note_inner(top: Tree, splits: Collection[str], table: Table) -> None:
    """Say which folders inside class folders count as the class, unless it is the same one in all of them."""
    classes = [inner for name in splits or [""] for inner in (top.folders[name] if name else top).inhabited.values()]
    if len({(not folder.images, *folder.inhabited) for folder in classes}) < 2:
        return
    inner = [below for folder in classes for below in folder.inhabited.values()]
    if inner:
        named = [f"{below.path.relative_to(top.path)}/ ({below.count:,} images)" for below in inner]
        table.warnings.append(f"folders inside class folders count as the class: {few(named)}")
