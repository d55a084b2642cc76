"""The main job on the embedded pictures and CLIP: three methods, base-to-new, one table."""

from __future__ import annotations

from pathlib import Path

from runs.launch import execute
from runs.protocol import CONFIGS, plan
from runs.table import as_text, base2new_row
from safeio.atomic import atomic_write_json

OUTPUT = CONFIGS.parent / "output" / "quickstart"
METHODS = ("ZeroshotCLIP", "MMRL", "MMRLpp")
DATASET, SEED = "openmoji", 1


def main(output: Path = OUTPUT) -> int:
    """Run what is not complete, print the table, write results.json; the exit status says if a run failed."""
    done = [
        execute(run, output, "./data", [])
        for method in METHODS
        for stage in ("train", "test")
        for run in plan("base2new", stage, method, DATASET, [SEED])
    ]
    rows = [base2new_row(output, method, DATASET, SEED) for method in METHODS]
    atomic_write_json(output / "results.json", {"dataset": DATASET, "seed": SEED, "results": rows})
    print(f"\nBase-to-new on the embedded demonstration dataset, 16 shots, seed {SEED} (accuracy in %)\n")
    print(as_text(rows))
    print(f"\nThe same as data: {output / 'results.json'}")
    return 0 if all(done) else 1


if __name__ == "__main__":
    raise SystemExit(main())
