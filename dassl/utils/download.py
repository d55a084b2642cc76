"""Fetch data archives."""

from __future__ import annotations

import os

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
