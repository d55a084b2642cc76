"""Names of files and folders that every system takes."""

from __future__ import annotations

import re


def as_file_name(text: str) -> str:
    """Return a text as the name of a folder: letters and digits of any script, `-`, `_` and `.`; never empty."""
    name = re.sub(r"[^\w.-]+", "_", text, flags=re.UNICODE).strip("._-")
    return name or "data"
