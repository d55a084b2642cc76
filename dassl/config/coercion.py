"""Conversion of a yaml file's or the command line's values to the type that a key needs."""

from __future__ import annotations

import re
from ast import literal_eval
from typing import Any

from safeio.escape import shown
from safeio.read_back import number

AUTO = "auto"
"""Value of a whole-number setting that the method chooses itself, for example from the backbone's depth."""
SPELLING = {bool: "True or False", int: "a whole number", float: "a number", str: "a text"}
SEQUENCES = (tuple, list)
WORD = re.compile(r"[A-Za-z][\w.-]*")
"""Text that stands for a list of it alone: `DATASET.ALLOW one_class`."""
KINDS = (str, bool, int, float, type(None), *SEQUENCES)
"""Types of settings; yacs accepts no others."""


class ConfigValueError(ValueError):
    """The value does not fit; the message is what was expected."""


def decode(value: Any) -> Any:
    """Read text as a Python literal where it is one, as yacs does: ``"1e-5"`` becomes a number.

    Raises:
        ConfigValueError: what yaml made of it is no kind of setting.
    """
    if not isinstance(value, KINDS):
        raise ConfigValueError("a text, a number, True, False, None or a list; a date or the like stands in quotes")
    if not isinstance(value, str):
        return value
    try:
        literal = literal_eval(value)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return value
    return literal if isinstance(literal, KINDS) else value


def coerce(value: Any, current: Any) -> Any:
    """``value`` with the type of ``current``.

    Whole numbers become floats, tuples and lists each other, a single word a list of one, None the empty text; anything
    fits a key that is None. A text is kept as it was typed where a text is expected, though it may look like a number.

    Raises:
        ConfigValueError: another type, or no kind of setting.
    """
    decoded = decode(value)
    expected = type(current)
    if current is None or type(decoded) is expected:
        return decoded
    if AUTO in (decoded, current) and {type(decoded), expected} in ({int, str}, {float, str}):
        return decoded
    if expected is str and (value is None or isinstance(value, str)):
        return value or ""
    if expected is float and type(decoded) is int and number(decoded):
        return float(decoded)
    if expected in SEQUENCES and type(decoded) in SEQUENCES:
        return expected(decoded)
    of_words = expected in SEQUENCES and all(isinstance(item, str) for item in current)
    if of_words and isinstance(decoded, str) and WORD.fullmatch(str(value)):
        return expected([decoded])
    raise ConfigValueError(_expectation(current))


def _expectation(current: Any) -> str:
    if isinstance(current, SEQUENCES):
        return f"a list such as {list(current)}"
    return f"{SPELLING.get(type(current), type(current).__name__)} such as {shown(current)}"
