"""Fetch one file over HTTP so that an interrupted or wrong download never passes for the real thing."""

from __future__ import annotations

import hashlib
import os
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException, HTTPResponse
from pathlib import Path

from filelock import FileLock

from safeio.atomic import sync_folder
from safeio.errors import UserError
from safeio.progress import progress

CHUNK = 1 << 20  # bytes
TIMEOUT = 30  # seconds without a byte
RETRIES = 3  # fresh attempts after a cut connection, each of which resumes
FINAL_ANSWERS = {401, 403, 404, 410}  # HTTP codes that asking again does not change
PAUSE = 1.0  # seconds before the first new attempt; doubles each time


class DownloadError(UserError, RuntimeError):
    """The file could not be fetched; the message says from where, where to, and what to do by hand."""


def download(
    url: str,
    path: str | os.PathLike,
    sha256: str | None = None,
    *,
    retries: int = RETRIES,
    pause: float = PAUSE,
) -> Path:
    """Fetch `url` to `path` and return the path; a file that is there already and passes `sha256` is kept.

    Bytes collect in `<path>.part`, which a later call continues; the final name appears only once all of
    them are there and the checksum is right.

    Raises:
        DownloadError: no connection, refused by the server, or wrong checksum (the wrong file is not kept).
    """
    path = Path(path)
    if not _is_there(path, sha256):
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{path.name}.lock")):  # of runs that start together, one downloads
            if not _is_there(path, sha256):
                _download(url, path, sha256, retries, pause)
    return path


def _is_there(path: Path, sha256: str | None) -> bool:
    if path.exists() and sha256 and file_sha256(path) != sha256:
        raise DownloadError(f"{path} exists, but its SHA-256 is not {sha256}. Delete it and try again.")
    return path.exists()


def _download(url: str, path: Path, sha256: str | None, retries: int, pause: float) -> None:
    part = path.with_name(path.name + ".part")
    continued = part.exists()
    _fetch_with_retries(url, part, path, sha256, retries, pause)
    if continued and sha256 and file_sha256(part) != sha256:
        part.unlink()  # the old part was of another file: start over, once
        _fetch_with_retries(url, part, path, sha256, retries, pause)
    if sha256 and (found := file_sha256(part)) != sha256:
        part.unlink()  # continuing a wrong file can never make it right
        raise DownloadError(_by_hand(f"the file has SHA-256 {found}, which is wrong", url, path, sha256))
    os.replace(part, path)
    sync_folder(path.parent)


def file_sha256(path: str | os.PathLike) -> str:
    """Hexadecimal SHA-256 of a file."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _fetch_with_retries(url: str, part: Path, path: Path, sha256: str | None, retries: int, pause: float) -> None:
    for attempt in range(retries + 1):
        try:
            _fetch(url, part, path.name)
            return
        except urllib.error.HTTPError as error:
            if error.code == 416:  # nothing lies past what we hold: it is all there, or not of this file
                if sha256 and file_sha256(part) == sha256:
                    return
                part.unlink(missing_ok=True)
            reason, hopeless = f"the server answered {error.code} {error.reason}", error.code in FINAL_ANSWERS
        except (OSError, HTTPException) as error:
            cause = getattr(error, "reason", error)  # urllib wraps what really happened
            reason, hopeless = str(cause) or type(cause).__name__, isinstance(cause, socket.gaierror)
        except ValueError as error:  # not a URL at all
            reason, hopeless = str(error), True
        if hopeless or attempt == retries:
            raise DownloadError(_by_hand(reason, url, path, sha256))
        time.sleep(pause * 2**attempt)


def _fetch(url: str, part: Path, label: str) -> None:
    """One attempt: append what `part` lacks. Raises OSError if the connection ends early."""
    held = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "safeio", "Accept-Encoding": "identity"})
    if held:
        request.add_header("Range", f"bytes={held}-")
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
        resumed = response.status == 206
        start = held if resumed else 0  # a server without ranges sends everything again
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else None
        bar = progress(None, label, total, start, unit="B")
        with open(part, "ab" if resumed else "wb") as file, bar:
            for chunk in _chunks(response):
                file.write(chunk)
                bar.update(len(chunk))
            file.flush()
            os.fsync(file.fileno())
    if total is not None and part.stat().st_size < total:
        raise OSError(f"the connection ended after {part.stat().st_size:,} of {total:,} bytes")


def _chunks(response: HTTPResponse) -> Iterator[bytes]:
    while chunk := response.read1(CHUNK):  # read1 hands over what has arrived, so a cut loses nothing
        yield chunk


def _by_hand(reason: str, url: str, path: Path, sha256: str | None) -> str:
    checksum = f"\n  SHA-256:     {sha256}" if sha256 else ""
    return (
        f"Could not download {path.name}: {reason}.\n"
        f"  URL:         {url}{checksum}\n"
        f"  folder:      {path.parent}\n"
        f"Fetch it on a machine with network access, put it into that folder as {path.name}, and try again."
    )
