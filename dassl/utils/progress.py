"""Progress bars on stderr that stay out of the log."""

from __future__ import annotations

from collections.abc import Iterable

from tqdm import tqdm


def progress(iterable: Iterable, description: str, total: int | None = None) -> tqdm:
    """Wrap ``iterable`` in a bar on stderr; there is none when stderr is not a terminal."""
    return tqdm(iterable, desc=description, total=total, disable=None, leave=False, dynamic_ncols=True)


def print_line(text: str) -> None:
    """Print to stdout without tearing a bar that is on the screen."""
    tqdm.write(text)
