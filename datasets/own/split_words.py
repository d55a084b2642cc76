"""Words for the splits of a dataset: train, val and test, as people write them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

WORDS = {
    "train": ("train", "training", "trn", "tr"),
    "val": ("val", "valid", "validation", "validate", "dev", "development"),
    "test": ("test", "testing", "tst", "te", "holdout"),
    "eval": ("eval", "evaluation", "evaluate"),  # the test split, unless there is one
}
SPLIT_OF = {word: split for split, words in WORDS.items() for word in words}
FILLERS = {"set", "data", "dataset", "image", "images", "img", "imgs", "split", "part", "seg", "photos", "pictures",
           "subset", "samples", "folder", "files", "labels", "list", "crops", "new", "final", "raw"}  # fmt: skip
"""Words that may stand beside a split's, as in `seg_train` or `training_set`."""


def _words(name: str) -> list[str]:
    return [word.lower() for word in re.findall(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+", name)]


def is_filler(name: str, more: Collection[str] = ()) -> bool:
    """Return True for a folder's name that says nothing, `images`, `data_files`, or is of more words of that kind."""
    words = set(_words(name))
    return bool(words) and words <= FILLERS.union(more)


def split_word(name: str) -> str:
    """Return train, val, test or eval for a folder's or file's name that says so; empty for any other name."""
    words = _words(name)
    found = [SPLIT_OF.get(word) or SPLIT_OF.get(word.removesuffix("set")) for word in words]
    splits = {split for split in found if split}
    others = {word for word, split in zip(words, found, strict=True) if not split} - FILLERS
    return splits.pop() if len(splits) == 1 and not others else ""


def splits_of(names: Iterable[str]) -> dict[str, str]:
    """Return the split of each name that is one's; `eval` means test, or val where there is a test split."""
    words = {name: word for name in names if (word := split_word(name))}
    eval_means = "val" if "test" in words.values() else "test"
    return {name: eval_means if word == "eval" else word for name, word in words.items()}
