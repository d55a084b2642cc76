"""The processes of a sweep are killed with SIGKILL, which nothing can catch; the same command completes the sweep.

The command line of sweep.py in a process of its own; what it runs is a stand-in for train.py.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runs.record import read_record
from runs.sweep.process import PROJECT
from runs.sweep.scheduler import state_of

PATIENCE = 60
"""Seconds after which a test gives up."""
SWEEP = """
import sys, sweep
script, *words = sys.argv[1:]
sweep.command_of = lambda run, args: [script, "--output-dir", str(args.output.absolute() / run.folder)]
raise SystemExit(sweep.main(words))
"""
RUNS = {
    (method, stage): f"base2new/{stage}/clothing_64/shots_16/{method}/photo/seed1"
    for method in ("MMRL", "CoOp")
    for stage in ("train_base", "test_new")
}
HELD = RUNS["CoOp", "train_base"]


@pytest.fixture
def sweep(tmp_path, command, job):
    """Starts the sweep of two methods; the second's training waits in its first attempt."""
    script, _, _ = command(job("any"))
    Path(script).with_name("fates").write_text(f"{HELD}: waits")
    words = ["base2new", "--methods", "MMRL", "CoOp", "--datasets", "clothing_64", "--seeds", "1"]
    call = [sys.executable, "-c", SWEEP, script, *words, "--output", str(tmp_path / "out")]
    return lambda: subprocess.Popen(call, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(happened):
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def statuses(output):
    return {which: state_of(output / folder).status for which, folder in RUNS.items()}


@pytest.mark.parametrize("victim", ["driver", "run"])
def test_the_same_command_runs_again_what_was_in_flight_and_nothing_else(sweep, tmp_path, attempts, victim):
    if victim == "driver" and not os.path.exists("/proc"):
        pytest.skip("only Linux tells a process that its parent is gone")
    output, driver = tmp_path / "out", sweep()
    waiting = output / HELD / "waiting"
    wait_for(lambda: waiting.exists() and waiting.read_text())
    os.kill(driver.pid if victim == "driver" else int(waiting.read_text()), signal.SIGKILL)
    said, errors = driver.communicate(timeout=PATIENCE)
    if victim == "run":
        assert driver.returncode == 1 and "4 runs: 2 complete, 1 interrupted, 1 missing" in said
        assert "SIGKILL" in errors and f"the training it tests, {HELD}, is interrupted" in errors
    else:  # the kernel tells the run, which puts that on record
        wait_for(lambda: (read_record(output / HELD) or {}).get("status") == "interrupted")
    expected = dict.fromkeys(RUNS, "complete") | {
        ("CoOp", "train_base"): "interrupted",
        ("CoOp", "test_new"): "missing",
    }
    assert statuses(output) == expected

    again = sweep()
    said, errors = again.communicate(timeout=PATIENCE)
    assert (again.returncode, errors) == (0, "") and said.endswith("4 runs: 4 complete\n")
    assert set(statuses(output).values()) == {"complete"}
    assert {folder: len(attempts(folder)) for folder in RUNS.values()} == dict.fromkeys(RUNS.values(), 1) | {HELD: 2}
