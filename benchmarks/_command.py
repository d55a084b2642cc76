"""The command line that the benchmarks share: their options, how results are shown and kept, errors for people."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks._shapes import SHAPES
from safeio.errors import UserError, for_people

Measure = Callable[[argparse.Namespace], dict[str, Any]]
Status = Callable[[argparse.Namespace, dict[str, Any]], int]
"""The exit status that the results deserve."""


def command(doc: str) -> argparse.ArgumentParser:
    """Return a command line with a module's docstring as its help, and the option `--json`."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="also write the results to this JSON file")
    return parser


def add_method(parser: argparse.ArgumentParser, classes: bool = True) -> None:
    """Add the options for method and backbone, and the number of classes if the data does not give it."""
    parser.add_argument("--method", default="MMRL", help="method to measure (default: MMRL)")
    parser.add_argument("--backbone", default="ViT-B/16", choices=SHAPES, help="its CLIP (default: ViT-B/16)")
    if classes:
        parser.add_argument("--classes", type=at_least(1), default=100, help="number of classes (default: 100)")


def add_run(parser: argparse.ArgumentParser, batch: int) -> None:
    """Add the options for the method and its computation."""
    add_method(parser)
    parser.add_argument("--batch", type=at_least(1), default=batch, help=f"images in a batch (default: {batch})")
    add_device(parser)
    parser.add_argument("--prec", default="fp32", help="number type: fp32, amp, fp16 or bf16 (default: fp32)")
    parser.add_argument("options", nargs="*", help="settings of the method, as KEY VALUE pairs")


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add the option for the device; `run` fills in the default, a GPU if there is one."""
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: cuda if there is a GPU, else cpu")


def at_least(least: int) -> Callable[[str], int]:
    """Return the type of an option that counts something."""

    def count(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} on")
        return int(text)

    return count


def existing_device(name: str | None) -> str:
    """Return the device asked for, or else a GPU if there is one.

    Raises:
        UserError: there is no GPU.
    """
    import torch  # after the command line is read: it takes seconds

    gpu = torch.cuda.is_available()
    if name == "cuda" and not gpu:
        raise UserError("PyTorch sees no GPU here; --device cpu computes without one")
    return name or ("cuda" if gpu else "cpu")


def markdown(rows: Sequence[Sequence[Any]], heads: Sequence[str]) -> str:
    """Return a table for docs/benchmarks.md; None leaves a cell empty."""
    from tabulate import tabulate

    return tabulate(rows, headers=heads, tablefmt="github", floatfmt=".4g", missingval="")


def fails_with_a_row(args: argparse.Namespace, result: dict[str, Any]) -> int:
    """Return exit status 1 if any row has an error."""
    return int(any(key.endswith(": failed") for key in result))


def run(parser: argparse.ArgumentParser, measure: Measure, status: Status = lambda args, result: 0) -> int:
    """Read the command line, measure, print and store.

    Returns:
        The exit status; 1 for a mistake in the command, printed for people.
    """
    args = parser.parse_args()
    if args.json and not args.json.parent.is_dir():
        parser.error(f"--json {args.json}: there is no folder {args.json.parent}")
    try:
        if getattr(args, "device", "") in (None, "cuda"):
            args.device = existing_device(args.device)
        result = measure(args)
    except Exception as error:
        if (message := for_people(error)) is None:
            raise
        print(f"error: {message}", file=sys.stderr)
        return 1
    for name, value in result.items():
        print(f"{name:>30}: {value:.4g}" if isinstance(value, float) else f"{name:>30}: {value}")
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return status(args, result)
