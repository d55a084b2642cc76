"""Limits on the time and memory of reading a pickle, checked on its instructions before any is executed.

A pickle is a program for a small machine with a stack and a memo. Few bytes can ask it for gigabytes (a place in the
memo with a high number), or for ever (a key that holds itself twice, a hundred times over: its hash has 2^100 steps).
Here the program runs on sizes in place of values.
"""

from __future__ import annotations

import os
import pickletools
from typing import Any, BinaryIO, cast

MOST_STEPS = 100_000
"""Instructions of any pickle, however small its file; beyond that, one for each byte of the file."""
DEEPEST = 200
"""Containers within one another; checkpoints nest some ten deep."""
LARGEST_KEY = 8
"""Parts of a tuple that is a key or member of a set."""
LARGEST_OBJECT = 64
"""Parts of an object that is a key: optimisers of old are written with parameters as keys."""
WIDEST_KEY = 1 << 61
"""Whole numbers from here on can be made to have the same hash."""
LONGEST_NUMBER = 1 << 12
"""Bits of a whole number."""
STREAM_HARMLESS, STREAM_RATIO = 1 << 20, 20
"""A pickle in an archive unpacks to at most this many bytes, or this many times the archive."""

ADDING = {"APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS"}
KEYED = {"SETITEM", "SETITEMS", "DICT"}
MEMBERS = {"ADDITEMS", "FROZENSET"}
STORING = {"PUT", "BINPUT", "LONG_BINPUT"}
FETCHING = {"GET", "BINGET", "LONG_BINGET"}
OBJECTS = {"REDUCE", "NEWOBJ", "NEWOBJ_EX"}
TUPLES = {"TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_TUPLE"}
REFUSED = {"EXT1", "EXT2", "EXT4", "NEXT_BUFFER", "READONLY_BUFFER", "INST", "OBJ", "BYTEARRAY8"}
"""Instructions that no checkpoint and no list of images needs."""


class UnboundedPickle(ValueError):
    """The pickle asks for more than its size justifies; the message says what for."""


class _Value:
    """Facts about a value: parts it unfolds to, depth, whether it can be a key, whether another holds it."""

    __slots__ = ("depth", "held", "is_key", "size")

    def __init__(self, size: int, depth: int, is_key: bool):
        self.size, self.depth, self.is_key, self.held = size, depth, is_key, False


class _Ending:
    """A file of which no more is asked than there is: Python makes room for what is asked before it looks."""

    def __init__(self, file: BinaryIO, end: int):
        self.file, self.end, self.readline, self.tell = file, end, file.readline, file.tell

    def read(self, count: int) -> bytes:
        if count > self.end - self.file.tell():
            raise UnboundedPickle(f"it ends before {count:,} bytes that it announces")
        return self.file.read(count)


def check_pickle(file: BinaryIO, file_size: int | None = None) -> None:
    """Read one pickle from where `file` stands to its end, and refuse what would take more than its size justifies.

    Args:
        file: its position is after the pickle in the end.
        file_size: bytes of the file that the pickle is from, by default of `file`.

    Raises:
        UnboundedPickle: too many instructions, too deep, too large when unfolded, or a key that is not plain.
        Exception: of almost any kind, where it is no pickle.
    """
    place = file.tell()
    end = file.seek(0, os.SEEK_END)
    file.seek(place)
    most = max(MOST_STEPS, file_size or end)
    stack: list[_Value | None] = []  # None: a mark
    memo: dict[int, _Value] = {}
    for number, (opcode, argument, _) in enumerate(pickletools.genops(cast(BinaryIO, _Ending(file, end)))):
        if number >= most:
            raise UnboundedPickle(f"it has more than {most:,} instructions")
        if opcode.name in REFUSED:
            raise UnboundedPickle(f"it has the instruction {opcode.name}, which no checkpoint needs")
        _follow(opcode, argument, stack, memo, number, most)


