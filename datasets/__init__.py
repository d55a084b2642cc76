"""One file per benchmark: a new dataset is a new file.

Importing the package imports every file in it that has no leading underscore and is not a part of a command, which
registers what is there.
"""

from __future__ import annotations

import importlib
import pkgutil

from safeio import threads  # noqa: F401  (before torch)

OF_COMMANDS = ("check", "prepare")  # what `mmrl data check` and `mmrl data prepare` do; no datasets

for _module in pkgutil.iter_modules(__path__):
    if not (_module.ispkg or _module.name.startswith("_") or _module.name in OF_COMMANDS):
        importlib.import_module(f"{__name__}.{_module.name}")
