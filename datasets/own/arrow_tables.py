"""Hugging Face's tables: parquet files, arrow files, and what `datasets.save_to_disk` writes, through pyarrow."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from datasets.base.missing import few
from datasets.own.headings import FLAGS, MISSING, SPLIT, plain, split_meanings, text
from datasets.own.names import name_classes
from datasets.own.split_words import splits_of
from datasets.own.table import OwnDataError, Row, Table
from safeio.packed_images import PARQUET, arrow_table, parquet_file, table_address
from safeio.read_back import check_shape, parse_json, read_back

LABELS = ("label", "labels", "class", "category", "target", "fine_label", "coarse_label", "classname", "class_name")
"""Columns that hold a label, where the table does not say which one is a ClassLabel."""


FEATURES = {"info": {"features": dict}}
"""Shape of what Hugging Face's `datasets` writes into a table."""


def read_tables(files: list[Path], root: Path) -> Table:
    """Read tables in place.

    Raises:
        OwnDataError: pyarrow is missing, or a table has no image or no label column.
    """
    if find_spec("pyarrow") is None:
        raise OwnDataError(f"{root} holds parquet or arrow files, which pyarrow reads: pip install pyarrow.")
    table = Table(root, [], rules=[f"tables: {len(files)} {files[0].suffix.lstrip('.')} files, read in place"])
    groups = {file: _group(file, root) for file in files}
    splits = splits_of(groups.values())
    _refuse_several(groups, splits, root)
    if splits and len(splits) < len(set(groups.values())):
        odd = [group for group in groups.values() if group not in splits]
        raise OwnDataError(f"{root}: some tables name a split and some do not ({few(odd)}). Give one folder of them.")
    given: dict[str, str] = {}
    unlabelled = 0
    for file, group in groups.items():
        for row, label, name, split in _rows(file, table):
            if label == "-1":  # how Hugging Face marks a test set without labels
                unlabelled += 1
                continue
            place = f"{file.name}, row {row.split('::')[1]}"
            table.rows.append(Row(row, label, split or splits.get(group, ""), place))
            if given.setdefault(label, name) != name:
                raise OwnDataError(f"{place}: label {label!r} has two names: {given[label]!r} and {name!r}.")
    if unlabelled:
        table.warnings.append(f"left out, {unlabelled:,} rows have no label (-1)")
    if splits:
        table.rules.append("splits: by the files' names, " + ", ".join(f"{g} is {p}" for g, p in splits.items()))
    named = any(name != label for label, name in given.items())
    table.names, rule = name_classes(given, [root if root.is_dir() else root.parent], given if named else None)
    table.rules.append(rule)
    return table


def _group(file: Path, root: Path) -> str:
    """Return the name that may be a split's: the file's without its number, or else its folder's."""
    stem = _stem(file)
    return stem if splits_of([stem]) else (file.parent.name if file.parent != root else stem)


def _stem(file: Path) -> str:
    return file.stem.split("-")[0] if "-of-" in file.stem else file.stem


def _refuse_several(groups: dict[Path, str], splits: dict[str, str], root: Path) -> None:
    """Refuse tables of several configurations, which are several datasets: `full/train.parquet`, `small/train.parquet`.

    Raises:
        OwnDataError: there are several; the message has the command for one.
    """
    above = {
        file.parent if group == _stem(file) else file.parent.parent for file, group in groups.items() if group in splits
    }
    if len(above) > 1:
        names = sorted(str(folder.relative_to(root)) for folder in above if folder.is_relative_to(root))
        raise OwnDataError(
            f"{root} holds tables of several datasets: {few(names)}. Give one: --root {root / names[-1]}"
        )


def _rows(file: Path, table: Table) -> Iterator[tuple[str, str, str, str]]:
    """Yield address, label, name and split of each row; no split where no column has it."""
    schema = read_back(file, _schema, error_class=OwnDataError)
    features = _features(schema)
    image = next((name for name, about in features.items() if _kind(about) == "Image"), None) or _image_column(schema)
    label = next((name for name, about in features.items() if _kind(about) == "ClassLabel"), None)
    label = label or next((name for name in LABELS if name in schema.names), None)
    if image is None or label is None:
        raise OwnDataError(f"{file}: expected a column of images and one of labels; found {few(schema.names, 12)}.")
    split = next((name for name in schema.names if plain(name) in (*SPLIT, *FLAGS)), None)
    splits = read_back(file, lambda path: _column(path, split), error_class=OwnDataError) if split else []
    words = split_meanings([{split: value} for value in set(splits)], split)
    if {str(value) for value in splits} - set(words):
        split, words = None, {}  # a column of something else
    unused = [name for name in schema.names if name not in (image, label, split)]
    rule = f"columns: image from {image!r}, label from {label!r}" + (f", split from {split!r}" if split else "")
    rule += f"; not used: {few(unused, 8)}" if unused else ""
    if rule not in table.rules:
        table.rules.append(rule)
    names = _names(features.get(label))
    for number, value in enumerate(read_back(file, lambda path: _column(path, label), error_class=OwnDataError)):
        try:
            key = text(value)
        except OwnDataError as error:
            raise OwnDataError(f"{file}, row {number}: {error}") from error
        if key.strip().lower() in MISSING:
            raise OwnDataError(f"{file}, row {number}: the label is empty.")
        known = isinstance(value, int) and 0 <= value < len(names)
        name = str(names[value]) if known else key
        yield table_address(file, number, image), key, name, words[str(splits[number])] if split else ""


def _schema(file: Path) -> Any:
    return parquet_file(str(file)).schema_arrow if file.suffix == PARQUET else arrow_table(str(file)).schema


def _column(file: Path, name: str) -> list[Any]:
    table = parquet_file(str(file)).read(columns=[name]) if file.suffix == PARQUET else arrow_table(str(file))
    return table[name].to_pylist()


def _features(schema: Any) -> dict[str, Any]:
    """Return what Hugging Face's `datasets` says of the columns; nothing where it is not in its form."""
    try:
        content = parse_json((schema.metadata or {}).get(b"huggingface", b"{}"))
        check_shape(content, FEATURES)
    except ValueError:
        return {}
    return content["info"]["features"]


def _kind(about: Any) -> str:
    return about.get("_type", "") if isinstance(about, dict) else ""


def _names(about: Any) -> list[Any]:
    """Return the class names of a column, by label."""
    names = about.get("names") if isinstance(about, dict) else None
    return names if isinstance(names, list) else []


def _image_column(schema: Any) -> str | None:
    import pyarrow

    def holds_images(kind: Any) -> bool:
        binary = pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind)
        return binary or (pyarrow.types.is_struct(kind) and kind.get_field_index("bytes") >= 0)

    return next((field.name for field in schema if holds_images(field.type)), None)