def _follow(opcode: Any, argument: Any, stack: list, memo: dict[int, _Value], number: int, most: int) -> None:
    """One instruction."""
    name = opcode.name
    if name == "MARK":
        stack.append(None)
    elif name in STORING or name == "MEMOIZE":
        place = len(memo) if name == "MEMOIZE" else int(argument)
        if not 0 <= place <= number:
            raise UnboundedPickle(f"it uses place {place:,} of its memo after {number:,} instructions")
        memo[place] = _top(stack)
    elif name in FETCHING:
        stack.append(memo[int(argument)])
    elif name == "DUP":
        stack.append(_top(stack))
    elif name == "POP":
        stack.pop()
    else:
        parts = _taken(opcode, stack)
        if name in ADDING:
            _add(parts[0], parts[1:], name, most)
            stack.append(parts[0])
        elif name == "BUILD":
            stack.append(parts[0])
        elif opcode.stack_after:
            stack.append(_made(name, argument, parts, most))


def _top(stack: list[_Value | None]) -> _Value:
    if not stack or stack[-1] is None:
        raise UnboundedPickle("it takes a value from an empty stack")
    return stack[-1]


def _taken(opcode: Any, stack: list[_Value | None]) -> list[_Value]:
    """The values that an instruction takes from the stack, the lowest first."""
    wanted = list(opcode.stack_before)
    found: list[_Value | None] = []
    if pickletools.markobject in wanted:
        mark = len(stack) - 1
        while mark >= 0 and stack[mark] is not None:
            mark -= 1
        if mark < 0:
            raise UnboundedPickle("it takes values down to a mark that it never set")
        found = stack[mark + 1 :]
        del stack[mark:]
        wanted = wanted[: wanted.index(pickletools.markobject)]
    for _ in wanted:
        found.insert(0, _top(stack))
        stack.pop()
    return [value for value in found if value is not None]  # above the last mark there is none


def _add(container: _Value, parts: list[_Value], name: str, most: int) -> None:
    """Values put into a list, dictionary or set."""
    _check_keys(name, parts)
    if parts and (container.held or container in parts):
        raise UnboundedPickle("it changes a container that another already holds, so that one could hold itself")
    for part in parts:
        part.held = True
        container.size += part.size
        container.depth = max(container.depth, 1 + part.depth)
    _check_extent(container, most)


def _made(name: str, argument: Any, parts: list[_Value], most: int) -> _Value:
    """A new value from these."""
    if isinstance(argument, int) and not isinstance(argument, bool) and argument.bit_length() > LONGEST_NUMBER:
        raise UnboundedPickle(f"it holds a whole number of {argument.bit_length():,} bits")
    _check_keys(name, parts)
    if parts:
        for part in parts:
            part.held = True
        size, depth = 1 + sum(part.size for part in parts), 1 + max(part.depth for part in parts)
        short = name in TUPLES and size <= 1 + LARGEST_KEY and all(part.is_key for part in parts)
        value = _Value(size, depth, short or (name in OBJECTS and size <= LARGEST_OBJECT))
        _check_extent(value, most)
        return value
    plain = argument is not None and name not in ("GLOBAL", "PERSID") and not _is_wide(argument)
    return _Value(1, 0, plain or name in ("NONE", "NEWTRUE", "NEWFALSE", "EMPTY_TUPLE"))


def _is_wide(argument: Any) -> bool:
    return isinstance(argument, int) and abs(argument) >= WIDEST_KEY


def _check_keys(name: str, parts: list[_Value]) -> None:
    keys = parts[::2] if name in KEYED else parts if name in MEMBERS else ()
    if not all(key.is_key for key in keys):
        raise UnboundedPickle("a key in it is neither a text, a small number, an object nor a short tuple")


def _check_extent(value: _Value, most: int) -> None:
    if value.depth > DEEPEST:
        raise UnboundedPickle(f"its containers lie more than {DEEPEST} deep within one another")
    if value.size > most:
        raise UnboundedPickle(f"it unfolds to more than {most:,} values")
