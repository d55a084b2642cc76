"""Division of a table into three splits: those that the data names are kept, others are drawn, equal for every seed."""

from __future__ import annotations

import random

from dassl.data.datasets import Datum
from dassl.data.few_shot import group_by
from datasets.base.splits import TRAIN_FRACTION, VAL_FRACTION, Split
from datasets.own.table import OwnDataError, Row, Table

SPLIT_SEED = 1  # of all runs: a seed of its own would give each run other test images


def divide(table: Table, val_fraction: float = -1) -> Split:
    """Divide own images.

    Where no split is named, or only `train`, half of each class is for training, a fifth for validation, the rest for
    testing. Named splits stay whole: nothing is set aside unless `val_fraction` asks for it.

    Args:
        val_fraction: fraction of each class for validation, if the data names no such split; negative: a fifth if
            splits are drawn, nothing of a named training split.

    Raises:
        OwnDataError: nothing is left to train or to test on.
    """
    rng, splits = random.Random(SPLIT_SEED), Split([], [], [])
    number = {label: position for position, label in enumerate(table.names)}
    groups = group_by(table.rows, lambda row: row.label)
    if val_fraction >= 1:
        raise OwnDataError(
            f"DATASET.VAL_FRACTION is {val_fraction:g}; it must be a fraction below 1, or negative for the default."
        )
    for label in table.names:
        rows = _splits(groups.get(label, []), set(table.splits), val_fraction, rng)
        for split, items in zip(splits, rows, strict=True):
            split.extend(Datum.listed(row.path, number[label], 0, table.names[label]) for row in items)
    if not splits.train:
        raise OwnDataError(f"No image in {table.root} is for training.")
    if not splits.test:
        raise OwnDataError(f"No image in {table.root} is left for testing: every class has only one.")
    return splits


def rule_of(table: Table, val_fraction: float = -1) -> str:
    """Return a sentence that says how a table was divided into splits."""
    given = set(table.splits)
    val = f"{val_fraction if val_fraction >= 0 else VAL_FRACTION:.0%}"
    if not {"val", "test"} & given:
        fractions = f"{TRAIN_FRACTION:.0%} of each class for training, {val} for validation, the rest for testing"
        return f"division: drawn, the same for every seed: {fractions}"
    rule = f"division: as given ({', '.join(table.splits)})"
    if "test" not in given:
        return rule + "; tested on the validation images"
    if "val" not in given and val_fraction > 0:
        return rule + f"; {val} of the training images are set aside for validation (DATASET.VAL_FRACTION)"
    return rule


def _splits(
    group: list[Row], given: set[str], val_fraction: float, rng: random.Random
) -> tuple[list[Row], list[Row], list[Row]]:
    """Return the images of one class for training, validation and testing; a single one is for training."""
    train, val, test = ([row for row in group if row.split == split] for split in Split._fields)
    spare = [row for row in group if not row.split]
    drawn = not {"test", "val"} & given
    if drawn:
        spare, train = spare + train, []
    elif "test" not in given:
        test = val  # as for ImageNet, the validation images are what is tested on
    elif "val" not in given and val_fraction > 0:
        spare, train = spare + train, []
    rng.shuffle(spare)
    fraction = val_fraction if val_fraction >= 0 else VAL_FRACTION if drawn else 0
    n_val = round(fraction * len(spare)) if "val" not in given else 0
    n_train = max(1, round(TRAIN_FRACTION * len(spare))) if drawn else len(spare) - n_val
    if drawn:
        n_val = min(n_val, max(0, len(spare) - n_train - 1))  # testing goes before validation
    train, val = train + spare[:n_train], val + spare[n_train : n_train + n_val]
    return train, val, test + spare[n_train + n_val :]
