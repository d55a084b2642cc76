"""Run a whole table of results as a user does, on images without content, and print where its time goes.

    python benchmarks/table.py --method MMRL --protocol base2new --scale 0.02

The benchmark writes the protocol's datasets as JPEGs of their usual sizes, with their numbers of classes, of training
images and of test images, and starts `sweep.py` on them; the backbone has random weights. `--scale` takes that fraction
of the classes, the images and the shots, at least one of each. Settings (KEY=VALUE) apply to every run. Class names are
the datasets' own, except for Food101, FGVCAircraft and SUN397, which get ImageNet's.

It prints, for each run and summed, the seconds of the processor and of the clock in each phase (`dassl.utils.phases`),
and the time between the runs: the start of the sweep, its plan and the ends of processes. Where runs are forked, the
imports happen once for all runs and are measured in a process that does nothing else; where they are not, each run's
`start` contains them.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks._command import add_device, add_method, command, run

PROTOCOLS = ("base2new", "cross_dataset", "few_shot")
"""Those that need the eleven benchmarks only."""


def fraction(text: str) -> float:
    """The type of `--scale`."""
    if not 0 < (value := float(text)) <= 1:
        raise argparse.ArgumentTypeError("a fraction is above 0 and at most 1")
    return value


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = command(__doc__)
    add_method(parser, classes=False)
    parser.add_argument("--protocol", default="base2new", choices=PROTOCOLS, help="default: base2new")
    parser.add_argument(
        "--scale", type=fraction, default=1.0, help="fraction of classes, images and shots (default: 1)"
    )
    add_device(parser)
    parser.add_argument("--datasets", nargs="+", help="default: all of the protocol")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3], help="default: 1 2 3")
    parser.add_argument("--shots", type=int, default=16, help="training images of each class (default: 16)")
    parser.add_argument("--workers", type=int, default=1, help="runs at a time (default: 1)")
    parser.add_argument("options", nargs="*", help="settings of all runs, as KEY=VALUE")
    return parser


if __name__ == "__main__":  # --help and a wrong option are answered before torch is loaded
    make_parser().parse_args()

from safeio import threads  # noqa: F401, I001  (before torch)

import torch
from tabulate import tabulate

from benchmarks._synthetic_benchmarks import benchmark, make
from benchmarks._trainers import random_weights
from dassl.engine import TRAINER_REGISTRY
from dassl.utils.phases import PHASES
from runs.protocol import CONFIGS, load_protocol
from runs.record import COMPLETE, load_record
from runs.sweep import warm
from safeio.errors import UserError

KINDS = ("clock", "processor")
NONE = (0.0, 0.0)
Seconds = tuple[float, float]
"""By the clock, and of the processor."""


def settings(args: argparse.Namespace, weights: Path) -> list[str]:
    """Return the words KEY=VALUE for all runs."""
    given = {"MODEL.BACKBONE.NAME": str(weights)}
    node = getattr(TRAINER_REGISTRY.get(args.method), "settings_node", "")
    if node and args.device == "cpu":
        given[f"TRAINER.{node}.PREC"] = "fp32"
    if args.device == "cpu" and torch.cuda.is_available():
        given["USE_CUDA"] = "False"
    own = dict(word.split("=", 1) for word in args.options)
    return [f"{key}={value}" for key, value in {**given, **own}.items()]


def measure(args: argparse.Namespace) -> dict:
    """Write the data, run the sweep, print the table of its runs, return the sums."""
    shots = max(1, round(args.shots * args.scale))
    names = args.datasets or load_protocol(args.protocol)["datasets"]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name in dict.fromkeys([*names, *(["imagenet"] if args.protocol == "cross_dataset" else [])]):
            make(folder / "data", benchmark(name).scaled(args.scale, shots))
        weights = random_weights(args.backbone, folder)
        words = [args.protocol, "--methods", args.method, "--datasets", *names, "--shots", shots, "--workers"]
        words += [args.workers, "--root", folder / "data", "--output", folder / "out"]
        words += ["--seeds", *args.seeds, *settings(args, weights)]
        environment = os.environ | {"CROP_CACHE": str(folder / "crops")}
        imports = import_seconds() if warm.POSSIBLE else None
        before, began = processor_seconds(), time.perf_counter()
        call = [sys.executable, CONFIGS.parent / "sweep.py", *words]
        done = subprocess.run([str(word) for word in call], env=environment, capture_output=True, text=True)
        clock, processor = time.perf_counter() - began, processor_seconds() - before
        records = {path.parent: load_record(path) for path in sorted((folder / "out").rglob("run.json"))}
        if done.returncode or not records:
            said = [(path / "console.txt").read_text() for path, r in records.items() if r["status"] != COMPLETE]
            raise UserError(f"sweep.py ended with status {done.returncode}: {done.stderr}\n{''.join(said[:1])}")
        runs = {str(path.relative_to(folder / "out")): record for path, record in records.items()}
    return totals(runs, clock, processor, imports)


def totals(runs: dict[str, dict], clock: float, processor: float, imports: Seconds | None = None) -> dict:
    """Print a row for each run and a table of the sums; return each phase's seconds by the clock and of the processor.

    Args:
        runs: records by their folder.
        clock, processor: seconds of the whole sweep.
        imports: what the process that forks the runs imports takes; None: each run imports by itself.
    """
    phases = [phase for phase in PHASES if any(phase in record["phases"] for record in runs.values())]
    rows = []
    for record in runs.values():
        cells = {phase: record["phases"].get(phase, NONE) for phase in phases}
        cells["all"] = [sum(seconds) for seconds in zip(*cells.values(), strict=True)]
        name = f"{record['stage']} {record['dataset']} {record['seed']}"
        rows.append({"run": name} | {phase: f"{s:.2f} ({c:.2f})" for phase, (c, s) in cells.items()})
    print("Processor seconds of each run, in brackets by the clock:")
    print(tabulate(rows, headers="keys"))
    sums = {p: [sum(r["phases"].get(p, NONE)[i] for r in runs.values()) for i in (0, 1)] for p in PHASES}
    if imports:
        sums["imports, once"] = list(imports)
    sums["between runs"] = [clock - sum(c for c, _ in sums.values()), processor - sum(s for _, s in sums.values())]
    sums["all"] = [clock, processor]
    rows = [[phase, *seconds, 100 * seconds[1] / processor] for phase, seconds in sums.items()]
    print(tabulate(rows, headers=["phase", "clock, s", "processor, s", "part, %"], floatfmt=".2f"))
    found: dict[str, object] = {"runs": len(runs)}
    return found | {f"{p}, {kind} s": s for p, both in sums.items() for kind, s in zip(KINDS, both, strict=True)}


def import_seconds() -> Seconds:
    """Return the seconds to import all that a run needs, in a process of its own with its start and end."""
    before, began = processor_seconds(), time.perf_counter()
    subprocess.run([sys.executable, "-c", "import train"], cwd=CONFIGS.parent, check=True)
    return time.perf_counter() - began, processor_seconds() - before


def processor_seconds() -> float:
    """Return the processor seconds of all child processes that have ended, and of their children."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> int:
    """Do what the command line asks for; returns the exit status."""
    return run(make_parser(), measure)


if __name__ == "__main__":
    raise SystemExit(main())
