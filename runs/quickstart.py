"""The main job on the embedded images and CLIP: some methods, base-to-new, one table."""

from __future__ import annotations

from pathlib import Path

from runs.compare import compare
from runs.protocol import CONFIGS

OUTPUT = CONFIGS.parent / "output" / "quickstart"
METHODS = ("ZeroshotCLIP", "CoOp", "MaPLe", "MMRL", "MMRLpp")
DATASET, SEED = "openmoji", 1


def main(output: Path = OUTPUT) -> int:
    """Run what is not complete, print the table, write results.json; the exit status says if a run failed."""
    return 0 if compare(METHODS, DATASET, SEED, output, output / "results.json") else 1


if __name__ == "__main__":
    raise SystemExit(main())
