"""Output without control characters: names of classes, folders and files may hold commands for a terminal."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterator
from typing import Any, TextIO

from safeio.escape import for_terminal

CURSOR_UP = "\x1b[A"


class PlainStream:
    """A wrapper of `sys.stdout` or `sys.stderr` that lets no control character through.

    A progress bar may go back to the beginning of its line, and move between the lines of several bars.

    Args:
        console: where the text goes.
        bars: it shows progress bars, as stderr does.
    """

    def __init__(self, console: TextIO, bars: bool = False):
        self.console, self.bars = console, bars

    def write(self, text: str) -> int:
        if self.bars and not text.replace(CURSOR_UP, "").strip("\r\n"):
            self.console.write(text)
        elif self.bars and text.startswith("\r"):
            self.console.write("\r" + for_terminal(text[1:]))
        else:
            self.console.write(for_terminal(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:  # encoding, isatty, fileno ... are the console's
        return getattr(self.console, name)


@contextlib.contextmanager
def plain_streams() -> Iterator[None]:
    """Print plain text in this block, in a block within it no plainer; what a terminal cannot show is no error."""
    before = sys.stdout, sys.stderr
    for stream in before:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    ours = [
        stream if stream is None or isinstance(stream, PlainStream) else PlainStream(stream, bars)
        for stream, bars in zip(before, (False, True), strict=True)
    ]
    sys.stdout, sys.stderr = ours
    try:
        yield
    finally:
        if sys.stdout is ours[0]:  # a run's log may have taken its place
            sys.stdout = before[0]
        if sys.stderr is ours[1]:
            sys.stderr = before[1]
