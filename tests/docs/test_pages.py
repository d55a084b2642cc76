"""Scripts, entry points, flags, keys, paths and links of every page exist."""

from __future__ import annotations

import re
import runpy
import shlex
import subprocess
import sys
from contextlib import redirect_stdout
from functools import cache
from io import StringIO
from itertools import product
from pathlib import Path
from typing import NamedTuple

import pytest

import train
import trainers  # noqa: F401  (registers the methods)
from mmrl.__main__ import parser_of
from mmrl.__main__ import split as split_command
from mmrl.commands import COMMANDS
from runs import train_arguments
from safeio.trees import leaves
from trainers.base.run_settings import settings_of_run

PROJECT = Path(__file__).parents[2]
PAGES = [PROJECT / name for name in ("README.md", "README.zh-CN.md", "CONTRIBUTING.md")]
PAGES += sorted((PROJECT / "docs").rglob("*.md"))
WRAPPED = 145
"""Characters of a line of prose at most."""
NOT_OURS = ("output", "data", ".venv")  # made by running, or brought by the user
EXAMPLE = re.compile(r"feature_?scale", re.I)  # what docs/add-a-method.md tells to write; a test of its own runs it
KEY = re.compile(r"\b[A-Z][A-Z0-9]+(?:\.[A-Z]\w*)+")
PLACEHOLDER = re.compile(r"<[^>]*>|\bseed[kK]\b|[A-Z][A-Z_]{2,}")
CHOICE = re.compile(r"<([\w-]+(?:\|[\w-]+)+)>|\{([\w-]+(?:,[\w-]+)+)\}")
ENTRY_FLAGS = {"bash": ("train.py", "runs.launch", "runs.compare")}  # scripts hand their flags to these


class Command(NamedTuple):
    """A command line of a page, in words, without leading NAME=value."""

    page: str
    words: tuple[str, ...]

    @property
    def program(self) -> str:
        """Program of a command: a script's path, a Python file, a module's dotted name, or `mmrl COMMAND`."""
        rest = self.words[1:]
        if rest[:2] == ("-m", "mmrl"):
            return f"mmrl {split_command(rest[2:])[0] or ' '.join(rest[2:3])}".strip()
        return rest[1] if rest[0] == "-m" else rest[0]

    def __str__(self) -> str:
        return f"{self.page}: {' '.join(self.words)}"


def code_lines(text: str) -> list[str]:
    """Lines of fenced and of indented code, those that end in a backslash joined with the next."""
    found, fenced = [], False
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith(("    ", "\t")):
            found.append(line.strip())
    return "\n".join(found).replace("\\\n", " ").splitlines()


def code(page: Path) -> list[str]:
    """Code lines, and code within a sentence, of a page."""
    text = page.read_text(encoding="utf-8")
    return [*code_lines(text), *re.findall(r"`([^`\n]+)`", re.sub(r"^```.*$", "", text, flags=re.M))]


def alternatives(line: str) -> list[str]:
    """`a/<b|c>` and `a/{b,c}` written out."""
    parts = CHOICE.split(line)  # text, <choices> or None, {choices} or None, text ...
    steps = []
    for i in range(0, len(parts), 3):
        steps.append([parts[i]])
        if i + 2 < len(parts):
            steps.append((parts[i + 1] or parts[i + 2]).replace("|", ",").split(","))
    return ["".join(step) for step in product(*steps)]


def commands(page: Path) -> list[Command]:
    """Calls of bash and Python in a page's code."""
    found = []
    for line in (line for written in code(page) for line in alternatives(written)):
        try:
            words = shlex.split(line.removeprefix("$ "), comments=True)
        except ValueError:  # an apostrophe in prose: no command line
            continue
        while words and re.fullmatch(r"[A-Za-z_]\w*=.*", words[0]):
            words.pop(0)
        if len(words) > 1 and words[0] == "mmrl" and re.fullmatch("[a-z]+", words[1]):
            words = ["python", "-m", *words]
        if len(words) > 1 and re.fullmatch(r"bash|sh|(.*/)?python[\d.]*", words[0]) and "..." not in words[1]:
            found.append(Command(str(page.relative_to(PROJECT)), tuple(words)))
    return found


SHELLS = ("bash", "sh")


