"""Runs of a stand-in for train.py, as processes: order, failures, kills, stops, what a second pass does."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from runs.protocol import PlanError
from runs.sweep import process
from runs.sweep.local import LocalExecutor
from runs.sweep.progress import Progress
from runs.sweep.scheduler import Drive, State, state_of
from safeio.lock import sole_use


@pytest.fixture
def sweep(tmp_path, command):
    """Runs -> what `Drive` says of them, and the folders in the order in which they were started."""

    def go(runs, workers=1, gpus=(), **options):
        executor, output = LocalExecutor(workers, gpus), tmp_path / "out"
        drive = Drive(runs, output, command, executor, None, **options)
        drive.display = display = Progress(runs, drive.states, output, workers, drive.retry_failed)
        order, display.started = [], lambda run, started=display.started: (order.append(run.folder), started(run))
        try:
            return drive.run(), order, drive.stop
        finally:
            display.close()
            executor.close()

    return go


def statuses(states: dict[str, State]) -> dict[str, str]:
    return {folder: state.status for folder, state in states.items()}


def test_a_test_follows_its_training_and_nothing_is_run_twice(sweep, job, attempts):
    runs = [job("b-test", "b"), job("a"), job("b"), job("a-test", "a")]
    states, order, _ = sweep(runs)
    assert set(statuses(states).values()) == {"complete"}
    assert order in (["a", "a-test", "b", "b-test"], ["b", "b-test", "a", "a-test"])
    states, order, _ = sweep(runs)
    assert (set(statuses(states).values()), order) == ({"complete"}, [])
    assert all(len(attempts(run.folder)) == 1 for run in runs)


def test_a_failure_stops_what_needs_it_and_nothing_else(sweep, job, attempts):
    runs = [job("fails"), job("of-it", "fails"), job("other"), job("of-other", "other")]
    states, _, _ = sweep(runs)
    expected = {"fails": "failed", "of-it": "missing", "other": "complete", "of-other": "complete"}
    assert statuses(states) == expected
    assert states["fails"].why == "ValueError: there is no image here"
    assert "fails" in states["of-it"].why
    assert statuses(sweep(runs)[0]) == expected and len(attempts("fails")) == 1
    assert set(statuses(sweep(runs, retry_failed=True)[0]).values()) == {"complete"}
    assert len(attempts("fails")) == 2 and len(attempts("other")) == 1


def test_a_killed_run_is_continued_by_the_next_pass(sweep, job, attempts):
    runs = [job("killed"), job("other")]
    states, _, _ = sweep(runs)
    assert statuses(states) == {"killed": "interrupted", "other": "complete"}
    assert "SIGKILL" in states["killed"].why
    assert statuses(sweep(runs)[0])["killed"] == "complete" and len(attempts("killed")) == 2


def test_a_record_of_a_run_that_was_killed_is_not_taken_for_a_running_one(tmp_path):
    (tmp_path / "run.json").write_text('{"status": "running"}')
    assert state_of(tmp_path).status == "interrupted"
    with sole_use(tmp_path):
        assert state_of(tmp_path) == State("running")


def test_a_folder_in_use_is_waited_for(sweep, job, attempts, monkeypatch):
    assert statuses(sweep([job("used")])[0]) == {"used": "complete"}
    assert len(attempts("used")) == 2
    monkeypatch.setattr(process.when_free, "__defaults__", (0.0,))
    states = sweep([job("used-too")])[0]
    assert states["used-too"] == State("running", "error: The folder is in use")


def test_a_run_that_another_sweep_completes_meanwhile_is_not_repeated(sweep, job, attempts, tmp_path):
    """While the first run waits, another sweep completes the other two; one of these is not what is asked for."""
    out, asked = tmp_path / "out", []

    def others():
        while not (out / "waits" / "waiting").exists():
            time.sleep(0.02)
        for name in ("same", "other"):
            (out / name).mkdir()
            (out / name / "run.json").write_text('{"status": "complete"}')
        (out / "go").touch()

    def check(run):
        asked.append(run.folder)
        if run.folder == "other":
            raise PlanError("it holds a complete run with SEED 2, not 1")

    thread = threading.Thread(target=others)
    thread.start()
    runs = [job("waits"), job("same"), job("test-of-same", "same"), job("other"), job("test-of-other", "other")]
    states, _, _ = sweep(runs, check=check)
    thread.join()
    done = {"waits": "complete", "same": "complete", "test-of-same": "complete"}
    assert statuses(states) == {**done, "other": "failed", "test-of-other": "missing"}
    assert states["other"].why == "it holds a complete run with SEED 2, not 1"
    assert (sorted(asked), attempts("same"), attempts("other")) == (["other", "same"], [], [])


def test_a_run_that_is_completed_while_it_is_waited_for_is_not_repeated(tmp_path):
    def in_use():
        (tmp_path / "run.json").write_text('{"status": "complete"}')
        return process.IN_USE

    assert process.when_free(in_use, tmp_path) == process.COMPLETED
    assert process.when_free(lambda: 0, tmp_path / "none") == 0


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_runs_and_starts_no_more(sweep, job, tmp_path, signum):
    runs = [job("waits"), job("later")]
    waiting = tmp_path / "out" / "waits" / "waiting"

    def interrupt():
        while not waiting.exists():
            time.sleep(0.02)
        os.kill(os.getpid(), signum)

    thread = threading.Thread(target=interrupt)
    thread.start()
    states, order, stop = sweep(runs)
    thread.join()
    assert statuses(states) == {"waits": "interrupted", "later": "missing"}
    assert (order, stop.signum) == (["waits"], signum)
    assert set(statuses(sweep(runs)[0]).values()) == {"complete"}


def test_workers_share_the_cards_in_turn(sweep, job, attempts):
    names = [f"run{index}" for index in range(6)]
    states, _, _ = sweep([job(name) for name in names], workers=4, gpus=["3", "5"])
    assert set(statuses(states).values()) == {"complete"}
    assert {line.split()[1] for name in names for line in attempts(name)} == {"3", "5"}


SWEEP = """
import sys
from pathlib import Path
from runs.sweep.process import start
start(sys.argv[2:], Path(sys.argv[1])).wait()
"""
LAUNCH = """
import sys
from pathlib import Path
from runs import launch
from runs.protocol import PlannedRun
launch.TRAIN = sys.argv[2:3]
launch.execute([PlannedRun("MMRL", "clothing_64", 1, "photo", "waits", None, {})], Path(sys.argv[1]).parent, "data", [])
"""


@pytest.mark.parametrize("code", [SWEEP, LAUNCH], ids=["sweep", "launch"])
def test_a_run_ends_with_its_driver(tmp_path, command, job, code):
    """The driver is killed: nobody but the kernel can tell its run."""
    if not os.path.exists("/proc"):
        pytest.skip("only Linux tells a process that its parent is gone")
    folder = tmp_path / "out" / "waits"
    folder.mkdir(parents=True)
    driver = subprocess.Popen([sys.executable, "-c", code, str(folder), *command(job("waits"))], cwd=process.PROJECT)
    deadline = time.monotonic() + 60
    while not (folder / "waiting").exists():
        assert time.monotonic() < deadline and driver.poll() is None
        time.sleep(0.02)
    driver.kill()
    driver.wait()
    while '"interrupted"' not in (folder / "run.json").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)
