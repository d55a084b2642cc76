"""Unpack zip and tar archives without trusting what is in them.

tarfile's own `data` filter is not enough: it keeps links, and zip archives have none.
"""

from __future__ import annotations

import errno
import shutil
import tarfile
import uuid
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, NamedTuple

from safeio.archive_limits import Disproportion, refuse_disproportion
from safeio.errors import UserError
from safeio.progress import progress
from safeio.read_back import reason_of

EVERYTHING = {"": ""}
UNPACKING = ".unpacking-"
OF_NAMES = (None, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL)
"""Errors of the system that the names in an archive can cause, or its bytes (None); others are the disk's."""
SPARE = 1 << 30  # bytes that stay free on the disk


class ArchiveError(UserError, ValueError):
    """The archive is damaged, dangerous or does not fit; the message names it."""


class Member(NamedTuple):
    """A file in an archive."""

    name: str
    size: int
    content: IO[bytes] | None


def unpack(archive: Path, folder: Path, take: Mapping[str, str] = EVERYTHING) -> None:
    """Write the files of a zip or tar archive whose names begin with a key of `take`, with its value in place of it.

    They appear in `folder` together, at the end: an interrupted or refused archive leaves nothing behind. The format
    is known by the content, not by the name.

    Raises:
        ArchiveError: a member is a link or a device, has an absolute path or a `..`; the archive is damaged or holds
            nothing of what was expected; or the disk is too small.
    """
    remove_unpacked(folder)
    check_space(folder, archive.stat().st_size, archive)
    waiting = folder / f"{UNPACKING}{uuid.uuid4().hex[:12]}"
    try:
        count = unpacked = 0
        for member in progress(_members(archive), f"unpacking {archive.name}"):
            target = _target(member.name, take, archive)
            if target and member.content:
                refuse_disproportion(archive, unpacked := unpacked + member.size)
                check_space(folder, member.size, archive)
                (waiting / target).parent.mkdir(parents=True, exist_ok=True)
                with member.content, open(waiting / target, "xb") as file:
                    shutil.copyfileobj(member.content, file)
                count += 1
        if not count:
            expected = " or ".join(filter(None, take)) or "it"
            raise ArchiveError(f"{archive} holds no files below {expected}: it is another archive.")
        _merge(waiting, folder)
    except UserError:
        raise
    except Disproportion as error:
        raise ArchiveError(f"{error}. Do not use this archive.") from error
    except Exception as error:  # zipfile and tarfile answer damage with almost any exception
        if isinstance(error, OSError) and error.errno not in OF_NAMES:
            raise
        raise ArchiveError(f"{archive} is damaged ({reason_of(error)}). Delete it and fetch it again.") from error
    finally:
        shutil.rmtree(waiting, ignore_errors=True)


def remove_unpacked(folder: Path) -> None:
    """Remove half-unpacked files of a killed command; the caller must hold the folder's lock."""
    for left in folder.glob(f"{UNPACKING}*"):
        shutil.rmtree(left, ignore_errors=True)


def check_space(folder: Path, needed: int, what: Path) -> None:
    """Raise ArchiveError unless `needed` bytes fit on the disk of `folder`, and a gibibyte stays free."""
    place = folder
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < needed + SPARE:
        raise ArchiveError(
            f"{what.name} needs {needed / 1e9:.1f} GB in {folder}, where {free / 1e9:.1f} GB are free (1.1 GB are "
            f"kept). Make room, or choose another folder."
        )


def _target(name: str, take: Mapping[str, str], archive: Path) -> str | None:
    """Return the place of an archive member relative to the folder; None: it is left out."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or PureWindowsPath(name).drive:
        raise ArchiveError(f"{archive} holds {name!r}, which points outside its folder. Do not use this archive.")
    clean = str(path)
    for prefix, replacement in take.items():
        if clean.startswith(prefix):
            return replacement + clean[len(prefix) :]
    return None


def _members(archive: Path) -> Iterator[Member]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as packed:
            for info in packed.infolist():
                if (info.external_attr >> 28) == 0xA:  # the file type of a Unix link
                    raise ArchiveError(f"{archive} holds {info.filename!r}, a link. Do not use this archive.")
                if info.flag_bits & 1:
                    raise ArchiveError(
                        f"{archive} is encrypted, so it is not the original archive. Delete it and fetch it again."
                    )
                yield Member(info.filename, info.file_size, None if info.is_dir() else packed.open(info))
    elif tarfile.is_tarfile(archive):
        with tarfile.open(archive) as tar:
            for member in tar:
                if not (member.isfile() or member.isdir()):
                    raise ArchiveError(
                        f"{archive} holds {member.name!r}, neither a file nor a folder. Do not use this archive."
                    )
                yield Member(member.name, member.size, tar.extractfile(member))
    else:
        raise ArchiveError(f"{archive} is neither a zip nor a tar file. Delete it and fetch it again.")


def _merge(source: Path, target: Path) -> None:
    """Move what is in one folder into another; whole folders at once where they are new."""
    for path in sorted(source.iterdir()):
        place = target / path.name
        if path.is_dir() and place.is_dir():
            _merge(path, place)
        else:
            path.replace(place)
