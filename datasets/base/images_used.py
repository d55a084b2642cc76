"""The images that a run has used, for its record: two runs are comparable only on the same test images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from datasets.base.few_shot import fingerprint

PARTS = {"train": "train_x", "val": "val", "test": "test"}
"""Part -> attribute of a dataset."""


def images_used(dataset: Any, root: str) -> dict[str, dict[str, Any]]:
    """Return number and fingerprint (paths below `root`, labels, names) of the images of each part that has any."""
    parts = {part: getattr(dataset, name, None) for part, name in PARTS.items()}
    above = Path(root).expanduser().absolute()
    return {part: {"count": len(items), "sha256": fingerprint(items, above)} for part, items in parts.items() if items}
