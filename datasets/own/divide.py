"""Division of a table into three parts: those that the data names stay, the others are drawn, equal for every seed."""

from __future__ import annotations

import random

from dassl.data.datasets import Datum
from dassl.data.few_shot import group_by
from datasets.base.splits import TRAIN_SHARE, VAL_SHARE, Split
from datasets.own.table import OwnDataError, Row, Table

SPLIT_SEED = 1  # of all runs: a seed of its own would give each run other test images


def divide(table: Table, val_share: float = -1) -> Split:
    """Divide own images.

    Where no part is named, or only `train`, half of each class is for training, a fifth for validation, the rest for
    testing. Named parts stay whole: nothing is set aside unless `val_share` asks for it.

    Args:
        val_share: share of each class for validation where there is no such part; below 0: a fifth of what is drawn,
            nothing of a named training part.

    Raises:
        OwnDataError: nothing is left to train or to test on.
    """
    rng, split = random.Random(SPLIT_SEED), Split([], [], [])
    number = {label: position for position, label in enumerate(table.names)}
    groups = group_by(table.rows, lambda row: row.label)
    if val_share >= 1:
        raise OwnDataError(f"DATASET.VAL_SHARE is {val_share:g}, a share of the images: 0 or more and below 1.")
    for label in table.names:
        rows = _parts(groups.get(label, []), set(table.parts), val_share, rng)
        for part, items in zip(split, rows, strict=True):
            part.extend(Datum.listed(row.path, number[label], 0, table.names[label]) for row in items)
    if not split.train:
        raise OwnDataError(f"No image in {table.root} is for training.")
    if not split.test:
        raise OwnDataError(f"No image in {table.root} is left for testing: every class has only one.")
    return split


def rule_of(table: Table, val_share: float = -1) -> str:
    """Say how the parts of a table come about."""
    given = set(table.parts)
    val = f"{val_share if val_share >= 0 else VAL_SHARE:.0%}"
    if not {"val", "test"} & given:
        share = f"{TRAIN_SHARE:.0%} of each class for training, {val} for validation, the rest for testing"
        return f"division: drawn, the same for every seed: {share}"
    rule = f"division: as given ({', '.join(table.parts)})"
    if "test" not in given:
        return rule + "; tested on the validation images"
    if "val" not in given and val_share > 0:
        return rule + f"; {val} of the training images are set aside for validation (DATASET.VAL_SHARE)"
    return rule


def _parts(
    group: list[Row], given: set[str], val_share: float, rng: random.Random
) -> tuple[list[Row], list[Row], list[Row]]:
    """Return the images of one class for training, validation and testing; a single one is for training."""
    train, val, test = ([row for row in group if row.part == part] for part in Split._fields)
    spare = [row for row in group if not row.part]
    drawn = not {"test", "val"} & given
    if drawn:
        spare, train = spare + train, []
    elif "test" not in given:
        test = val  # as for ImageNet, the validation images are what is tested on
    elif "val" not in given and val_share > 0:
        spare, train = spare + train, []
    rng.shuffle(spare)
    share = val_share if val_share >= 0 else VAL_SHARE if drawn else 0
    n_val = round(share * len(spare)) if "val" not in given else 0
    n_train = max(1, round(TRAIN_SHARE * len(spare))) if drawn else len(spare) - n_val
    if drawn:
        n_val = min(n_val, max(0, len(spare) - n_train - 1))  # testing goes before validation
    train, val = train + spare[:n_train], val + spare[n_train : n_train + n_val]
    return train, val, test + spare[n_train + n_val :]
