"""Every file here without a leading underscore is a method; being here is being registered.

A file that cannot be imported, such as one of another repository, is reported and leaves all else alone.
"""

import sys
from importlib import import_module
from pkgutil import iter_modules

from safeio import threads  # noqa: F401  (before torch)

for _module in iter_modules(__path__):
    if not (_module.ispkg or _module.name.startswith("_")):
        try:
            import_module(f"{__name__}.{_module.name}")
        except Exception as error:
            sys.stderr.write(
                f"trainers/{_module.name}.py is left out, all else works: {type(error).__name__}: {error}. "
                f"Files that need others of their repository go into a folder of their own: --plugins FOLDER\n"
            )
