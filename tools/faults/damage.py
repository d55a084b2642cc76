"""All the ways in which a file can be damaged, one after the other, for any reader of files."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

CUTS, REGIONS, FLIPS = 64, 16, 64
OTHERS: tuple[Any, ...] = (None, True, -1, 10**400, 1e308, "text", "\ud83d", "\x1b[31m", [], [[]], {}, {"a": {}})
"""Values put in the place of each value of a JSON file."""


def damages(whole: bytes, seed: int = 0) -> Iterator[tuple[str, Callable[[Path], None]]]:
    """Yield names of damages and functions that put them in the place of a file.

    Args:
        whole: the file's content; where it is JSON, values of other types come at each position too.
    """
    dice = random.Random(seed)
    contents: dict[str, bytes] = {"empty": b"", "nonsense": b"<html>404 not found</html>"}
    for number in range(CUTS):
        place = len(whole) * number // CUTS
        contents[f"cut at {place}"] = whole[:place]
    for number in range(REGIONS):
        first, last = len(whole) * number // REGIONS, len(whole) * (number + 1) // REGIONS
        contents[f"zeros from {first} to {last}"] = whole[:first] + bytes(last - first) + whole[last:]
    for _ in range(FLIPS):
        place, bit = dice.randrange(len(whole)), dice.randrange(8)
        contents[f"bit {bit} of byte {place}"] = whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :]
    if (end := whole.rfind(b"PK\1\2")) >= 0:  # the directory of a zip archive
        for place in range(end, len(whole)):
            contents[f"directory, byte {place}"] = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
    for name, content in contents.items():
        yield name, lambda path, content=content: _replace(path, content)
    yield from (_encoded(whole, name) for name in ("utf-16", "utf-8-sig", "utf-32"))
    yield from _other_values(whole)
    yield "a folder", lambda path: (_clear(path), path.mkdir())[0]
    yield "a link to nowhere", lambda path: (_clear(path), path.symlink_to("nowhere"))[0]
    yield "a link to itself", lambda path: (_clear(path), path.symlink_to(path.name))[0]
    yield "a link without end", lambda path: (_clear(path), path.symlink_to("/dev/zero"))[0]
    if hasattr(os, "mkfifo"):
        yield "a pipe", lambda path: (_clear(path), os.mkfifo(path))[0]
    if hasattr(os, "getuid") and os.getuid():  # root reads all
        yield "unreadable", lambda path: (_replace(path, whole), path.chmod(0))[0]


def _clear(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


def _replace(path: Path, content: bytes) -> None:
    _clear(path)
    path.write_bytes(content)


def _encoded(whole: bytes, name: str) -> tuple[str, Callable[[Path], None]]:
    return f"as {name}", lambda path: _replace(path, whole.decode("latin1").encode(name))


def _other_values(whole: bytes) -> Iterator[tuple[str, Callable[[Path], None]]]:
    try:
        content = json.loads(whole)
    except ValueError:
        return
    for place in [(), *positions(content)]:
        for value in OTHERS:
            text = json.dumps(with_other(content, place, value)).encode()
            yield f"{value!r:.20} at {place}", lambda path, text=text: _replace(path, text)


def positions(content: Any, above: tuple = ()) -> Iterator[tuple]:
    """Yield the path to every value in nested dictionaries and sequences; of a sequence the first three."""
    if isinstance(content, (dict, list, tuple)):
        for key, value in content.items() if isinstance(content, dict) else list(enumerate(content))[:3]:
            yield (*above, key)
            yield from positions(value, (*above, key))


def with_other(content: Any, place: tuple, value: Any) -> Any:
    """Return the content with another value at a place."""
    if not place:
        return value
    key, *rest = place
    if isinstance(content, dict):
        return content | {key: with_other(content[key], tuple(rest), value)}
    return [with_other(item, tuple(rest), value) if i == key else item for i, item in enumerate(content)]
