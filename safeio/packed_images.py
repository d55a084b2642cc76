"""Read images inside larger files by address: members of tar shards, cells of parquet and arrow tables.

An address is the file and a place in it, `FILE::PLACE`:

    shards/train-000.tar::1536+20480::0001.jpg      offset and size in bytes, and the member's name
    data/train-00000.parquet::17::image             row and column
"""

from __future__ import annotations

import os
from functools import lru_cache
from threading import Lock
from typing import Any, NamedTuple

from safeio.archive_limits import Disproportion, refuse_disproportion
from safeio.errors import MissingFile, UserError

MARK = "::"
TAR, PARQUET, ARROW = ".tar", ".parquet", ".arrow"
GROUPS_HELD = 4
"""Row groups of parquet files in memory: images near one another are read together."""
_lock = Lock()


class PackedImageError(UserError, OSError):
    """An image inside a larger file cannot be read; the message names the file and the place."""


class Place(NamedTuple):
    """A packed image: its file, and the rest of the address."""

    file: str
    where: str
    name: str


def tar_address(file: str | os.PathLike, offset: int, size: int, name: str) -> str:
    """Return the address of a tar member."""
    return f"{os.fspath(file)}{MARK}{offset}+{size}{MARK}{name}"


def table_address(file: str | os.PathLike, row: int, column: str) -> str:
    """Return the address of a table's cell."""
    return f"{os.fspath(file)}{MARK}{row}{MARK}{column}"


def is_packed(path: str | os.PathLike) -> bool:
    """Return True for an address inside a file."""
    return _place(os.fspath(path)) is not None


def container_of(path: str | os.PathLike) -> str:
    """Return the file on disk that holds an image: the path itself, or the file of an address."""
    place = _place(os.fspath(path))
    return place.file if place else os.fspath(path)


def packed_bytes(path: str | os.PathLike) -> bytes:
    """Read the encoded image at an address.

    Raises:
        FileNotFoundError: there is no such file.
        PackedImageError: there is no image at that place.
    """
    place = _place(os.fspath(path))
    if place is None:
        raise PackedImageError(f"{path} is no address of an image inside a file")
    if not os.path.isfile(place.file):
        raise MissingFile(f"There is no file {place.file}")
    try:
        data = _member(place) if place.file.endswith(TAR) else _cell(place)
    except ImportError:
        raise
    except Exception as error:  # the readers of tables answer damaged data with kinds of their own
        raise PackedImageError(f"Cannot read {path}: {error}") from error
    if not data:
        raise PackedImageError(f"There is no image at {path}")
    return data


def _place(path: str) -> Place | None:
    file, *rest = path.split(MARK, 2)
    if len(rest) != 2 or not file.endswith((TAR, PARQUET, ARROW)):
        return None
    return Place(file, *rest)


def _member(place: Place) -> bytes:
    offset, size = map(int, place.where.split("+"))
    if not 0 <= size <= os.path.getsize(place.file):
        raise ValueError("the address points outside the file")
    with open(place.file, "rb") as file:
        file.seek(offset)
        data = file.read(size)
    if len(data) < size:
        raise ValueError("the file ends before the image does")
    return data


def _cell(place: Place) -> bytes | None:
    row = int(place.where)
    with _lock:  # threads that want images of one group wait for it together
        if place.file.endswith(PARQUET):
            group, inner = _group_of(place.file, row)
            value = _group(place.file, group, place.name)[inner].as_py()
        else:
            value = arrow_table(place.file)[place.name][row].as_py()
    return image_in(value)


def image_in(value: Any) -> bytes | None:
    """Return the encoded image in a table's cell: bytes, or an object with `bytes` or else a `path` on this machine."""
    if isinstance(value, dict):
        if value.get("bytes"):
            return value["bytes"]
        path = value.get("path") or ""
        if not os.path.isfile(path):
            raise ValueError(f"the table holds no bytes, only the path {path!r}, where there is no file")
        with open(path, "rb") as file:
            return file.read()
    return value if isinstance(value, bytes) else None


@lru_cache(maxsize=64)
def parquet_file(file: str) -> Any:
    """Open a parquet file, once."""
    import pyarrow.parquet  # optional: pip install pyarrow

    opened = pyarrow.parquet.ParquetFile(file, memory_map=True)
    about = opened.metadata
    groups = [about.row_group(number) for number in range(about.num_row_groups)]
    _refuse_claims(file, about.num_rows, sum(group.total_byte_size for group in groups))
    return opened


@lru_cache(maxsize=64)
def arrow_table(file: str) -> Any:
    """Map an arrow file, of the stream or the file format, into memory, once."""
    import pyarrow  # optional: pip install pyarrow

    source = pyarrow.memory_map(file)
    try:
        table = pyarrow.ipc.open_stream(source).read_all()
    except pyarrow.ArrowInvalid:
        table = pyarrow.ipc.open_file(source).read_all()
    _refuse_claims(file, table.num_rows, table.nbytes)
    return table


def _refuse_claims(file: str, rows: int, unpacked: int) -> None:
    """Refuse a table with more rows than bytes, which few bytes can claim, or one that unpacks to far more than it is.

    Raises:
        safeio.archive_limits.Disproportion: it is one of these.
    """
    if rows > os.path.getsize(file):
        raise Disproportion(f"{file} says that it has {rows:,} rows, more than it has bytes")
    refuse_disproportion(file, unpacked)


def _group_of(file: str, row: int) -> tuple[int, int]:
    """Find the row group that holds a row, and the row's place in it."""
    about = parquet_file(file).metadata
    for group in range(about.num_row_groups):
        if row < (rows := about.row_group(group).num_rows):
            return group, row
        row -= rows
    raise IndexError("the table has fewer rows")


@lru_cache(maxsize=GROUPS_HELD)
def _group(file: str, group: int, column: str) -> Any:
    return parquet_file(file).read_row_group(group, columns=[column])[column]
