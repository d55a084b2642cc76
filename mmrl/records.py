"""Tables of what was run and of what there is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from mmrl.commands import list_names
from reports.records import find_runs

if TYPE_CHECKING:
    import pandas


def results(output: str | os.PathLike = "output") -> pandas.DataFrame:
    """Return a row for each run below a folder: what was run, its accuracy in percent, seconds, folder.

    Raises:
        FileNotFoundError: there is no run.
    """
    import pandas

    return pandas.DataFrame(
        {
            "method": run.line.method,
            "backbone": run.line.backbone,
            "dataset": run.dataset,
            "protocol": run.protocol,
            "part": run.part,
            "shots": run.shots,
            "seed": run.seed,
            **{key: value for key, value in run.record.get("metrics", {}).items() if isinstance(value, int | float)},
            "seconds": run.record.get("timing", {}).get("seconds"),
            "status": run.record.get("status"),
            "folder": str(Path(output) / run.folder),
        }
        for run in find_runs(Path(output))
    )


def methods() -> dict[str, str]:
    """Return every method's name with one line on it."""
    return dict(list_names.methods())
