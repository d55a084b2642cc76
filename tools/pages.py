"""Pages, or parts of pages, that a tool writes: the command line, the part between two markers, and the check."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

PROJECT = Path(__file__).parent.parent
END = "<!-- end -->"


def make_parser(about: str | None) -> argparse.ArgumentParser:
    """Return the parser of a tool with this docstring."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit status 1 if a file is not up to date")
    return parser


def with_blocks(page: str, blocks: Mapping[str, Iterable[str]]) -> str:
    """Return a page with the lines of each block between ``<!-- NAME -->`` and ``<!-- end -->``.

    Raises:
        ValueError: the page lacks a block, or has it twice.
    """
    for name, lines in blocks.items():
        text = "\n".join([f"<!-- {name} -->", "", *lines, "", END])
        page, count = re.subn(rf"<!-- {re.escape(name)} -->\n.*?{END}", lambda _, text=text: text, page, flags=re.S)
        if count != 1:
            raise ValueError(f"The page has {count} blocks <!-- {name} --> ... {END}; it must have one.")
    return page


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a Markdown table."""
    for row in (heads, *rows):
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
        if row is heads:
            yield f"|{'---|' * len(heads)}"


def update(files: Mapping[Path, str], tool: str, check: bool) -> int:
    """Write files whose content has changed, or only name them; return the exit status.

    Args:
        files: new content by path, below the project's folder.
        tool: the module that writes them.
        check: write nothing; the status is 1 if a file is not up to date.
    """
    old = [path for path, text in files.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    if check and old:
        names = "\n  ".join(path.relative_to(PROJECT).as_posix() for path in old)
        print(f"not up to date, run python -m {tool}:\n  {names}")
        return 1
    for path in () if check else old:
        path.write_text(files[path], encoding="utf-8")
    return 0
