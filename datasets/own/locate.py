"""Find the files that a list names, wherever its paths start from."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath

from datasets.base.missing import missing_message
from safeio.errors import MissingFile
from safeio.images import image_suffixes


def locate(paths: list[str], places: list[str], root: Path, beside: Path) -> tuple[list[str], str]:
    """Find the files that a list names: from one folder for all of them.

    It tries the root, the list's folder and the folders in both, with the paths as they are, with Windows' separators,
    shortened to their last parts (a path of another machine), and without an ending.

    Returns:
        Absolute paths, and a sentence where they are not simply relative to the root.

    Raises:
        FileNotFoundError: some are missing from the place where most are.
    """
    if addresses := [path for path in paths if "://" in path]:
        raise MissingFile(
            f"{places[paths.index(addresses[0])] or beside}: {addresses[0]} is an address on the network. Download the "
            f"images first, and list their files."
        )
    plain = [path if os.path.isfile(path) and os.path.isabs(path) else path.replace("\\", "/") for path in paths]
    sample = plain[:: max(1, len(plain) // 50)]
    best: tuple[int, Path, int, str] = (0, root, 0, "")
    for base, cut, ending in _ways(sample, root, beside):
        count = sum(os.path.isfile(_as_stored(base / (_cut(path, cut) + ending))) for path in sample)
        if count > best[0]:
            best = (count, base, cut, ending)
        if count == len(sample):
            break
    _, base, cut, ending = best
    found = [os.path.abspath(_as_stored(base / (_cut(path, cut) + ending))) for path in plain]
    missing = [number for number, path in enumerate(found) if not os.path.isfile(path)]
    if missing:
        raise MissingFile(missing_message([found[n] for n in missing], [places[n] for n in missing], len(found)))
    notes = [f"from {base}"] if base not in (root, beside) else []
    notes += [f"without their first {cut} folders"] if cut else []
    notes += [f"with the ending {ending}"] if ending else []
    return found, f"paths: read {', '.join(notes)}" if notes else ""


def _ways(sample: list[str], root: Path, beside: Path) -> Iterator[tuple[Path, int, str]]:
    """Yield the ways in which paths may be meant: folder they start from, first parts to cut off, ending to add."""
    endings = [""]
    if not any(os.path.splitext(path)[1].lower() in image_suffixes() for path in sample):
        endings += sorted(image_suffixes())
    foreign = all(path.startswith("/") or PureWindowsPath(path).drive for path in sample)
    cuts = range(max((path.count("/") for path in sample), default=0) + 1 if foreign else 1)
    for base in dict.fromkeys(folder for top in (root, beside) if top.is_dir() for folder in (top, *_folders(top))):
        yield from ((base, cut, ending) for cut in cuts for ending in endings)


def _folders(top: Path) -> list[Path]:
    """Return the folders in a folder and in those, the first hundred of each."""

    def below(folder: Path) -> list[Path]:
        return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))[:100]

    first = below(top)
    return [*first, *(inner for folder in first[:20] for inner in below(folder)[:20])]


def _as_stored(path: Path) -> str:
    """Return the file as the folder names it: accents may be stored in another way than in the list."""
    name = os.fspath(path)
    if name.isascii() or os.path.isfile(name):
        return name
    forms = (unicodedata.normalize(form, name) for form in ("NFC", "NFD"))
    return next((form for form in forms if os.path.isfile(form)), name)


def _cut(path: str, count: int) -> str:
    return "/".join(path.split("/")[count:]) if count else path
