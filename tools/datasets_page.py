"""Write the table of docs/datasets.md from datasets/sources.yaml, datasets/facts.csv and the dataset classes.

python -m tools.datasets_page [--check]
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

from tools.pages import PROJECT, make_parser, table, update, with_blocks

if __name__ == "__main__":  # --help and a wrong option are answered before torch is loaded
    make_parser(__doc__).parse_args()

import datasets  # noqa: F401  (registers the datasets)
from dassl.data.datasets import DATASET_REGISTRY
from datasets.base.metadata import read_facts, read_sources

PAGE = PROJECT / "docs" / "datasets.md"
HEADS = ("dataset", "folder", "source", "size", "licence", "command or manual step")


def rows() -> Iterator[Sequence[str]]:
    """Yield a row for each benchmark."""
    sources = read_sources()
    for name, facts in read_facts().items():
        source = sources[name]
        page = source["page"]
        link = f"[page]({page})" if "://" in page else "original gone; copies"
        command = f"`mmrl data prepare {facts['config']}`"
        if files := list(by_hand(source)):
            command += f"; by hand: {', '.join(files)}"
        yield name, f"`{DATASET_REGISTRY.get(name).dataset_dir}`", link, source["size"], source["licence"], command


def by_hand(source: dict[str, Any]) -> Iterator[str]:
    """Yield the files of a benchmark that `mmrl data prepare` neither fetches nor takes from a file it has."""
    names = {file["name"] for file in source["files"]}
    yield from (f"`{file['name']}`" for file in source["files"] if "from" in file and file["from"] not in names)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the table, or with --check say whether it is up to date."""
    check = make_parser(__doc__).parse_args(arguments).check
    page = with_blocks(PAGE.read_text(encoding="utf-8"), {"benchmarks": table(HEADS, rows())})
    return update({PAGE: page}, "tools.datasets_page", check)


if __name__ == "__main__":
    sys.exit(main())
