"""Make a clone's packages the ones that are imported, where `mmrl` is a clone's and not installed from a wheel."""

from __future__ import annotations

import sys
from pathlib import Path

CLONE = Path(__file__).parent.parent
PACKAGES = ("clip", "dassl", "datasets", "inference", "reports", "runs", "safeio", "trainers")


def prefer_clone() -> None:
    """Put the clone's root first on sys.path; nothing to do in an installed wheel, whose packages are below `mmrl`.

    Raises:
        ImportError: another package of a name of ours, such as Hugging Face's `datasets`, is loaded already.
    """
    if not (CLONE / "trainers" / "__init__.py").is_file():
        return
    for name in PACKAGES:
        file = getattr(sys.modules.get(name), "__file__", None)
        if file and CLONE not in Path(file).resolve().parents and (CLONE / name).is_dir():
            raise ImportError(
                f"`{name}` is loaded from {file}, but mmrl runs from a clone, whose own `{name}` has that name. "
                f"Import mmrl first, or install it beside others with `pip install .` (docs/packaging.md)"
            )
    if str(CLONE) not in sys.path[:1]:
        sys.path.insert(0, str(CLONE))
