"""Readers of files by earlier runs or other people that turn every kind of damage into one error.

Readers of untrusted files answer damage with almost any exception. All of them are called through `read_back`, which
names the file and says what to do; `newest_whole` continues to the copy before it.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from safeio.errors import MissingFile, UserError
from safeio.escape import for_line, for_terminal

T = TypeVar("T")
LONGEST_REASON = 500
"""Characters of a reason: a message may hold what is in the file, of any length."""


class DamagedFile(UserError, ValueError):
    """A file cannot be read back; the message names it, says why, and what to do."""


def read_back(
    path: str | os.PathLike,
    read: Callable[[Path], T],
    remedy: str = "",
    what: str = "",
    error_class: type[DamagedFile] = DamagedFile,
) -> T:
    """Return `read(path)`.

    Args:
        read: may raise anything; a UserError says all there is to say and comes as it is.
        remedy: a sentence that says what to do; what: what the file should be, such as "a checkpoint".
        error_class: of the error.

    Raises:
        MissingFile: there is nothing of that name.
        DamagedFile: there is something else than a file, or it cannot be read.
    """
    path = Path(path)
    try:
        kind = os.stat(path).st_mode
        if not stat.S_ISREG(kind):
            raise ValueError("it is a folder" if stat.S_ISDIR(kind) else "it is no ordinary file")
        return read(path)
    except FileNotFoundError as error:
        raise MissingFile(f"There is no file {for_line(str(path))}. {remedy}".strip()) from error
    except UserError:
        raise
    except Exception as error:
        wanted = f" as {what}" if what else ""
        message = f"{path}{_size(path)} cannot be read{wanted}: {reason_of(error)}. {remedy}"
        raise error_class(for_line(message)) from error


@contextlib.contextmanager
def reading(place: str, wanted: str, error_class: type[DamagedFile] = DamagedFile) -> Iterator[None]:
    """Turn whatever goes wrong in this block into one error: `PLACE: expected WANTED (reason)`.

    Args:
        place: such as `labels.csv, line 3`.

    Raises:
        DamagedFile: the content is something else. A UserError comes as it is.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise error_class(for_line(f"{place}: expected {wanted} ({reason_of(error)}).")) from error


def newest_whole(paths: Iterable[Path], read: Callable[[Path], T]) -> tuple[Path, T] | None:
    """Return the first of these files that `read` accepts, with its content; each damaged one before it gets a warning.

    Args:
        paths: the newest first; those that are not there are passed over.
        read: raises DamagedFile or MissingFile, as `read_back` does.
    """
    for path in paths:
        try:
            return path, read(path)
        except MissingFile:
            continue
        except DamagedFile as error:
            say(f"{error} The one before it is used, if there is one.")
    return None


@cache
def say(message: str) -> None:
    """Print a warning, the same one only once."""
    print(f"WARNING: {for_terminal(message)}", file=sys.stderr, flush=True)


def reason_of(error: BaseException) -> str:
    """Return the line of an error's message that says what happened; PyTorch surrounds it with general advice."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, KeyError) and error.args:
        return f"there is no {error.args[0]!r:.{LONGEST_REASON}}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith("Check the documentation")]
    found = lines[-1] if lines else type(error).__name__
    return (found if len(found) <= LONGEST_REASON else f"{found[:LONGEST_REASON]} ...").rstrip(".")


def _size(path: Path) -> str:
    try:
        return f" ({os.stat(path).st_size:,} bytes)"
    except (OSError, ValueError):
        return ""


# JSON


def number(value: Any) -> bool:
    """Return true for a whole or finite number that fits a float."""
    return (type(value) is float and math.isfinite(value)) or (type(value) is int and abs(value) < 1 << 1000)


def read_json(path: str | os.PathLike, shape: Any = object, remedy: str = "") -> Any:
    """Return the content of a JSON file that has a shape (see `check_shape`).

    Raises:
        MissingFile, DamagedFile: as `read_back`.
    """

    def read(path: Path) -> Any:
        content = parse_json(path.read_bytes())
        check_shape(content, shape)
        return content

    return read_back(path, read, remedy)


def parse_json(text: str | bytes) -> Any:
    """Return the content of JSON text; bytes are UTF-8.

    Raises:
        ValueError: it is none, or has NaN or infinity in it, which JSON has not. No text raises anything else.
    """
    try:
        return json.loads(text if isinstance(text, str) else text.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is not valid JSON: {error}") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def check_shape(content: Any, shape: Any, place: str = "") -> None:
    """Refuse content of another shape.

    Args:
        shape: a type or several; a predicate; `[shape]`, a list of these; `(shape, ...)` with as many values, in that
            order; `{"name": shape, "name?": shape}`, a dictionary with these, the second of which may be missing or
            None, and anything beside them; or `{str: shape}`, a dictionary of these.

    Raises:
        ValueError: names the place.
    """
    where = place or "its content"
    if isinstance(shape, dict):
        _expect(isinstance(content, dict), where, "an object")
        for key, inner in shape.items():
            if key is str:
                for name, value in content.items():
                    check_shape(value, inner, f"{place}.{name}".lstrip("."))
                continue
            name = key.removesuffix("?")
            if key == name or content.get(name) is not None:
                _expect(name in content, where, f"an object with {name}")
                check_shape(content[name], inner, f"{place}.{name}".lstrip("."))
    elif isinstance(shape, list):
        _expect(isinstance(content, (list, tuple)), where, "a list")
        for i, value in enumerate(content):
            check_shape(value, shape[0], f"{place}[{i}]")
    elif isinstance(shape, tuple):
        _expect(isinstance(content, (list, tuple)) and len(content) == len(shape), where, f"{len(shape)} values")
        for i, (value, inner) in enumerate(zip(content, shape, strict=True)):
            check_shape(value, inner, f"{place}[{i}]")
    elif shape is int:
        _expect(type(content) is int and abs(content) < 1 << 63, where, "a whole number")
    elif shape is number:
        _expect(number(content), where, "a number")
    elif isinstance(shape, type):
        words: dict[type, str] = {str: "a text", dict: "an object"}
        _expect(isinstance(content, shape), where, words.get(shape, shape.__name__))
    else:
        _expect(shape(content), where, shape.__doc__ or shape.__name__)


def _expect(true: bool, where: str, wanted: str) -> None:
    if not true:
        raise ValueError(f"{where[:100]} should be {wanted}")
