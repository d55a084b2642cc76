"""Pictures with class names for a map of features: the run's own test pictures, or class folders of the user's."""

from __future__ import annotations

import contextlib
import io
from collections import Counter
from collections.abc import Container, Iterable
from pathlib import Path

from dassl.data.datasets import build_dataset
from inference.pictures import NoPicturesError, find_pictures
from inference.run_folder import RunError, TrainedRun

Labelled = list[tuple[Path, str]]
"""Files with their class names."""


def test_pictures(run: TrainedRun) -> Labelled:
    """The test pictures of the run's dataset, of all its classes.

    Raises:
        RunError: the dataset is not where the run found it.
    """
    cfg = run.cfg.clone()
    cfg.DATASET.SUBSAMPLE_CLASSES = "all"
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            dataset = build_dataset(cfg)
    except (OSError, ValueError, RuntimeError) as error:
        raise RunError(
            f"The dataset {cfg.DATASET.NAME} of the run cannot be read: {error}. Give a folder with a folder of "
            "pictures for each class"
        ) from error
    return [(Path(datum.impath), datum.classname) for datum in dataset.test]


def class_folders(folder: Path) -> Labelled:
    """Pictures below a folder; the first folder on the way to each is its class.

    Raises:
        NoPicturesError: there are none in folders.
    """
    found = [(path, path.relative_to(folder).parts[0]) for path in find_pictures([folder]) if path.parent != folder]
    if not found:
        raise NoPicturesError(f"{folder} has pictures, but not in class folders: expected {folder}/<class>/<picture>")
    return found


def at_most(pictures: Iterable[tuple[Path, str]], count: int, classes: Container[str]) -> Labelled:
    """The first `count` of each of these classes."""
    taken: Counter[str] = Counter()
    kept = []
    for path, name in pictures:
        taken[name] += 1
        if name in classes and taken[name] <= count:
            kept.append((path, name))
    return kept
