"""Images with class names for a map of features: the run's own test images, or class folders of the user's."""

from __future__ import annotations

import contextlib
import io
from collections import Counter
from collections.abc import Container, Iterable
from pathlib import Path

from dassl.data.datasets import DatasetBase, build_dataset
from inference.images import NoImagesError, find_images
from inference.run_folder import RunError, TrainedRun

Labelled = list[tuple[Path, str]]
"""Files with their class names."""


def dataset_of(run: TrainedRun, name: str = "") -> DatasetBase:
    """Return the run's dataset, or another by registry name, with all its classes.

    Raises:
        RunError: the dataset is not where the run found it.
    """
    cfg = run.cfg.clone()
    cfg.defrost()
    cfg.DATASET.SUBSAMPLE_CLASSES = "all"
    cfg.DATASET.NAME = name or cfg.DATASET.NAME
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return build_dataset(cfg)
    except (OSError, ValueError, RuntimeError) as error:
        raise RunError(
            f"The dataset {cfg.DATASET.NAME} of the run cannot be read: {error}. Give a folder with a folder of "
            "images for each class"
        ) from error


def test_images(run: TrainedRun, name: str = "") -> Labelled:
    """Return the test images of the run's dataset, or of another by registry name, of all its classes.

    Raises:
        RunError: the dataset is not where the run found it, or changes its images when they are read.
    """
    dataset = dataset_of(run, name)
    if dataset.test_change is not None:
        raise RunError(
            f"{name or run.cfg.DATASET.NAME} changes its images when it reads them, which is not done here. Give a "
            "folder with a folder of images for each class"
        )
    return labelled(dataset)


def labelled(dataset: DatasetBase) -> Labelled:
    """Return a dataset's test images as files."""
    return [(Path(datum.impath), datum.classname) for datum in dataset.test]


def class_folders(folder: Path) -> Labelled:
    """Images below a folder; the first folder on the way to each is its class.

    Raises:
        NoImagesError: there are none in folders.
    """
    if not folder.is_dir():
        raise NoImagesError(f"There is no folder {folder}: expected {folder}/<class>/<image>")
    found = [(path, path.relative_to(folder).parts[0]) for path in find_images([folder]) if path.parent != folder]
    if not found:
        raise NoImagesError(f"{folder} has images, but not in class folders: expected {folder}/<class>/<image>")
    return found


def at_most(images: Iterable[tuple[Path, str]], count: int, classes: Container[str]) -> Labelled:
    """The first `count` of each of these classes."""
    taken: Counter[str] = Counter()
    kept = []
    for path, name in images:
        taken[name] += 1
        if name in classes and taken[name] <= count:
            kept.append((path, name))
    return kept
