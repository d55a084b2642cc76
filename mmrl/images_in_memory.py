"""Labelled images in memory as a dataset: files, and a list of their labels, in the run's folder."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from yacs.config import CfgNode

from dassl.data.datasets import DATASET_REGISTRY, DatasetBase, Datum
from dassl.data.few_shot import sample_few_shot
from inference.classes import check_classes, check_labels
from inference.inputs import sources
from mmrl.training import FitError
from runs.record import read_record
from safeio.atomic import atomic_write_json
from safeio.download import file_sha256
from safeio.read_back import read_json

LISTING = "labels.json"
FOLDER = "images"
"""Folder of the images within the run's."""


@DATASET_REGISTRY.register()
class LabelledImages(DatasetBase):
    """Images that were given in memory: files below DATASET.ROOT, listed with their labels."""

    def __init__(self, cfg: CfgNode):
        folder = Path(cfg.DATASET.ROOT)
        listed = read_json(folder / LISTING, {"classes": [str], "files": [(str, int)]})
        items = [Datum(folder / file, label, 0, listed["classes"][label]) for file, label in listed["files"]]
        chosen = items
        if cfg.DATASET.NUM_SHOTS > 0:
            chosen = sample_few_shot(items, cfg.DATASET.NUM_SHOTS, random.Random(max(0, cfg.SEED)))
        super().__init__(train_x=chosen, test=items)


def write_images(images: Any, labels: Sequence[str], run: Path) -> Path:
    """Write images with their labels into a run's folder, and return the folder of the images.

    Raises:
        FitError: labels that do not fit the images; or the folder has a run on other images or labels.
        inference.classes.ClassesError: no list of labels, or some are missing.
    """
    labels = check_labels(labels)
    if empty := [index for index, label in enumerate(labels) if not label.strip()]:
        raise FitError(f"Every image needs a label; that of image {empty[0]} is empty")
    found = list(sources(images))
    if len(found) != len(labels):
        raise FitError(f"There are {len(found)} images and {len(labels)} labels; each image needs one")
    names = sorted(set(labels))
    check_classes(names, "the labels")
    if len(names) < 2:
        raise FitError(f"All images are of the class {names[0]!r}: there must be two classes or more")
    folder = run / FOLDER
    files = [str(one.absolute()) if isinstance(one, Path) else f"{index}.png" for index, one in enumerate(found)]
    listing = {
        "classes": names,
        "files": [[file, names.index(label)] for file, label in zip(files, labels, strict=True)],
        "sha256": [_sha256(one) for one in found],
    }
    _check_same(run, listing)
    folder.mkdir(parents=True, exist_ok=True)
    for file, source in zip(files, found, strict=True):
        if isinstance(source, Image.Image):
            source.save(folder / file)
    atomic_write_json(folder / LISTING, listing)
    return folder


def _sha256(source: Path | Image.Image) -> str:
    if isinstance(source, Path):
        return file_sha256(source)
    return hashlib.sha256(f"{source.mode} {source.size} ".encode() + source.tobytes()).hexdigest()


def _check_same(run: Path, listing: dict[str, Any]) -> None:
    """Refuse to continue a run on other images or labels; one that failed before it used any may be repeated."""
    file = run / FOLDER / LISTING
    record = read_record(run)
    if record is None or record.get("built") is False or not file.is_file():
        return
    if read_json(file) != listing:
        raise FitError(f"{run} holds a run on other images or labels. Give another output=, or remove the folder")
