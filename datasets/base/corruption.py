"""Label noise and class imbalance in the training images, for ablations; testing and validation stay as they are.

Settings: `DATASET.LABEL_NOISE` and `DATASET.IMBALANCE`. Both draw from generators of their own, so that a seed gives
the same few-shot choice with and without them, and images that are mislabelled at 10 % are mislabelled at 20 % too.
"""

from __future__ import annotations

import random

from yacs.config import CfgNode

from dassl.data.datasets import Datum
from dassl.data.few_shot import group_by
from datasets.base.splits import Split


def corrupt(split: Split, cfg: CfgNode) -> Split:
    """The split with the imbalance, then the noise, that the configuration asks for; what was done is printed.

    Raises:
        ValueError: a value out of range.
    """
    ratio, fraction = getattr(cfg.DATASET, "IMBALANCE", 1.0), getattr(cfg.DATASET, "LABEL_NOISE", 0.0)
    if ratio < 1:
        raise ValueError(f"DATASET.IMBALANCE is {ratio}; it is the largest class over the smallest, at least 1")
    if not 0 <= fraction < 1:
        raise ValueError(f"DATASET.LABEL_NOISE is {fraction}; it is a fraction, from 0 to below 1")
    train = split.train
    if ratio > 1:
        train = imbalanced(train, ratio, _generator("imbalance", cfg.SEED))
        print(f"Class imbalance {ratio:g}: {len(train)} of {len(split.train)} training images are kept")
    if fraction > 0:
        clean, train = train, mislabelled(train, fraction, _generator("label noise", cfg.SEED))
        wrong = sum(before.label != after.label for before, after in zip(clean, train, strict=True))
        print(f"Label noise {fraction:g}: {wrong} of {len(train)} training images have another class's label")
    return Split(train, split.val, split.test)


def _generator(purpose: str, seed: int) -> random.Random:
    return random.Random(f"{purpose} {seed}" if seed >= 0 else None)


def imbalanced(items: list[Datum], ratio: float, rng: random.Random) -> list[Datum]:
    """A long tail: of C classes in random order, the i-th keeps the fraction ratio^(-i / (C - 1)), at least one image.

    As CIFAR-LT is made (Cui et al., Class-Balanced Loss Based on Effective Number of Samples, CVPR 2019). The first
    images of each class are kept, so that a stronger imbalance keeps a part of what a weaker one does.
    """
    groups = group_by(items, lambda item: item.label)
    order = sorted(groups)
    rng.shuffle(order)
    kept = {}
    for place, label in enumerate(order):
        fraction = ratio ** (-place / max(1, len(order) - 1))
        kept[label] = groups[label][: max(1, round(fraction * len(groups[label])))]
    return [item for label in groups for item in kept[label]]


def mislabelled(items: list[Datum], fraction: float, rng: random.Random) -> list[Datum]:
    """Give every chosen image another class's label, by exchange among the chosen ones, which keeps class sizes.

    Args:
        fraction: of all images, rounded to whole ones. A single image has none to exchange with and stays.
    """
    order = list(range(len(items)))
    rng.shuffle(order)
    chosen = order[: round(fraction * len(items))]
    given = dict(zip(chosen, _deranged([items[place].label for place in chosen], rng), strict=True))
    names = {item.label: item.classname for item in items}
    return [_renamed(item, given.get(place, item.label), names) for place, item in enumerate(items)]


def _deranged(labels: list[int], rng: random.Random) -> list[int]:
    """The labels in random order, none where it was; those of a class that is more than half of them partly stay."""
    mixed = list(labels)
    rng.shuffle(mixed)
    for place, label in enumerate(labels):
        if mixed[place] != label:
            continue
        partners = [p for p in range(len(labels)) if mixed[p] != label and labels[p] != label]
        if partners:
            partner = rng.choice(partners)
            mixed[place], mixed[partner] = mixed[partner], mixed[place]
    return mixed


def _renamed(item: Datum, label: int, names: dict[int, str]) -> Datum:
    return Datum.listed(item.impath, label, item.domain, names[label])
