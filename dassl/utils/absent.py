"""Names that upstream has and this engine has not: importing one says so, and where to read on."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

PAGE = "docs/public-repositories.md"


def absent(module: str, names: Collection[str], instead: str) -> Callable[[str], Any]:
    """Return a module's ``__getattr__`` that raises ImportError with a message for names of upstream's.

    Args:
        names: those that upstream has and the module has not; instead: what to do without them.
    """

    def missing(name: str) -> Any:
        if name in names:
            raise ImportError(f"{module} has no {name}, which upstream Dassl has. {instead} See {PAGE}.")
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    return missing
