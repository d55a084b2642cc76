"""Images with class names for a map of features: the run's own test images, or class folders of the user's."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from pathlib import Path

from dassl.data.class_names import positions
from dassl.data.datasets import DatasetBase, build_dataset
from datasets.own.read import read_table
from datasets.own.table import ALLOWABLE
from inference.images import NoImagesError
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


def class_folders(folder: Path, known: Sequence[str] = ()) -> Labelled:
    """Read images of the user's own as a training reads them: class folders, a manifest, wrappers, `classnames.txt`.

    Faults that a training refuses are accepted. Where the data has splits, only the test images are returned. A warning
    names the images that are left out.

    Args:
        known: the model's class names. A class whose folder's name is among them, but not its name in words, keeps that
            of the folder.

    Raises:
        NoImagesError: there is no such folder.
        UserError: the layout is not understood; the message has what was found.
    """
    if not folder.exists():
        raise NoImagesError(f"There is no folder {folder}: expected {folder}/<class>/<image>")
    table = read_table(folder, tuple(ALLOWABLE))
    for note in table.warnings:
        warnings.warn(f"{folder}: {note}", stacklevel=3)
    tested = next((split for split in ("test", "val") if split in table.splits), None)
    labels = zip(positions(table.names.values(), known), positions(table.names, known), strict=True)
    by_folder = [named is None and label is not None for named, label in labels]
    names = {key: key if keep else name for (key, name), keep in zip(table.names.items(), by_folder, strict=True)}
    return [(Path(row.path), names[row.label]) for row in table.rows if tested is None or row.split == tested]


def at_most(images: Iterable[tuple[Path, str]], count: int, classes: Container[str]) -> Labelled:
    """The first `count` of each of these classes."""
    taken: Counter[str] = Counter()
    kept = []
    for path, name in images:
        taken[name] += 1
        if name in classes and taken[name] <= count:
            kept.append((path, name))
    return kept
