"""Files of texts about classes, {"class name": ["text", ...], ...}, and where they lie beside the data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from safeio.read_back import read_json

FOLDER = "texts"
"""Below the data's root."""
REMEDY = 'Expected is {"class name": ["text", ...], ...}: a list of texts for each class.'


def texts_file(root: str, dataset: str) -> Path:
    """Return where the texts about a dataset's classes belong: ROOT/texts/DATASET.json, by its registered name."""
    return Path(root).expanduser() / FOLDER / f"{dataset}.json"


def same_name(name: str) -> str:
    """Return a class name as texts are looked up by: spaces for underscores, small letters."""
    return name.replace("_", " ").casefold()


def read_texts(path: Path) -> dict[str, list[str]]:
    """Return the texts by class name (`same_name`).

    Raises:
        DamagedFile: the file is not of this layout; MissingFile: there is none.
    """
    return {same_name(name): texts for name, texts in read_json(path, {str: [str]}, REMEDY).items()}


def missing_of(texts: Mapping[str, list[str]], names: Iterable[str]) -> list[str]:
    """Return the names of classes that have no texts."""
    return [name for name in names if not texts.get(same_name(name))]
