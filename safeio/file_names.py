"""Names of files and folders that are valid on every operating system."""

from __future__ import annotations

import os
import re
from pathlib import Path


def as_file_name(text: str) -> str:
    """Return a text as the name of a folder: letters and digits of any script, `-`, `_` and `.`; never empty."""
    name = re.sub(r"[^\w.-]+", "_", text, flags=re.UNICODE).strip("._-")
    return name or "data"


def own_data_name(root: str | os.PathLike, given: str = "") -> str:
    """Return the name that own images go by in folders, records and reports: the given one, or that of their place."""
    path = Path(root).expanduser().absolute()
    return as_file_name(given or (path.stem if path.suffix and not path.is_dir() else path.name))
