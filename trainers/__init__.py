"""Methods, one file each: a file here is imported, and so registered. `base/` and `steps/` are what they build on.

A file that cannot be imported, such as one of another repository, or that takes the name of a method that is here, is
reported and leaves all else alone.
"""

import sys
from pathlib import Path

from safeio import threads  # noqa: F401  (before torch)
from trainers.base.plugins import first_claim, import_whole

for _file in sorted(Path(__file__).parent.glob("[!_]*.py"), key=first_claim):
    if _error := import_whole(f"{__name__}.{_file.stem}"):
        sys.stderr.write(
            f"trainers/{_file.name} is left out, all else works: {_error}. "
            f"Files that need others of their repository go into a folder of their own: --plugins FOLDER\n"
        )
