"""Names on the command line: those that exist, found in any spelling, completed by the shell."""

from __future__ import annotations

import argparse

from runs import protocol


def add_method(parser: argparse.ArgumentParser) -> None:
    """Add the positional METHOD."""
    action = parser.add_argument(
        "method", metavar="METHOD", help="method, for example MMRL; `mmrl list methods` shows all"
    )
    action.completer = lambda **_: protocol.methods()  # type: ignore[attr-defined]


def add_dataset(parser: argparse.ArgumentParser, nargs: str | None = None) -> None:
    """Add the positional DATASET."""
    action = parser.add_argument(
        "dataset", metavar="DATASET", help="dataset, for example dtd; `mmrl list datasets` shows all", nargs=nargs
    )
    action.completer = lambda **_: protocol.datasets()  # type: ignore[attr-defined]


def add_protocol(parser: argparse.ArgumentParser, default: str) -> None:
    """Add --protocol."""
    action = parser.add_argument(
        "--protocol", default=default, help="evaluation protocol; `mmrl list protocols` shows all"
    )
    action.completer = lambda **_: protocol.protocols()  # type: ignore[attr-defined]
