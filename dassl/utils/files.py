"""Small helpers around files and folders; `read_image` is here under the name that plugins import."""

from __future__ import annotations

import json
import os
import warnings
from typing import Any

from safeio.atomic import atomic_write_text
from safeio.images import UnreadableImage, read_image
from safeio.read_back import read_json as read_json_file

__all__ = [
    "UnreadableImage",
    "check_isfile",
    "listdir_nohidden",
    "mkdir_if_missing",
    "read_image",
    "read_json",
    "tolist_if_not",
    "write_json",
]


def mkdir_if_missing(dirname: str | os.PathLike) -> None:
    """Make a folder and its parents; nothing happens if it is there."""
    os.makedirs(dirname, exist_ok=True)


def check_isfile(fpath: str | os.PathLike) -> bool:
    """Return whether ``fpath`` is a file; warn when it is not."""
    found = os.path.isfile(fpath)
    if not found:
        warnings.warn(f'No file found at "{fpath}"', stacklevel=2)
    return found


def listdir_nohidden(path: str | os.PathLike, sort: bool = False) -> list[str]:
    """Names in a folder that do not start with a dot, in the file system's order unless ``sort``."""
    names = [name for name in os.listdir(path) if not name.startswith(".")]
    return sorted(names) if sort else names


def read_json(fpath: str | os.PathLike) -> Any:
    """The content of a JSON file.

    Raises:
        DamagedFile, a ValueError: it is not JSON; the message names the file and the place. MissingFile: there is none.
    """
    return read_json_file(fpath)


def write_json(obj: Any, fpath: str | os.PathLike) -> None:
    """Write JSON, atomically, in the form of the published split files (indent 4, no final newline)."""
    atomic_write_text(fpath, json.dumps(obj, indent=4, separators=(",", ": ")))


def tolist_if_not(x: Any) -> list:
    """``x`` itself if it is a list, else a list that holds it."""
    return x if isinstance(x, list) else [x]
