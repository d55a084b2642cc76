"""A fingerprint of a folder's content that is the same wherever the folder lies."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

SMALL = 1 << 22
"""Bytes up to which a text file counts by its content; other files count by name and size."""
UNCOMPRESSED = (".bmp", ".dib", ".ppm", ".pgm", ".pnm", ".tif", ".tiff", ".tga", ".npy", ".parquet", ".arrow", ".tar")
"""Endings of files of which many have one size: some bytes from their middle count too."""
SAMPLE = 1 << 12
TEXTS = (".txt", ".csv", ".tsv", ".json", ".jsonl", ".ndjson")


def folder_fingerprint(root: str | os.PathLike) -> str:
    """Return a SHA-256 over the files below a folder, hidden ones apart, or over one file; empty where there is none.

    Names and sizes count, the content of lists (csv, json, txt), and some bytes of files that are not compressed.
    """
    root = Path(root).expanduser()
    digest = hashlib.sha256()
    if root.is_file():
        _add(digest, root, root.name)
        return digest.hexdigest()
    if not root.is_dir():
        return ""
    for folder, below, files in os.walk(root, followlinks=False):
        below[:] = sorted(name for name in below if not name.startswith(".") and name != "split_fewshot")
        for name in sorted(files):
            path = Path(folder, name)
            if not name.startswith(".") and path.is_file():
                _add(digest, path, path.relative_to(root).as_posix())
    return digest.hexdigest()


def _add(digest: hashlib._Hash, path: Path, name: str) -> None:
    size = path.stat().st_size
    digest.update(f"{name}\t{size}\n".encode(errors="surrogatepass"))
    if path.suffix.lower() in TEXTS and size <= SMALL:
        digest.update(path.read_bytes())
    elif path.suffix.lower() in UNCOMPRESSED:
        with open(path, "rb") as file:
            file.seek(max(0, size - SAMPLE) // 2)
            digest.update(file.read(SAMPLE))
