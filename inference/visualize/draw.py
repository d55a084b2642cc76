"""Figures of a run and images, written to disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from inference.classes import positions
from inference.images import NoImagesError, Unreadable, batches, find_images
from inference.labelled_images import at_most, class_folders, test_images
from inference.predictor import Predictor
from inference.visualize.attention import as_seen, attention_maps
from inference.visualize.figures import attention_figure, features_figure, save

AT_ONCE = 32
"""Images computed at once."""
CLASSES_OF_A_KIND = 10
"""Classes on a map of features: that many trained ones and that many new ones."""


def draw_attention(predictor: Predictor, files: Sequence[str], output: Path) -> tuple[list[Path], list[Unreadable]]:
    """A figure of each image, attention-<number>-<name>.png.

    Returns:
        The files written, and what could not be read.

    Raises:
        ValueError: the image encoder is no vision transformer, or there are no images.
    """
    written, skipped = [], []
    for readable, images, unreadable in batches(find_images(files), predictor.transform, AT_ONCE):
        skipped += unreadable
        if images is None:
            continue
        before, after = attention_maps(predictor, images)
        for index, path in enumerate(readable):
            shown = as_seen(images[index], predictor)
            figure = attention_figure(shown, before, after, index, predictor.run.record["method"])
            written.append(output / f"attention-{len(written) + 1}-{path.stem}.png")
            save(figure, written[-1])
    return written, skipped


def draw_features(predictor: Predictor, folder: str, projection: str, per_class: int, output: Path) -> Path:
    """features-<projection>.png of images in class folders, or of the run's own test images if `folder` is empty.

    Raises:
        ValueError: no images, too few, or an unknown projection.
    """
    given = class_folders(Path(folder)) if folder else test_images(predictor.run)
    name_of = dict(at_most(given, per_class, _shown([name for _, name in given], predictor)))
    sets: dict[str, list[np.ndarray]] = {}
    kept: list[str] = []
    for readable, images, _ in batches(list(name_of), predictor.transform, AT_ONCE):
        if images is not None:
            kept += [name_of[path] for path in readable]
            for name, features in predictor.feature_sets(images).items():
                sets.setdefault(name, []).append(features)
    if not kept:
        raise NoImagesError(f"No image of {folder or 'the dataset'} could be read")
    names = list(dict.fromkeys(kept))
    labels = np.array([names.index(name) for name in kept])
    trained = [label is not None for label in positions(names, predictor.run.classes)]
    features = {name: np.concatenate(parts) for name, parts in sets.items()}
    path = output / f"features-{projection}.png"
    save(features_figure(features, labels, names, trained, projection), path)
    return path


def _shown(names: Sequence[str], predictor: Predictor) -> set[str]:
    """The first classes of each kind, trained and new, as many as can be told apart by colour."""
    names = list(dict.fromkeys(names))
    labels = positions(names, predictor.run.classes)
    kinds = ([n for n, label in zip(names, labels, strict=True) if (label is None) == new] for new in (True, False))
    return {name for kind in kinds for name in kind[:CLASSES_OF_A_KIND]}
