"""Five methods on the embedded photographs and CLIP, base-to-new, one table: what a newcomer runs first."""

from __future__ import annotations

from pathlib import Path

from runs.compare import compare
from runs.protocol import CONFIGS

OUTPUT = CONFIGS.parent / "output" / "quickstart"
METHODS = ("ZeroshotCLIP", "CoOp", "MaPLe", "MMRL", "MMRLpp")
DATASET, SEED = "caltech101_64", 1
NEXT = """
What next?
  your own images      mmrl train MMRL folder --root path/to/images --shots 16    docs/your-data.md
  the paper's datasets mmrl data prepare dtd --root data                    docs/datasets.md
  tables and figures   mmrl report output/quickstart --format html          docs/reports.md"""


def main(output: Path = OUTPUT) -> int:
    """Run what is not complete, print the table, write results.json; the exit status says if a run failed."""
    print(f"{', '.join(METHODS)} on {DATASET}: about seven minutes on two cores", flush=True)
    complete = compare(METHODS, DATASET, SEED, output, output / "results.json")
    print(NEXT)
    return 0 if complete else 1


if __name__ == "__main__":
    raise SystemExit(main())
