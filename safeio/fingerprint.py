"""Fingerprint of a folder's content, independent of the folder's place."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

WHOLE = 1 << 26
"""Bytes up to which a list, table or archive counts by all of its content."""
BLOCK, BLOCKS = 1 << 12, 256
"""Bytes of a sample, and samples of what is larger."""
SAMPLED = 20_000
"""Files of which a sample is read; of more, that many evenly over all count by content, the others by name and size."""
CONTENT = (".txt", ".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet", ".arrow", ".tar")
"""Endings of files in which a few bytes, such as a label, may change and leave the size as it is."""


def folder_fingerprint(root: str | os.PathLike) -> str:
    """Return a SHA-256 over the files below a folder, hidden ones apart, or over one file; empty where there is none.

    Names and sizes count, the content of lists, tables and archives, and of each other file 4 KiB from its middle: an
    image that was replaced under its name is another one. When a file was changed does not count.
    """
    root = Path(root).expanduser()
    if root.is_file():
        return _digest([(root.name, root)])
    if not root.is_dir():
        return ""
    return _digest(sorted((path.relative_to(root).as_posix(), path) for path in _files(root)))


def files_fingerprint(folders: Iterable[str]) -> str:
    """Return a SHA-256 as `folder_fingerprint`, over the files that lie directly in several folders; empty without any.

    The folders count in their order and not by name.
    """
    found = []
    for number, folder in enumerate(folders):
        inside = sorted(path for path in _entries(folder) if path.is_file()) if os.path.isdir(folder) else []
        found += [(f"{number}/{path.name}", path) for path in inside]
    return _digest(found) if found else ""


def _files(folder: Path, above: frozenset[str] = frozenset()) -> Iterator[Path]:
    """Yield the files below a folder; links are followed, but not into a folder that they lie in."""
    real = os.path.realpath(folder)
    for path in _entries(folder) if real not in above else ():
        if path.is_dir():
            if path.name != "split_fewshot":
                yield from _files(path, above | {real})
        elif path.is_file():
            yield path


def _entries(folder: str | os.PathLike) -> Iterator[Path]:
    return (path for path in Path(folder).iterdir() if not path.name.startswith("."))


def _digest(files: list[tuple[str, Path]]) -> str:
    digest = hashlib.sha256()
    step = -(-len(files) // SAMPLED)
    for number, (name, path) in enumerate(files):
        about = path.stat()
        digest.update(f"{name}\t{about.st_size}\n".encode(errors="surrogatepass"))
        content = path.suffix.lower() in CONTENT
        if content or number % step == 0:
            digest.update(_content(path, about.st_size, about.st_mtime_ns, content))
    return digest.hexdigest()


@lru_cache(maxsize=2 * SAMPLED)
def _content(path: Path, size: int, changed: int, content: bool) -> bytes:
    """Return a hash of what counts of a file; read once for all runs of a sweep, unless it was changed."""
    digest = hashlib.sha256()
    for block in _blocks(path, size, content):
        digest.update(block)
    return digest.digest()


def _blocks(path: Path, size: int, content: bool) -> Iterator[bytes]:
    """Yield all of a list, table or archive, or samples of a large one; of another file one sample."""
    with open(path, "rb") as file:
        if content and size <= WHOLE:
            while block := file.read(1 << 20):
                yield block
            return
        count = BLOCKS if content else 1
        for number in range(1, count + 1):
            file.seek(max(0, size * number // (count + 1) - BLOCK // 2))
            yield file.read(BLOCK)
