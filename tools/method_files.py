"""Write docs/methods/files.md: every method's file, its lines, and the licence of the code that its authors published.

python -m tools.method_files [--check]
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tools.pages import PROJECT, make_parser, table, update

if __name__ == "__main__":  # --help is answered before torch is loaded
    make_parser(__doc__).parse_args()

import trainers  # noqa: F401  (registers the methods)
from dassl.engine import TRAINER_REGISTRY
from runs.names import method_name
from runs.protocol import methods
from runs.sources import sources_of

PAGE = PROJECT / "docs" / "methods" / "files.md"
HEAD = """# Method files

Written by `python -m tools.method_files` from `trainers/` and `configs/trainers/*/sources.yaml`; change those, not this
page.

A method is one file; code that several methods share is in `trainers/base/` and `trainers/steps/`. The lines include
docstrings and empty lines. The licence is that of the code that the method's authors published. Our files contain no
line of that code: they are written from the papers' equations, the published settings and, for most methods, numbers
that were recorded from the authors' code ("golden numbers"). If that code is under the GPL or has no licence, we used
nothing of it but such numbers.
"""
HEADS = ("method", "file", "lines", "published code", "its licence")


def page() -> str:
    """Return the whole page."""
    total = f"All {len(files())} files together have {sum(files().values()):,} lines."
    return "\n".join([HEAD, *table(HEADS, rows()), "", total, ""])


def rows() -> Iterator[Sequence[str]]:
    """Yield a row for each method."""
    for method in methods():
        file, sources = file_of(method), sources_of(method)
        name = sources.get("repository", "")
        code = f"[{name}](https://github.com/{name})" if name else "none named"
        licence = sources.get("licence", "not known to us")
        yield method_name(method), f"`{file}`", str(files()[file]), code, licence


def file_of(method: str) -> str:
    """Return the file of a method, relative to the project."""
    return Path(inspect.getfile(inspect.getmodule(TRAINER_REGISTRY.get(method)))).relative_to(PROJECT).as_posix()


def files() -> dict[str, int]:
    """Return the lines of each method file."""
    found = {file_of(method) for method in methods()}
    return {file: len((PROJECT / file).read_text(encoding="utf-8").splitlines()) for file in sorted(found)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page, or with --check say whether it is up to date."""
    check = make_parser(__doc__).parse_args(arguments).check
    return update({PAGE: page()}, "tools.method_files", check)


if __name__ == "__main__":
    sys.exit(main())
