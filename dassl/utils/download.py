"""Fetch and unpack data archives, without trusting what is in them."""

from __future__ import annotations

import os
import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from safeio.archive_limits import refuse_bomb, refuse_disproportion
from safeio.atomic import atomic_write
from safeio.download import download


def download_url(url: str, dst: str | os.PathLike, from_gdrive: bool = False) -> None:
    """Fetch ``url`` to the file ``dst``, from Google Drive through the optional package ``gdown``.

    Raises:
        ImportError: ``from_gdrive`` without gdown.
        RuntimeError: the file could not be fetched.
    """
    print(f'* url="{url}"\n* destination="{dst}"')
    if not from_gdrive:
        download(url, dst)
        return
    try:
        import gdown  # optional, and slow to import
    except ImportError as error:
        raise ImportError(
            f"Google Drive needs the package gdown (pip install gdown). Or fetch {url} with a browser, "
            f"and save it as {dst}."
        ) from error
    os.makedirs(os.path.dirname(os.path.abspath(dst)), exist_ok=True)
    if gdown.download(url, os.fspath(dst), quiet=False) is None:
        raise RuntimeError(f"Google Drive did not give {url}. Fetch it with a browser, and save it as {dst}.")


def extract_archive(path: str | os.PathLike, folder: str | os.PathLike) -> None:
    """Unpack a zip or tar file. Only plain files and folders that lie inside ``folder`` are written.

    Raises:
        ValueError: unknown format, a member that is a link, a device, or would land outside ``folder``, or far more
            in it than its size allows; what was unpacked before it stays.
    """
    root = Path(folder).resolve()
    for name, source in _members(Path(path)):
        target = (root / name).resolve()
        if not target.is_relative_to(root):
            raise ValueError(f"{path} holds {name!r}, which would be written outside {root}. Do not use this archive.")
        if source is None:
            target.mkdir(parents=True, exist_ok=True)
            continue
        with source, atomic_write(target) as file:
            shutil.copyfileobj(source, file)


def _members(path: Path) -> Iterator[tuple[str, IO[bytes] | None]]:
    """Name and content of each member; no content for a folder."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            refuse_bomb(path)
            for info in archive.infolist():
                yield info.filename, None if info.is_dir() else archive.open(info)
    elif tarfile.is_tarfile(path):
        with tarfile.open(path) as archive:
            unpacked = 0
            for info in archive:
                refuse_disproportion(path, unpacked := unpacked + info.size)
                if not (info.isfile() or info.isdir()):
                    raise ValueError(f"{path} holds {info.name!r}, which is neither a file nor a folder.")
                yield info.name, None if info.isdir() else archive.extractfile(info)
    else:
        raise ValueError(f"{path} is neither a zip nor a tar file")
