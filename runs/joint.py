"""Groups of runs that one process can train together: runs that differ in the seed alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from runs.protocol import PlannedRun


def groups_alike(runs: Iterable[PlannedRun]) -> list[list[PlannedRun]]:
    """Return groups of runs for one call of train.py each, in the order of their first runs; a test is alone."""
    groups: list[list[PlannedRun]] = []
    for run in runs:
        group = next((group for group in groups if can_join(group[0], run)), None)
        if group is None:
            groups.append([run])
        else:
            group.append(run)
    return groups


def can_join(run: PlannedRun, other: PlannedRun) -> bool:
    """Return whether both runs train under the same settings into neighbouring folders `seed<number>`."""
    folders = [PurePosixPath(each.folder) for each in (run, other)]
    names = [f"seed{each.seed}" for each in (run, other)]
    return (
        run.model_folder is None
        and [folder.name for folder in folders] == names
        and folders[0].parent == folders[1].parent
        and replace(run, seed=other.seed, folder=other.folder) == other
    )


def arguments(runs: Sequence[PlannedRun], output: Path, root: str, extra: Sequence[str]) -> list[str]:
    """Arguments of train.py for one run, or for several of one group of `groups_alike`."""
    if len(runs) == 1:
        return runs[0].arguments(output, root, extra)
    words = runs[0].arguments(output, root, extra)
    seed, folder = words.index("--seed"), words.index("--output-dir")
    words[folder + 1] = str((output / runs[0].folder).parent)
    words[seed : seed + 2] = ["--seeds", *(str(run.seed) for run in runs)]
    return words
