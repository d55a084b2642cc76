"""Copy what is printed into a file."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from safeio.atomic import naming
from safeio.escape import for_terminal


class Logger:
    """A replacement of ``sys.stdout`` that also writes to a file, line by line, so that a crash loses nothing.

    Args:
        fpath: file to append to; its folder is made. None: console only.
    """

    def __init__(self, fpath: str | os.PathLike | None = None):
        self.console: TextIO = sys.stdout
        self.file: TextIO | None = None
        if fpath is not None:
            os.makedirs(os.path.dirname(os.path.abspath(fpath)), exist_ok=True)
            self.file = open(  # noqa: SIM115 - open while it runs
                fpath, "a", encoding="utf-8", errors="backslashreplace", buffering=1
            )

    def write(self, text: str) -> int:
        if self.file is not None:
            try:
                with naming(self.file.name):
                    self.file.write(for_terminal(text))
            except OSError:
                file, self.file = self.file, None
                with suppress(OSError):  # which would try once more
                    file.close()
                raise
        return self.console.write(text)

    def write_to_file(self, text: str) -> None:
        """Write to the file alone."""
        if self.file is not None:
            self.file.write(for_terminal(text))

    def flush(self) -> None:
        self.console.flush()
        if self.file is not None:
            self.file.flush()

    def __getattr__(self, name: str) -> Any:  # encoding, isatty, fileno ... are the console's
        return getattr(self.console, name)

    def close(self) -> None:
        """Close the file; the console stays open."""
        if self.file is not None:
            self.file.close()
            self.file = None


def setup_logger(output: str | os.PathLike | None = None) -> None:
    """Copy stdout from now on to ``<output>/log.txt``, or to ``output`` itself if it ends in .txt or .log.

    An existing log is kept: the new one then has the time in its name (``log.txt-YYYY-MM-DD-HH-MM-SS``). A
    log opened earlier in the same process is closed. None: nothing happens.
    """
    if output is None:
        return
    path = os.fspath(output)
    if not path.endswith((".txt", ".log")):
        path = os.path.join(path, "log.txt")
    if os.path.exists(path):
        path += time.strftime("-%Y-%m-%d-%H-%M-%S")
    if isinstance(sys.stdout, Logger):  # two runs in one process: each gets its own log
        sys.stdout.close()
        sys.stdout = sys.stdout.console
    sys.stdout = Logger(path)


@contextmanager
def log_closed() -> Iterator[None]:
    """Close at the end the log that `setup_logger` opens within; stdout is the console alone again."""
    before = sys.stdout
    try:
        yield
    finally:
        if isinstance(sys.stdout, Logger) and sys.stdout is not before:
            sys.stdout.close()
            sys.stdout = sys.stdout.console


class Labelled:
    """A wrapper of a console that puts a label before each line, where several runs print to one.

    Args:
        console: where the lines go.
        label: what each begins with.
    """

    def __init__(self, console: TextIO, label: str):
        self.console, self.label = console, label
        self._line_begins = True

    def write(self, text: str) -> int:
        for line in text.splitlines(keepends=True):
            self.console.write(self.label + line if self._line_begins else line)
            self._line_begins = line.endswith("\n")
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.console, name)
