"""Methods, one file each: a file here is imported, and so registered. `base/` and `steps/` are what they build on.

A file that cannot be imported, such as one of another repository, is reported and leaves all else alone.
"""

import sys
from pkgutil import iter_modules

from safeio import threads  # noqa: F401  (before torch)
from trainers.base.plugins import import_whole

for _module in iter_modules(__path__):
    if _module.ispkg or _module.name.startswith("_"):
        continue
    if _error := import_whole(f"{__name__}.{_module.name}"):
        sys.stderr.write(
            f"trainers/{_module.name}.py is left out, all else works: {_error}. "
            f"Files that need others of their repository go into a folder of their own: --plugins FOLDER\n"
        )
