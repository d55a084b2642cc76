"""Inject faults into real training runs and print what is lost: `python -m tools.inject_faults [--only SCENARIO ...]`.

Each scenario starts `train.py` as a process of its own, does something to it (or to its files, disk, machine), starts
the same command again until the run is complete, and compares the learned parameters, bit by bit, with those of a run
that was left alone. Prints the table of docs/reliability.md. Scenarios with full disks (tmpfs mounts) or another user
need root; without it their rows say so.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from tools.faults import files, processes, surroundings
from tools.faults.bench import HERE, Bench, Fault, Row

SCENARIOS: dict[str, tuple[Callable, int]] = {  # with how often: --kills divided by this
    "kill": (processes.kill_any_time, 1),
    "writing": (processes.kill_while_writing, 2),
    "epochs": (processes.kill_with_default_steps, 10),
    "signals": (processes.ask_to_stop, 6),
    "testing": (processes.stop_in_test, 10),
    "worker": (processes.kill_workers, 6),
    "worker_in_test": (processes.kill_workers_in_test, 6),
    "torchrun": (processes.torchrun_killed, 10),
    "prepare": (processes.prepare_killed, 6),
    "report": (processes.report_killed, 3),
    "damage": (files.damage, 1),
    "nth": (files.nth_write, 2),
    "full": (files.disk_full, 6),
    "readonly": (files.read_only, 10),
    "workers": (surroundings.other_workers, 10),
    "user": (surroundings.container_user, 15),
    "lock": (surroundings.two_at_once, 10),
    "clock": (surroundings.clock_backwards, 10),
    "ray": (surroundings.lose_a_machine, 30),
    "ray_workers": (surroundings.no_workers, 30),
}


def main(arguments: list[str] | None = None) -> int:
    """Inject, print the table; the exit status says whether anything was lost."""
    parser = argparse.ArgumentParser(prog="tools.inject_faults", description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "--kills",
        type=int,
        default=30,
        help="number of kills at random moments; other faults in proportion (default: 30)",
    )
    parser.add_argument(
        "--only", nargs="+", choices=SCENARIOS, default=list(SCENARIOS), help="scenarios to run (default: all)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the random moments (default: 0)")
    parser.add_argument(
        "--project", type=Path, default=HERE, help="folder of another revision of the code to test (default: this one)"
    )
    options = parser.parse_args(arguments)
    print("| injected | times | what the run does | runs that ended differently |\n|---|---|---|---|", flush=True)
    lost = 0
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), options.seed, options.project.absolute())
        for name in options.only:
            scenario, divisor = SCENARIOS[name]
            try:
                rows = scenario(bench, max(1, options.kills // divisor))
                for row in [rows] if isinstance(rows, Row) else rows:
                    print(f"| {' | '.join(map(str, row))} |", flush=True)
                    lost += row.lost
            except Fault as fault:
                print(f"| {name} | - | FAULT: {' '.join(str(fault).split())} | 1 |", flush=True)
                lost += 1
            except subprocess.CalledProcessError as error:
                print(f"| {name} | 0 | not possible here: {' '.join(error.cmd[:3])} failed | - |", flush=True)
    return 1 if lost else 0


if __name__ == "__main__":
    raise SystemExit(main())
