"""Train five methods base-to-novel on the embedded photographs with the embedded CLIP, and print one table."""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from pathlib import Path

from runs.compare import PROTOCOL, show
from runs.launch import wait_for
from runs.protocol import CONFIGS
from runs.sweep.process import PROJECT, ending_with_this
from safeio import threads

OUTPUT = CONFIGS.parent / "output" / "quickstart"
METHODS = ("ZeroshotCLIP", "CoOp", "MaPLe", "MMRL", "MMRLpp")
DATASET, SEED = "caltech101_64", 1
OWN, ACTIVATE = PROJECT / ".venv", "source .venv/bin/activate"
"""The environment that scripts/quickstart.sh makes, and what brings its commands into the user's shell."""
NEXT = """
What next?{activate}
  zero-shot, any names mmrl predict --zero-shot "cat, dog" image.jpg              docs/predict.md
  your own images      mmrl train MMRL folder --root path/to/images --shots 16    docs/your-data.md
  the paper's datasets mmrl data prepare dtd --root data                          docs/datasets.md
  tables and figures   mmrl report output/quickstart --format html                docs/reports.md"""


def words(output: Path) -> list[str]:
    """Return the sweep's command line: a run on each core, those that take longest first."""
    workers = min(threads.allowed_cores(), len(METHODS))
    asked = [PROTOCOL, "--methods", *reversed(METHODS), "--datasets", DATASET, "--seeds", str(SEED)]
    return [*asked, "--workers", str(workers), "--output", str(output), "--retry-failed"]


def main(output: Path = OUTPUT) -> int:
    """Run what is not complete, print the table, write results.json; returns the exit status of the sweep."""
    print(f"{', '.join(METHODS)} on {DATASET}: about four minutes on two cores", flush=True)
    print("$", shlex.join(["python", "sweep.py", *words(output)]), flush=True)
    status = wait_for(subprocess.Popen(ending_with_this([str(PROJECT / "sweep.py"), *words(output)])))
    if status not in (0, 1):  # it was stopped, or has said why it could not start
        return status if status > 0 else 128 - status
    show(METHODS, DATASET, SEED, output, output / "results.json")
    unheard = Path(sys.prefix) == OWN and os.environ.get("VIRTUAL_ENV") != sys.prefix  # the user's shell knows no mmrl
    print(NEXT.format(activate=f" First: {ACTIVATE}" if unheard else ""))
    return status


def make_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    parser = argparse.ArgumentParser(prog="quickstart.sh", description=__doc__)
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder of the runs (%(default)s)")
    return parser


if __name__ == "__main__":
    raise SystemExit(main(make_parser().parse_args().output))
