"""Wrapper of every command's `main`: errors caused by the user or the system become one line and an exit status."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import threading
from collections.abc import Callable
from functools import wraps
from typing import Any

from safeio.errors import for_people
from safeio.terminal import plain_streams

WRONG, INTERRUPTED, PIPE_CLOSED = 2, 130, 141
"""Exit statuses: nothing could be done; Ctrl-C; whoever read the output has gone (128 + SIGPIPE), as shells say it."""


def command(main: Callable[..., int]) -> Callable[..., int]:
    """Wrap the `main` of a command: an error with a message for people is printed as one line, without a traceback."""

    @wraps(main)
    def run(*words: Any, **more: Any) -> int:
        hook, threading.excepthook = threading.excepthook, _say_of_thread
        try:
            with plain_streams():
                return _ended(main, words, more)
        finally:
            threading.excepthook = hook

    return run


def _ended(main: Callable[..., int], words: tuple, more: dict[str, Any]) -> int:
    """Return the exit status of `main`, and print the error if it was stopped by one."""
    try:
        try:
            status = main(*words, **more)
        except SystemExit:  # argparse, which has said all there is to say
            _flush()
            raise
        _flush()
        return status
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.EPIPE:
            _say_no_more()
            return PIPE_CLOSED
        if (message := for_people(error)) is None:
            raise
        print(f"error: {message}", file=sys.stderr)
        if isinstance(error, OSError):
            _say_no_more()
        return WRONG


def _say_of_thread(ended: threading.ExceptHookArgs) -> None:
    """Say why a thread ended, such as the one that writes TensorBoard's curves."""
    message = for_people(ended.exc_value) if ended.exc_value is not None else None
    if message is None:
        threading.__excepthook__(ended)
    else:
        print(f"error: {message}", file=sys.stderr)


def _flush() -> None:
    """Write what is held back.

    Raises:
        OSError: it cannot be written; the error names the stream.
    """
    for stream, name in ((sys.stdout, "standard output"), (sys.stderr, "standard error")):
        try:
            if stream is not None:
                stream.flush()
        except OSError as error:
            raise OSError(error.errno, error.strerror, name) from error


def _say_no_more() -> None:
    """Give a stream another end if it cannot take what is still held back, which Python would try once more."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno())
                os.close(nowhere)
