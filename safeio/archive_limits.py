"""Limits on the size of unpacked archives, against archives that unpack to far more than their size."""

from __future__ import annotations

import os
import zipfile

HARMLESS = 1 << 30
"""Bytes that any machine that trains has."""
RATIO = 20
"""No archive of real weights or images packs better; one of zeros does by a factor of 1000."""


class Disproportion(ValueError):
    """Too many bytes come out of an archive of this size."""


def refuse_bomb(path: str | os.PathLike) -> None:
    """Raise Disproportion if a zip archive says that it holds too much for its size; other files pass."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
        refuse_disproportion(path, sum(member.file_size for member in members))
        if sum(member.compress_size for member in members) > os.path.getsize(path):  # room is made before it is read
            raise Disproportion(f"the members of {path} say that they have more bytes than it has")


def refuse_disproportion(path: str | os.PathLike, unpacked: int) -> None:
    """Raise Disproportion if `unpacked` bytes are too many to come out of an archive of this one's size."""
    packed = os.path.getsize(path)
    if unpacked > max(HARMLESS, RATIO * packed):
        raise Disproportion(
            f"{path} would unpack to {unpacked / 1e9:.2f} GB or more, {unpacked // max(packed, 1)} times its size"
        )
