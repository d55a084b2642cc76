"""List what there is, one line each: methods, datasets, backbones or protocols."""

from __future__ import annotations

import argparse
import ast
import csv
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from runs import protocol
from runs.command_line import CommandParser
from safeio.names import find_name, nearest_name

ROOT = protocol.CONFIGS.parent


def methods() -> Iterator[tuple[str, str]]:
    """Yield each method with the first line of its file."""
    known = set(protocol.methods())
    for file in sorted((ROOT / "trainers").glob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        names = [node.name for node in tree.body if isinstance(node, ast.ClassDef) and node.decorator_list]
        assigned = [target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets]
        names += [target.id for target in assigned if isinstance(target, ast.Name)]  # families such as DePT
        line = (ast.get_docstring(tree) or "").split("\n\n")[0].replace("\n", " ")
        yield from ((name, line) for name in names if name in known)


def datasets() -> Iterator[tuple[str, str]]:
    """Yield each dataset with the first line of its file, or a benchmark's numbers of classes and images."""
    with open(ROOT / "datasets" / "facts.csv", newline="", encoding="utf-8") as table:
        facts = {row["config"]: row for row in csv.DictReader(table)}
    for name in protocol.datasets():
        file = protocol.CONFIGS / "datasets" / f"{name}.yaml"
        if row := facts.get(name):
            parts = [f"{int(row[key] or 0):,} {key}" for key in ("classes", "train", "test")]
            yield name, ", ".join([row["registry_name"], *parts])
        else:
            yield name, _first_comment(file) or protocol.read(file).get("DATASET", {}).get("NAME", name)


def backbones() -> Iterator[tuple[str, str]]:
    """Yield each CLIP by name and where its weights come from."""
    for name, inside in protocol.backbones().items():
        yield name, "small, in this package: needs no download" if inside else "OpenAI's weights, downloaded once"
    yield "open_clip:ARCH/TAG", "any model of open_clip (extra open-clip)"
    yield "PATH", "a weights file of OpenAI's or open_clip's"


def protocols() -> Iterator[tuple[str, str]]:
    """Yield each protocol with the first line of its file."""
    for name in protocol.protocols():
        yield name, _first_comment(protocol.CONFIGS / "protocols" / f"{name}.yaml")


def _first_comment(file: Path) -> str:
    line = file.read_text(encoding="utf-8").partition("\n")[0]
    return line.lstrip("# ") if line.startswith("#") else ""


KINDS: dict[str, Callable[[], Iterator[tuple[str, str]]]] = {
    "methods": methods,
    "datasets": datasets,
    "backbones": backbones,
    "protocols": protocols,
}


def make_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    parser = CommandParser(prog="mmrl list", description=__doc__, example="mmrl list methods")
    action = parser.add_argument("kind", metavar="KIND", help=", ".join(KINDS))
    action.completer = lambda **_: list(KINDS)  # type: ignore[attr-defined]
    return parser


def main(arguments: Sequence[str]) -> int:
    """Run the command line; return the exit status."""
    parser = make_parser()
    word = parser.parse_args(arguments).kind
    kind = find_name(word, KINDS) or find_name(f"{word}s", KINDS)
    if kind is None:
        near = nearest_name(word, KINDS)
        parser.error(f"there is no list of {word!r}" + (f", did you mean {near}?" if near else f": {', '.join(KINDS)}"))
    rows = list(KINDS[kind]())
    width = max(len(name) for name, _ in rows)
    print("\n".join(f"{name:{width}}  {text}" for name, text in rows))
    return 0
