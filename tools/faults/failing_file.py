"""A file whose writes fail from the n-th of all files on, as on a disk that is full or broken."""

from __future__ import annotations

import os
from typing import Any


class FailingFile:
    """Wraps a file that is open for writing; `left` writes of all such files succeed, then errno `number` is raised."""

    left, number = 0, 0

    def __init__(self, file: Any):
        self.file = file

    def write(self, data: Any) -> Any:
        FailingFile.left -= 1
        if FailingFile.left < 0:
            raise OSError(FailingFile.number, os.strerror(FailingFile.number))
        return self.file.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def __enter__(self) -> FailingFile:
        return self

    def __exit__(self, *ended: object) -> None:
        self.file.close()
