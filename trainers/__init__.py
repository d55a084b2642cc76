"""Methods, one file each. Importing a file registers its trainers; `base/` and `steps/` are shared code.

A file that cannot be imported, or that registers a name twice (such as a file copied from another repository), is
reported; all other methods still work.
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
