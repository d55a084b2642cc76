"""Runs that are forked from a warm process are as if Python had been started for each."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from runs.record import read_record
from runs.sweep import warm
from runs.sweep.local import LocalExecutor
from runs.sweep.process import PROJECT, TRAIN, last_line, start

pytestmark = pytest.mark.skipif(not warm.POSSIBLE, reason="runs are forked on Linux only")

SCRIPT = """
import json, os, random, signal, sys, time
from pathlib import Path

word, folder = sys.argv[1], Path(sys.argv[2])
about = {"pid": os.getpid(), "server": os.getppid(), "draw": random.random(), "cwd": os.getcwd(), "argv": sys.argv}
about |= {"left": getattr(json, "left", None), "variable": os.environ.get("LEFT"), "name": __name__}
about |= {"term": str(signal.getsignal(signal.SIGTERM)), "session": os.getsid(0)}
json.left = os.environ["LEFT"] = word
os.chdir("/")
(folder / "about.json").write_text(json.dumps(about))
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
print("said by", word)
if word == "aborts":
    os.abort()
if word == "raises":
    raise ValueError("nothing there")
while word == "waits":
    time.sleep(0.02)
"""


@pytest.fixture
def executor():
    executor = LocalExecutor()
    yield executor
    executor.close()


@pytest.fixture
def ask(executor, tmp_path):
    """Word, name of a folder -> a run's future."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    return lambda word, name: executor.submit([str(script), word, str(tmp_path / name)], tmp_path / name)


def about(folder: Path) -> dict:
    deadline = time.monotonic() + 60
    while not (folder / "about.json").exists() or not (text := (folder / "about.json").read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return json.loads(text)


def test_a_run_finds_nothing_of_those_before_it(ask, tmp_path):
    assert [ask(word, word).result() for word in ("first", "raises", "aborts", "last")] == [0, 1, -signal.SIGABRT, 0]
    found = [about(tmp_path / word) for word in ("first", "raises", "aborts", "last")]
    assert len({one["server"] for one in found}) == 1 and len({one["pid"] for one in found}) == 4
    assert len({one["draw"] for one in found}) == 4, "without a seed each run draws its own numbers"
    for one in found:
        assert (one["left"], one["variable"], one["cwd"], one["name"]) == (None, None, os.getcwd(), "__main__")
        assert one["term"] == str(signal.SIG_DFL) and one["session"] == one["pid"]
        assert one["argv"][1:] == [Path(one["argv"][2]).name, one["argv"][2]]
    assert last_line(tmp_path / "last") == "said by last"
    assert last_line(tmp_path / "raises") == "ValueError: nothing there"


def test_a_server_that_is_killed_costs_its_run_and_is_replaced(ask, tmp_path):
    lost = ask("waits", "lost")
    server = about(tmp_path / "lost")["server"]
    time.sleep(0.2)  # until the run listens to signals
    os.kill(server, signal.SIGKILL)
    assert lost.result(timeout=60) == 143
    assert ask("first", "next").result(timeout=60) == 0
    assert about(tmp_path / "next")["server"] != server


def test_it_gets_ready_before_the_first_run(ask, executor, tmp_path):
    executor.warm_up([*TRAIN, "--trainer", "nobody's"])
    server = executor._server
    assert ask("first", "first").result(timeout=60) == 0
    assert executor._server is server and about(tmp_path / "first")["server"] == server.process.pid


def test_a_run_is_asked_to_stop(ask, executor, tmp_path):
    run = ask("waits", "stopped")
    about(tmp_path / "stopped")
    time.sleep(0.2)
    executor.stop()
    assert run.result(timeout=60) == 7


METHODS = ("MMRL", "CoOp", "TipAdapter", "MMRL")
SAME = ("status", "metrics", "parameters_sha256", "calibration", "classes", "config", "origins", "trainable_params")


def words(method: str, seed: int, folder: Path) -> list[str]:
    files = {"--config-file": f"trainers/{method}/photo.yaml", "--dataset-config-file": "datasets/caltech101_64.yaml"}
    given = [word for flag, file in files.items() for word in (flag, str(PROJECT / "configs" / file))]
    given += ["--root", "none", "--trainer", method, "--seed", str(seed), "--output-dir", str(folder)]
    return [*TRAIN, *given, "--train-epoch", "1", "DATASET.NUM_SHOTS=1", "DATASET.SUBSAMPLE_CLASSES=new"]


def test_methods_and_seeds_learn_the_same_numbers_as_in_processes_of_their_own(executor, tmp_path):
    folder = tmp_path / "runs"  # the same for both: a record names it
    found: dict[str, list[dict]] = {}
    for how in ("warm", "own"):
        for number, method in enumerate(METHODS):
            command, place = words(method, number + 1, folder / str(number)), folder / str(number)
            status = executor.submit(command, place).result() if how == "warm" else start(command, place).wait()
            assert status == 0, (place / "console.txt").read_text()
            found.setdefault(how, []).append(read_record(place))
        folder.rename(tmp_path / how)
    for warm_record, own in zip(found["warm"], found["own"], strict=True):
        assert {key: warm_record[key] for key in SAME} == {key: own[key] for key in SAME}