def entry_point(program: str) -> Path | None:
    """Return the file of one of our scripts or modules; None for programs of the environment, such as pytest."""
    file = PROJECT / (program if program.endswith(".py") else f"{program.replace('.', '/')}.py")
    ours = program.endswith(".py") or program.split(".")[0] in {path.name for path in PROJECT.iterdir()}
    assert file.is_file() or not ours, f"there is no {program}"
    return file if ours else None


@cache
def help_of(program: str) -> str:
    """Return the output of `--help`, run in this process; empty for a program without flags."""
    if program.split()[0] == "mmrl":
        command = program[5:]
        if command not in COMMANDS:
            assert re.match("( help| -.*)?$", program[4:]), f"no command {program}"
            return "--version"
        also = train_arguments.make_parser().format_help() if command == "train" else ""  # it takes CoOp's options too
        return parser_of(command).format_help() + also
    file = entry_point(program)
    if file is None:
        return "--anything"
    if "argparse" not in file.read_text(encoding="utf-8"):
        return ""
    shown = StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(shown), pytest.raises(SystemExit) as end:
        patch.setattr(sys, "argv", [program, "--help"])
        if program.endswith(".py"):
            patch.syspath_prepend(str(file.parent))
            runpy.run_path(str(file), run_name="__main__")
        else:
            runpy.run_module(program, run_name="__main__")
    assert not end.value.code, shown.getvalue()[-2000:]
    return shown.getvalue()


@cache
def known_keys() -> set[str]:
    """Every configuration key there is when all methods are registered, sections included."""
    keys = [key for key, _ in leaves(settings_of_run(train.parse([])).cfg)]
    return {".".join(key.split(".")[:n]) for key in keys for n in range(1, len(key.split(".")) + 1)}


def exists(path: str) -> bool:
    """Return whether a path of the project exists; placeholders (DATASET, <name>) stand for anything."""
    path = path.strip("/").rstrip(".:,")
    return (PROJECT / path).exists() or any(PROJECT.glob(PLACEHOLDER.sub("*", path)))


def test_there_are_commands():
    found = {command.words[0] in SHELLS for page in PAGES for command in commands(page)}
    assert found == {True, False}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_their_flags_exist(page):
    """Scripts parse, Python programs explain themselves, and each has the flags that the page gives it."""
    for command in dict.fromkeys(commands(page)):
        programs = ENTRY_FLAGS.get(command.words[0], (command.program,))
        if command.words[0] in SHELLS:
            files = list(PROJECT.glob(PLACEHOLDER.sub("*", command.program)))
            assert files, f"there is no {command.program}"
            parse = ["bash", "-c", 'for file; do bash -n "$file"; done', "-", *files]
            broken = subprocess.run(parse, capture_output=True, text=True).stderr
            assert not broken, broken
        elif command.program == "pip" or command.program.startswith("-"):
            continue
        known = " ".join(map(help_of, programs))
        for flag in (word.split("=")[0] for word in command.words[2:] if re.match(r"--\w", word)):
            there = "--anything" in known or re.search(rf"(?<![\w-]){flag}(?![\w-])", known)
            assert there, f"there is no {flag}: {command}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_keys_exist(page):
    sections = {key for key in known_keys() if "." not in key}
    written = {key for line in code(page) for key in KEY.findall(line) if key.split(".")[0] in sections}
    unknown = {key for key in written - known_keys() if not EXAMPLE.search(key)}
    assert not {key for key in unknown if not re.match(r"TRAINER\.(METHOD|NAME)\b", key)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_and_links_exist(page):
    text = page.read_text(encoding="utf-8")
    spans = [span for line in code(page) for span in alternatives(line)]
    top = {path.name for path in PROJECT.iterdir() if path.name not in NOT_OURS}
    words = [re.split(r"::|#", word.strip("`'\"(),;[]"))[0] for span in spans for word in span.split()]
    paths = {word for word in words if "/" in word and word.split("/")[0] in top}
    assert not sorted(path for path in paths if not exists(path) and not EXAMPLE.search(path))
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text)
    assert not [link for link in links if "://" not in link and not (page.parent / link).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_prose_is_wrapped(page):
    """Tables, code, markup and Chinese excepted, and settings.md, which quotes its sources."""
    if page.name in ("README.zh-CN.md", "settings.md"):
        return
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    assert not [line for line in text.splitlines() if len(line) > WRAPPED and not line.startswith(("|", "    ", "<"))]
