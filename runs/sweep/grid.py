"""Values to try: `KEY=VALUE,VALUE` words, their combinations, and the folder of a combination."""

from __future__ import annotations

import argparse
import hashlib
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from runs.protocol import CONFIGS, PlanError, read

Grid = Mapping[str, Sequence[Any]]
LONGEST_NAME = 120
"""Characters of a folder's name before it is cut and told apart by a hash; file systems allow 255."""


def parse_grid(words: Iterable[str]) -> dict[str, list[str]]:
    """`KEY=VALUE,VALUE` words by key; a comma within brackets belongs to the value: `REP_LAYERS=[5,6],[6]`.

    `KEY=` is an empty text.

    Raises:
        PlanError: a word is not of that form, or names a key a second time.
    """
    grid: dict[str, list[str]] = {}
    for word in words:
        key, sign, values = word.partition("=")
        listed = [value.strip() for value in re.split(r",(?![^\[(]*[\])])", values)]
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_.]*", key) or not sign or not (all(listed) or listed == [""]):
            raise PlanError(f"--set takes KEY=VALUE,VALUE such as TRAINER.MMRL.ALPHA=0.5,0.7; got {word!r}.")
        if key in grid:
            raise PlanError(f"--set names {key} twice; list its values with commas: {key}=A,B.")
        grid[key] = listed
    return grid


def variants(grid: Grid, trainer: str) -> list[dict[str, Any]]:
    """Every combination of the values that concern a method, one of `{}` where none do."""
    own = {key: values for key, values in grid.items() if concerns(key, trainer)}
    return [dict(zip(own, values, strict=True)) for values in itertools.product(*own.values())]


def concerns(key: str, trainer: str) -> bool:
    """Return whether a method reads a key: not one in the section of another method, `TRAINER.<SECTION>`."""
    return not key.startswith("TRAINER.") or key.split(".")[1] in sections(trainer)


def sections(trainer: str) -> set[str]:
    """Names of a method's sections below TRAINER: its own, in capitals as CoOp writes it, those of its config files."""
    found = {trainer, trainer.upper()}
    for file in (CONFIGS / "trainers" / trainer).glob("*.yaml"):
        found |= set(read(file).get("TRAINER") or ())
    return found


def folder_of(values: Mapping[str, Any]) -> str:
    """A name for these values, the same for the same values: `TRAINER.MMRL.ALPHA=0.5,TRAINER.MMRL.REP_LAYERS=5+6`."""
    name = ",".join(f"{key}={_plain(value)}" for key, value in sorted(values.items()))
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[:LONGEST_NAME]}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def _plain(value: Any) -> str:
    """A value in characters that every file system and shell takes."""
    text = re.sub(r"[\s\[\]()'\"]", "", str(value)).replace(",", "+")
    return re.sub(r"[^A-Za-z0-9._+-]", "_", text)


def apart(args: argparse.Namespace) -> list[argparse.Namespace]:
    """One command line per run: every combination of the values to try with every seed, in folders of their own."""
    combinations = [dict(zip(args.grid, values, strict=True)) for values in itertools.product(*args.grid.values())]
    found = []
    for values in combinations:
        above = Path(args.output_dir or ".", *([folder_of(values)] if values else []))
        swept = ["SWEPT", str(list(values))] if values else []
        opts = [*args.opts, *(word for pair in values.items() for word in pair), *swept]
        for seed in dict.fromkeys(args.seeds):
            own = {"seed": seed, "output_dir": str(above / f"seed{seed}"), "opts": opts}
            found.append(argparse.Namespace(**{**vars(args), **own}))
    for each in found:
        each.runs = len(found)
    return found
