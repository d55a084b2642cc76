"""Few-shot sets: a few images of each class, chosen by the seed as in the published code, and kept in a file.

The choice of a run is kept in `<dataset folder>/split_fewshot/shot_<K>-seed_<S>.json`. If another project's code has
left a choice under that name, as .pkl or as .jsonl lists, that one is used, so that both train on the same images.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
from collections.abc import Callable, Iterable
from pathlib import Path

from dassl.data.datasets import Datum
from dassl.data.few_shot import group_by, sample_few_shot
from datasets.base.published_splits import ForeignListError, read_foreign
from datasets.base.splits import Split, relative
from safeio.atomic import atomic_write_json
from safeio.errors import MissingFile
from safeio.read_back import DamagedFile, read_back, read_json

MOST_VAL_SHOTS = 4
CHOICE = {"origin_sha256": str, "sha256": [str], "train": [str], "val": [str]}
DRAWN = ("train", "val")  # the splits that few-shot runs sample, in this order
Drawn = tuple[list[Datum], list[Datum]]


def few_shot(split: Split, shots: int, seed: int, folder: str | os.PathLike, cache: Path | None = None) -> Split:
    """Keep `shots` training images of each class and at most four for validation; testing stays whole.

    Args:
        split: the whole split; the choice covers all classes, so that runs on either half share it.
        shots: below 1 keeps everything. A class with fewer images gives all it has, with a message.
        seed: below 0 draws anew each time.
        folder: the dataset's folder, which paths in the cache are relative to.
        cache: folder for the choice, as readable JSON. If it cannot be written, nothing is kept: the seed gives
            the same choice again.
    """
    if shots < 1:
        return split
    say_small_classes(split.train, shots)
    stem = cache / f"shot_{shots}-seed_{seed}" if cache and seed >= 0 else None
    known = {}
    if stem and cache.is_dir():
        known = {name: {relative(item, folder): item for item in getattr(split, name)} for name in DRAWN}
    origin = stem and fingerprint([*split.train, *split.val], folder)
    chosen = recall(stem, folder, origin, lambda name, path: known[name][path]) if known else None
    if chosen is None:
        rng = random.Random(seed if seed >= 0 else None)
        chosen = (sample_few_shot(split.train, shots, rng), sample_few_shot(split.val, min(shots, MOST_VAL_SHOTS), rng))
        if stem:
            remember(stem, folder, origin, chosen)
    return Split(*chosen, split.test)


def say_small_classes(items: Iterable[Datum], shots: int) -> None:
    """Print which classes have fewer images than shots; they are trained with all they have."""
    small = [group for group in group_by(list(items), lambda item: item.label).values() if len(group) < shots]
    if small:
        named = ", ".join(f"{group[0].classname} ({len(group)})" for group in small[:5])
        more = f" and {len(small) - 5} more" if len(small) > 5 else ""
        print(f"Fewer than {shots} training images, so all of them are used: {named}{more}")


def recall(stem: Path, folder: str | os.PathLike, origin: str, find: Callable[[str, str], Datum]) -> Drawn | None:
    """Return the choice kept under this name; None if there is none, or, with a warning, if it is of other data.

    Args:
        stem: path without an ending.
        folder: the dataset's folder.
        origin: fingerprint of what the choice was made from.
        find: split and path -> image; KeyError if the split has no such image.
    """
    try:
        foreign = read_foreign(stem, Path(folder))
        if foreign is not None:
            print(f"Few-shot choice read from {foreign.source}")
            return tuple(_found(foreign.rows.get(split, []), split, find) for split in DRAWN)
    except (ForeignListError, KeyError) as error:
        print(f"Warning: a kept few-shot choice cannot be used and is drawn anew: {error.args[0]}")
    file = stem.with_name(stem.name + ".json")
    try:
        return read_back(file, lambda path: _kept(path, folder, origin, find))
    except MissingFile:
        return None
    except DamagedFile:
        pass
    print(f"Warning: {file} is damaged, was edited or is of another split; the choice is drawn anew")
    return None


def _kept(file: Path, folder: str | os.PathLike, origin: str, find: Callable[[str, str], Datum]) -> Drawn:
    """Return the choice in a file; an error of some kind if it is not of this split."""
    kept = read_json(file, CHOICE)
    chosen = tuple([find(split, path) for path in kept[split]] for split in DRAWN)
    if kept["origin_sha256"] != origin or kept["sha256"] != [fingerprint(items, folder) for items in chosen]:
        raise ValueError("it is of another split")
    return chosen


def _found(rows: list[tuple[str, int, str]], split: str, find: Callable[[str, str], Datum]) -> list[Datum]:
    found = []
    for path, label, classname in rows:
        try:
            item = find(split, path)
        except KeyError:
            raise KeyError(f"{path} is not in the {split} split of the split file") from None
        if (item.label, item.classname) != (label, classname):
            raise KeyError(f"{path} is {label} {classname!r} there, {item.label} {item.classname!r} in the split")
        found.append(item)
    return found


def remember(stem: Path, folder: str | os.PathLike, origin: str, chosen: tuple[list[Datum], list[Datum]]) -> None:
    """Write a choice; a data folder that is read-only is passed over."""
    content = {
        "origin_sha256": origin,
        "sha256": [fingerprint(items, folder) for items in chosen],
        **{name: [relative(item, folder) for item in items] for name, items in zip(DRAWN, chosen, strict=True)},
    }
    with contextlib.suppress(OSError):
        atomic_write_json(stem.with_name(stem.name + ".json"), content)


def fingerprint(items: Iterable[Datum], folder: str | os.PathLike) -> str:
    """SHA-256 of lines `path TAB label TAB class name`, paths relative to `folder`."""
    digest = hashlib.sha256()
    for item in items:
        digest.update(f"{relative(item, folder)}\t{item.label}\t{item.classname}\n".encode(errors="surrogatepass"))
    return digest.hexdigest()
