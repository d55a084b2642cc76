"""All commands under one name: `mmrl COMMAND ...` where installed, `python -m mmrl COMMAND ...` in a clone."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import mmrl
from mmrl.commands import COMMANDS
from mmrl.commands.help import explain, usage
from runs.command_line import fail
from runs.protocol import PlanError
from safeio.entry import command
from safeio.names import nearest_name


def split(words: Sequence[str]) -> tuple[str | None, list[str]]:
    """Return the command that `words` begin with, None if there is none, and its arguments."""
    for length in (2, 1):
        if " ".join(words[:length]) in COMMANDS:
            return " ".join(words[:length]), list(words[length:])
    return None, list(words)


def unknown(words: Sequence[str]) -> str:
    """Return the message for words that name no command."""
    groups = [command for command in COMMANDS if command.split()[0] == words[0]]
    if groups:
        near = nearest_name(" ".join(words[:2]), groups) if len(words) > 1 else None
        hint = f"there is no command {' '.join(words[:2])!r}, did you mean {near!r}? " if near else ""
        return f"{hint}{words[0]!r} is one of: {', '.join(groups)}"
    known = [*COMMANDS, "help", "--help", "--version"]
    near = nearest_name(" ".join(words[:2]), known) or nearest_name(words[0], known)
    hint = f" Did you mean {near!r}?" if near else ""
    kind = "option" if words[0].startswith("-") else "command"
    return f"there is no {kind} {words[0]!r}.{hint} `mmrl help` lists all commands."


@command
def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit status."""
    if "_ARGCOMPLETE" in os.environ:
        from mmrl.commands.completion import complete

        complete()
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help"):
        print(usage())
        return 0 if words else 2
    if words[0] in ("-V", "--version"):
        print(f"mmrl {mmrl.__version__}")
        return 0
    if words[0] == "help":
        return explain(words[1:], split)
    command, rest = split(words)
    if command is None and words[1:] in (["-h"], ["--help"]):
        return explain(words[:1], split)
    if command is None:
        return fail(unknown(words))
    sys.argv = [f"mmrl {command}", *rest]
    try:
        return COMMANDS[command].load().main(rest)
    except PlanError as error:
        return fail(error)


def parser_of(command: str) -> argparse.ArgumentParser:
    """Return the parser of a command."""
    return COMMANDS[command].load().make_parser()


if __name__ == "__main__":
    raise SystemExit(main())
