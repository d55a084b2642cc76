"""Commands on every page: each is one of ours, with options and names that exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from mmrl.__main__ import parser_of, split
from runs.command_line import settings_apart
from runs.protocol import choose, find_dataset, methods, plan, protocols

PROJECT = Path(__file__).parents[2]
PAGES = [*PROJECT.glob("*.md"), *sorted((PROJECT / "docs").rglob("*.md"))]
LINES = [
    (page.name, line)
    for page in PAGES
    for line in re.findall(r"^    ((?:python -m )?mmrl [a-z].+)", page.read_text("utf-8").replace("\\\n", " "), re.M)
    if "..." not in line
]


def test_there_are_some():
    assert {page for page, _ in LINES} > {"README.md", "index.md", "tutorial.md", "predict.md", "python.md"}
    assert len(LINES) > 60


@pytest.mark.parametrize(("page", "line"), LINES)
def test_a_command_of_a_page_is_one(page, line):
    words = shlex.split(line.removeprefix("python -m "), comments=True)[1:]
    if words[0] == "help":
        assert len(words) == 2
        return
    command, rest = split(words)
    assert command is not None, line
    if "--trainer" in rest:  # CoOp's own command line
        return
    others, _ = settings_apart(rest, ("--set", "--range"))
    if command in ("launch", "compare"):  # seeds and train.py's words may follow
        parser_of(command).parse_known_args(others)
        return
    args = parser_of(command).parse_args(others)
    if command in ("train", "test"):
        stage = "test" if command == "test" else "train"
        assert plan(args.protocol, stage, args.method, args.dataset, args.seeds, [args.shots])
    if command == "sweep":
        assert args.protocol in protocols()
        assert all(choose("method", name, methods()) for name in args.methods if name != "all")
        assert all(find_dataset(name) for name in args.datasets if name != "all")
