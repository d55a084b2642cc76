"""Cached listing of the class folders of a huge dataset: the next run need not list a million files.

A listing is one JSON file: for each class folder the names in it and the time the folder was last changed. Adding,
removing or renaming a file changes that time, so a listing that is out of date is seen by looking at the folders
alone, and only those that changed are listed again.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path
from typing import Any

from safeio.atomic import atomic_write_text
from safeio.errors import MissingFile
from safeio.progress import progress
from safeio.read_back import DamagedFile, read_json, say

VERSION = 1


def file_name(value: Any) -> bool:
    """the name of a file"""
    return isinstance(value, str) and "/" not in value


LISTING = {"version": int, "classes": {str: (int, [file_name])}}
SETTLED = 2_000_000_000  # nanoseconds; a folder changed less long ago may change again without its time showing it


def list_classes(folder: Path, ignored: tuple[str, ...] = (), cache: Path | None = None) -> dict[str, list[str]]:
    """Class folder -> names of the files in it, both sorted; names with a dot in front are passed over.

    Args:
        folder: holds one folder per class; files beside them are passed over.
        ignored: names that are no classes.
        cache: file for the listing. One that is damaged or cannot be written is passed over.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    kept = _read(cache) if cache else {}
    found, changed = {}, False
    with os.scandir(folder) as entries:
        classes = sorted(e.name for e in entries if e.name not in ignored and not e.name.startswith(".") and e.is_dir())
    for name in progress(classes, f"listing {folder.name}"):
        modified = os.stat(folder / name).st_mtime_ns
        old = kept.get(name)
        if old and old[0] == modified:
            found[name] = old
            continue
        with os.scandir(folder / name) as entries:
            files = sorted(e.name for e in entries if not e.name.startswith(".") and e.is_file())
        settled = time.time_ns() - modified > SETTLED
        found[name] = [modified if settled else 0, files]
        changed = True
    if cache and (changed or len(found) != len(kept)):
        with contextlib.suppress(OSError):  # a data folder may well be read-only
            text = json.dumps({"version": VERSION, "classes": found}, separators=(",", ":"))
            atomic_write_text(cache, text)
    return {name: files for name, (_, files) in found.items()}


def _read(cache: Path) -> dict[str, list]:
    try:
        content = read_json(cache, LISTING)
    except MissingFile:
        return {}
    except DamagedFile as error:
        say(f"{error} The folders are listed again.")
        return {}
    return content["classes"] if content["version"] == VERSION else {}
