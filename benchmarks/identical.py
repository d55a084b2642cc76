"""Prove that a change changes no number: train at two revisions and compare what was learned, bit for bit.

python benchmarks/identical.py REV              this working tree against REV
python benchmarks/identical.py REV --and OTHER  OTHER against REV

Four methods train for 20 steps on two seeds, on the embedded images and CLIP, on a CPU with one thread. Both sides
have the same images and CLIP, those of the newer side: what is compared is the code.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

PROJECT = Path(__file__).parent.parent
METHODS = ("MMRL", "MMRLpp", "CoOp", "MaPLe")
SEEDS = (1, 2)
STEPS, SHOTS, CLASSES = 20, 8, 10
INPUTS = ("clip/embedded", "datasets/embedded")
"""Folders with the CLIP and the images that the runs train on."""


def main() -> int:
    """Train at both revisions and print which runs differ; return 0 if none does."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("revision", help="git revision to compare with")
    parser.add_argument("--and", dest="other", help="revision to use instead of the working tree")
    parser.add_argument(
        "--methods", nargs="+", default=METHODS, help=f"methods to train (default: {' '.join(METHODS)})"
    )
    parser.add_argument(
        "--seeds", nargs="+", type=int, default=SEEDS, help=f"seeds (default: {' '.join(map(str, SEEDS))})"
    )
    args = parser.parse_args()
    try:
        with checked_out(args.revision) as before, checked_out(args.other) as after:
            share_inputs(before, after)
            return compare(before, after, args)
    except subprocess.CalledProcessError as error:
        print(f"error: {(error.stderr or str(error)).strip()}", file=sys.stderr)
        return 2


def share_inputs(before: Path, after: Path) -> None:
    """Give `before`, a checkout for this comparison alone, the CLIP and the images of `after`."""
    for folder in INPUTS:
        if contents(before / folder) != contents(after / folder):
            print(f"{folder} differs between the revisions: both train with that of the newer side")
            shutil.rmtree(before / folder, ignore_errors=True)
            shutil.copytree(after / folder, before / folder)


def contents(folder: Path) -> dict[str, bytes]:
    """Return the contents of a folder's files by name, without pages of text."""
    files = (file for file in folder.rglob("*") if file.is_file() and file.suffix != ".md")
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def compare(before: Path, after: Path, args: argparse.Namespace) -> int:
    """Print a line for each method and seed; return the exit status."""
    differing = 0
    for method in args.methods:
        for seed in args.seeds:
            own, other = learned(before, method, seed), learned(after, method, seed)
            differing += own != other
            print(f"{method:8} seed {seed}: {'identical' if own == other else 'DIFFERENT'}  {own[:12]}  {other[:12]}")
    total = len(args.methods) * len(args.seeds)
    print(f"{total - differing} of {total} runs learned the same parameters, bit for bit")
    return int(bool(differing))


@contextmanager
def checked_out(revision: str | None) -> Iterator[Path]:
    """Give a folder with the project at a revision, or the working tree if none is given."""
    if revision is None:
        yield PROJECT
        return
    with TemporaryDirectory() as folder:
        place = Path(folder, "project")
        git("worktree", "add", "--detach", "--quiet", str(place), revision)
        try:
            yield place
        finally:
            git("worktree", "remove", "--force", str(place))


def git(*words: str) -> None:
    subprocess.run(["git", *words], cwd=PROJECT, check=True, capture_output=True, text=True)


def learned(project: Path, method: str, seed: int) -> str:
    """Return the checksum in the record of a run of STEPS steps, over its learned parameters."""
    settings = {
        "DATASET.NUM_SHOTS": SHOTS,
        "DATALOADER.TRAIN_X.BATCH_SIZE": CLASSES * SHOTS // STEPS,
        "DATALOADER.NUM_WORKERS": 0,
        "OPTIM.MAX_EPOCH": 1,
        "OPTIM.WARMUP_EPOCH": 0,
        "TEST.NO_TEST": True,
        "USE_CUDA": False,
    }
    with TemporaryDirectory() as output:
        words = [
            *("train.py", "--seed", str(seed), "--trainer", method, "--output-dir", output),
            *("--dataset-config-file", "configs/datasets/clothing_64.yaml"),
            *("--config-file", f"configs/trainers/{method}/photo.yaml"),
            *(str(word) for pair in settings.items() for word in pair),
        ]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": ""}
        command = [sys.executable, *words]
        subprocess.run(command, cwd=project, env=environment, check=True, capture_output=True, text=True)
        return json.loads(Path(output, "run.json").read_text(encoding="utf-8"))["parameters_sha256"]


if __name__ == "__main__":
    raise SystemExit(main())
