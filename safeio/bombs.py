"""Archives that unpack to far more than they are."""

from __future__ import annotations

import os
import zipfile

HARMLESS = 1 << 30
"""Bytes that any machine that trains has."""
RATIO = 20
"""No file of real weights packs better; one of zeros does by a factor of 1000."""


def refuse_bomb(path: str | os.PathLike) -> None:
    """Raise unless what a zip archive says it holds is in proportion to its size; other files pass.

    Raises:
        ValueError: it is not.
    """
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    packed = os.path.getsize(path)
    if unpacked > max(HARMLESS, RATIO * packed):
        raise ValueError(f"it would unpack to {unpacked / 1e9:.2f} GB, {unpacked // packed} times its size")
