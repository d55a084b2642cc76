"""Download benchmarks and prepare their folders, for `mmrl data prepare`.

Files with a public source are downloaded (an interrupted download continues), checked and unpacked. For others the
command says what to fetch and where to put it; when run again, it continues from there.
"""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from dassl.data.datasets import DATASET_REGISTRY
from dassl.utils.download import download_url
from datasets.base.metadata import HERE
from datasets.base.splits import SplitError, write_split
from safeio.archives import ArchiveError, check_space, remove_unpacked, unpack
from safeio.atomic import atomic_write_text
from safeio.download import DownloadError, download, file_sha256
from safeio.lock import sole_use


class ByHand(RuntimeError):
    """A file that only the user can fetch; the message says which, from where, and where to put it."""


def prepare(name: str, root: Path, source: dict[str, Any], make_split: bool = False) -> bool:
    """Prepare one dataset as far as possible and return True if it is complete; print problems and what to do."""
    builder = DATASET_REGISTRY.get(name)
    folder = root / builder.dataset_dir
    missing = []
    with sole_use(folder):
        remove_unpacked(folder)
        for entry in source["files"]:
            try:
                get(entry, folder)
            except (ByHand, DownloadError, ArchiveError, OSError) as error:
                missing.append(str(error))
    split_file = getattr(builder, "split_file", "")
    if make_split and split_file and not (folder / split_file).is_file():
        try:
            write_split(builder.whole(folder), folder / split_file, folder / builder.image_dir)
            missing = [problem for problem in missing if split_file not in problem]
            print(f"{name}: drew a new split, whose results cannot be compared with published ones")
        except (SplitError, OSError) as error:
            missing.append(str(error))
    if missing:
        print(f"{name}: not complete.", *missing, sep="\n- ", file=sys.stderr)
        if "steps" in source:
            print(f"In {folder}:\n{source['steps']}", file=sys.stderr)
        print(f"Then run this command again. Original page: {source['page']}", file=sys.stderr)
    else:
        print(f"{name}: ready in {folder}")
    return not missing


def get(entry: dict[str, Any], folder: Path) -> None:
    """Fetch one file and unpack it, unless what it gives is there.

    Raises:
        ByHand: it has no public source and is not in the folder yet.
        DownloadError, ArchiveError: it could not be fetched or unpacked.
    """
    path, gives = folder / entry["name"], folder / entry.get("gives", entry["name"])
    if gives.exists():
        return
    if not path.exists():
        fetch(entry, path)
    if "take" in entry:
        if entry.get("sha256") and file_sha256(path) != entry["sha256"]:
            raise ArchiveError(f"{path} is not the original archive: its SHA-256 differs. Delete it and fetch it anew.")
        unpack(path, folder, entry["take"])
        print(f"unpacked {path}; it is not needed any more")
    elif not gives.exists():
        raise ByHand(f"{gives} is to be made from {path}, see below.")


def fetch(entry: dict[str, Any], path: Path) -> None:
    """Download to `path`, or copy what comes with this package.

    Raises:
        ByHand: there is nowhere to download from, or Google Drive did not give it.
        DownloadError: the download failed.
    """
    check_space(path.parent, entry.get("bytes", 0), path)
    if "shipped" in entry:  # the folder then serves other code of the CoOp family too
        atomic_write_text(path, (HERE / entry["shipped"]).read_text(encoding="utf-8"))
        return
    if "url" in entry:
        download(entry["url"], path, entry.get("sha256"))
        return
    if "drive" not in entry:
        raise ByHand(_instruction(entry, path, entry["from"]))
    address = f"https://drive.google.com/file/d/{entry['drive']}/view"
    part = path.with_name(path.name + ".drive")
    try:
        with redirect_stdout(StringIO()):  # it repeats address and path
            download_url(f"https://drive.google.com/uc?id={entry['drive']}", part, from_gdrive=True)
    except Exception as error:  # gdown raises kinds of its own, by version
        unreachable = type(error).__module__.startswith("requests")
        why = "no connection to Google Drive" if unreachable else f"{type(error).__name__}: {error}"
        raise ByHand(f"{_instruction(entry, path, address)} ({why})") from error
    if entry.get("sha256") and file_sha256(part) != entry["sha256"]:
        part.unlink()
        raise ByHand(f"What came from Google Drive has a wrong checksum. {_instruction(entry, path, address)}")
    part.replace(path)


def _instruction(entry: dict[str, Any], path: Path, place: str) -> str:
    details = [f"{entry['bytes']:,} bytes"] if "bytes" in entry else []
    details += [f"SHA-256 {entry['sha256']}"] if "sha256" in entry else []
    return f"Fetch {entry['name']} from {place} and save it as {path}" + (f" ({', '.join(details)})" if details else "")
