"""Write the table of docs/methods.md from configs/methods.yaml, the bibliography and configs/trainers/*/protocols.yaml.

python -m tools.methods_page [--check]
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from runs.names import BIBLIOGRAPHY, METHODS, citation, method_name
from runs.protocol import load_protocol, methods, protocols_of, read, stages_of
from runs.sources import sources_of
from tools.pages import PROJECT, make_parser, table, update, with_blocks

DOCS, TRAINERS = PROJECT / "docs", PROJECT / "configs" / "trainers"
PAGE = DOCS / "methods.md"
HEADS = ("method", "paper", "learned", "parameters", "protocols", "config", "golden-checked", "command")
LETTERS = {"B": "base2new", "F": "few_shot", "X": "cross_dataset"}
VENUES = {"International Journal of Computer Vision": "IJCV", "Pattern Recognition Workshops": "CVPRW"}
"""Venues whose abbreviation is not in parentheses, by the end of their name."""


def rows(data: Mapping[str, Mapping[str, Any]]) -> Iterator[Sequence[str]]:
    """Yield a row for each method.

    Raises:
        ValueError: configs/methods.yaml lacks a method that configs/names.yaml gives a paper, or has another.
    """
    if other := sorted(data.keys() ^ {method for method in methods() if citation(method)}):
        raise ValueError(f"{METHODS.name} and configs/names.yaml differ in {', '.join(other)}: both need an entry.")
    for method, cells in data.items():
        name = method_name(method)
        shown = f"`{method}`" + (f" ({name})" if name not in (method, "CLIP") else "")
        golden = (PROJECT / "tests" / "golden" / f"{cells.get('golden', method)}_a.json").is_file()
        learned = cells["learned"] + (f" ([equations]({cells['page']}))" if "page" in cells else "")
        row = (shown, paper(method), learned, cells["parameters"], protocols(method))
        yield *row, configs(method), "yes" if golden else "no", command(method, cells.get("arguments", ""))


def paper(method: str) -> str:
    """Return a method's paper as prose cites it: ``Guo and Gu, CVPR 2025``."""
    entry = re.search(rf"^@\w+\{{{citation(method)},(.*?)^\}}", BIBLIOGRAPHY.read_text(encoding="utf-8"), re.M | re.S)
    if entry is None:
        raise ValueError(
            f"{BIBLIOGRAPHY.name} has no entry {citation(method)}, which configs/names.yaml gives {method}."
        )
    fields = dict(re.findall(r"^ *(\w+) = \{(.*)\},?$", entry[1], re.M))
    surnames = [accented(author.partition(",")[0]) for author in fields["author"].split(" and ")]
    authors = " and ".join(surnames) if len(surnames) < 3 else f"{surnames[0]} et al."
    where = fields.get("booktitle") or fields["journal"]
    short = re.search(r"\((\w+)\)$", where)
    venue = short[1] if short else next((VENUES[end] for end in VENUES if where.endswith(end)), where)
    return f"{authors}, {venue} {fields['year']}"


def accented(name: str) -> str:
    r"""Return a name of a BibTeX entry with its acute accents: ``P{\'e}rez`` is Pérez."""
    return re.sub(r"\{\\'(\w)\}", lambda letter: unicodedata.normalize("NFC", f"{letter[1]}\u0301"), name)


def published(method: str) -> list[str]:
    """Return the letters of the protocols for which configs/trainers/METHOD/sources.yaml knows published settings."""
    entries = sources_of(method).get("unverified", [])
    unknown = {name for entry in entries if "except_datasets" not in entry for name in entry.get("protocols", ())}
    return [letter for letter, protocol in LETTERS.items() if protocol not in unknown]


def protocols(method: str) -> str:
    r"""Return the letters of the protocols, those without published settings in parentheses: ``B X\* (F)``."""

    def mark(letter: str) -> str:
        whole = set(stages_of(LETTERS[letter], method)) == set(load_protocol(LETTERS[letter])["stages"])
        return letter if whole else letter + r"\*"

    others = " ".join(mark(letter) for letter in LETTERS if letter not in published(method))
    return " ".join([*map(mark, published(method)), *([f"({others})"] if others else [])])


def configs(method: str) -> str:
    """Return the file of each protocol, or one for all."""
    files: dict[str, list[str]] = {}
    for letter, protocol in LETTERS.items():
        file = protocols_of(method)[protocol]["cfg"]["default"]
        files.setdefault("by shots" if isinstance(file, dict) else f"`{file}`", []).append(letter)
    return (
        next(iter(files)) if len(files) == 1 else ", ".join(f"{' '.join(used)} {file}" for file, used in files.items())
    )


def command(method: str, arguments: str) -> str:
    """Return the command of one published protocol: base-to-novel if the method has both of its halves."""
    file = (
        "base2new_train.sh" if "B" in published(method) and "test" in stages_of("base2new", method) else "few_shot.sh"
    )
    (script,) = (
        script
        for script in sorted(PROJECT.glob(f"scripts/*/{file}"))
        if f" train {method} " in script.read_text(encoding="utf-8")
    )
    return f"`bash {script.relative_to(PROJECT).as_posix()} DATASET 1 {arguments}".rstrip() + "`"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the table, or with --check say whether it is up to date."""
    check = make_parser(__doc__).parse_args(arguments).check
    page = with_blocks(PAGE.read_text(encoding="utf-8"), {"methods": table(HEADS, rows(read(METHODS)))})
    return update({PAGE: page}, "tools.methods_page", check)


if __name__ == "__main__":
    sys.exit(main())
