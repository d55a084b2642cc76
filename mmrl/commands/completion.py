"""Shell completion in bash, zsh and fish: docs/packaging.md says how (package argcomplete)."""

from __future__ import annotations

import argparse

from mmrl.commands import COMMANDS


def complete() -> None:
    """Answer the shell and exit."""
    import argcomplete

    argcomplete.autocomplete(whole_parser(), always_complete_options="long")


def whole_parser() -> argparse.ArgumentParser:
    """Return one parser that holds those of all commands."""
    parser = argparse.ArgumentParser(prog="mmrl")
    parser.add_argument("--version", action="store_true")
    below = parser.add_subparsers()
    groups: dict[str, argparse._SubParsersAction] = {}
    for name, command in COMMANDS.items():
        group, _, inner = name.partition(" ")
        if inner and group not in groups:
            groups[group] = below.add_parser(group, help="commands on data").add_subparsers()
        own = command.load().make_parser()
        place = groups[group] if inner else below
        word = inner or group
        place.add_parser(word, help=command.summary, parents=[own], add_help=False, conflict_handler="resolve")
    return parser
