"""One file per benchmark: a new dataset is a new file.

Importing the package imports every file in it that has no leading underscore, which registers what is there.
"""

from __future__ import annotations

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__):
    if not _module.name.startswith("_"):
        importlib.import_module(f"{__name__}.{_module.name}")
