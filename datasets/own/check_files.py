"""Decode every image of a run before it trains, and remember the result for the next run."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable

from dassl.data.crop_cache import cache_folder
from datasets.base.missing import few
from datasets.base.splits import Split
from datasets.own.inspect import unreadable_images
from datasets.own.table import OwnDataError
from safeio.atomic import atomic_write_text
from safeio.packed_images import container_of


def refuse_unreadable(splits: Split) -> None:
    """Decode the images of a split, unless the same files were whole before.

    Raises:
        OwnDataError: some cannot be decoded; the message counts them and names the first.
    """
    paths = list(dict.fromkeys(item.impath for split in splits for item in split))
    remembered = cache_folder() / f"{_digest(paths)}.whole"
    if remembered.is_file():
        return
    if problems := unreadable_images(paths):
        raise OwnDataError(
            f"Images that cannot be read, {len(problems):,} in all: {few(problems, 5)}. Repair or remove them "
            f"(`mmrl data check folder --root ... --deep` names all), then run this again."
        )
    with contextlib.suppress(OSError):  # without a cache they are decoded again next time
        remembered.parent.mkdir(parents=True, exist_ok=True)
        atomic_write_text(remembered, f"{len(paths)} images were whole\n")


def _digest(paths: Iterable[str]) -> str:
    """Return a hash of paths, sizes and times of change."""
    digest = hashlib.sha256()
    for path in paths:
        stat = os.stat(container_of(path))
        digest.update(f"{path}\t{stat.st_size}\t{stat.st_mtime_ns}\n".encode(errors="surrogatepass"))
    return digest.hexdigest()[:32]
