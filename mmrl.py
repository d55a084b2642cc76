"""All commands under one name: `mmrl COMMAND ...` where installed, `python -m mmrl COMMAND ...` in a clone.

Each command is a file of its own, which shows its arguments with --help.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

COMMANDS = {
    "train": ("train", "one run: train or test one method on one dataset"),
    "sweep": ("sweep", "all runs of a protocol, on one machine or several"),
    "report": ("report", "tables and figures of finished runs"),
    "predict": ("predict", "own images, with a trained run"),
    "demo": ("demo", "a page to try a trained run"),
    "visualize": ("visualize", "attention and features of a trained run as images"),
    "export": ("export", "a trained run as a file for other programs"),
    "data prepare": ("datasets.prepare", "fetch benchmarks and lay them out"),
    "data check": ("datasets.check", "look whether benchmarks are complete"),
}
"""What is typed: the module whose `main` it is, and what it does."""


def usage() -> str:
    """The list of commands."""
    width = max(map(len, COMMANDS))
    return "usage: mmrl COMMAND ...\n\n" + "\n".join(f"  {key:{width}}  {what}" for key, (_, what) in COMMANDS.items())


def split(words: Sequence[str]) -> tuple[str | None, list[str]]:
    """The command that `words` begin with, None if there is none, and its arguments."""
    for length in (2, 1):
        if " ".join(words[:length]) in COMMANDS:
            return " ".join(words[:length]), list(words[length:])
    return None, list(words)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help"):
        print(usage())
        return 0 if words else 2
    command, rest = split(words)
    if command is None:
        print(f"error: there is no command {' '.join(words[:2])!r}\n{usage()}", file=sys.stderr)
        return 2
    module = COMMANDS[command][0]
    sys.argv = [f"mmrl {command}", *rest]
    return import_module(f"{__package__}.{module}" if __package__ else module).main(rest)


if __name__ == "__main__":
    raise SystemExit(main())
