"""The command line that the benchmarks share: their options, how results are shown and kept, errors for people."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks._trainers import SHAPES
from safeio.errors import for_people

Measure = Callable[[argparse.Namespace], dict[str, Any]]
Status = Callable[[argparse.Namespace, dict[str, Any]], int]
"""The exit status that the results deserve."""


def command(doc: str) -> argparse.ArgumentParser:
    """A command line whose help is a module's docstring, with `--json`."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="file for the results")
    return parser


def add_method(parser: argparse.ArgumentParser, classes: bool = True) -> None:
    """Add the options for method and backbone, and for the number of classes where the data does not tell."""
    parser.add_argument("--method", default="MMRL")
    parser.add_argument("--backbone", default="ViT-B/16", choices=SHAPES)
    if classes:
        parser.add_argument("--classes", type=at_least(1), default=100)


def add_run(parser: argparse.ArgumentParser, batch: int) -> None:
    """The method, and how it is computed."""
    add_method(parser)
    parser.add_argument("--batch", type=at_least(1), default=batch)
    parser.add_argument("--device", type=device, default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--prec", default="fp32", help="precision of the run: fp32, amp, fp16, bf16")
    parser.add_argument("options", nargs="*", help="KEY VALUE pairs for the method's settings")


def at_least(least: int) -> Callable[[str], int]:
    """The type of an argument that counts something."""

    def count(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} on")
        return int(text)

    return count


def device(text: str) -> str:
    """An argument that names where to compute."""
    if text not in ("cpu", "cuda"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither cpu nor cuda")
    if text == "cuda" and not torch.cuda.is_available():
        raise argparse.ArgumentTypeError("PyTorch sees no GPU here; --device cpu computes without one")
    return text


def run(parser: argparse.ArgumentParser, measure: Measure, status: Status = lambda args, result: 0) -> int:
    """Read the command line, measure, print and store.

    Returns:
        The exit status; 1 for a mistake in the command, printed for people.
    """
    args = parser.parse_args()
    if args.json and not args.json.parent.is_dir():
        parser.error(f"--json {args.json}: there is no folder {args.json.parent}")
    try:
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
