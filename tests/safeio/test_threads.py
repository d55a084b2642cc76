"""The waiting policy is set before torch is loaded, whichever package comes first; a user's own value stays."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from runs.sweep.local import environment
from safeio import threads

ROOT = Path(__file__).parents[2]
LOOK = """
import importlib.abc, os, sys

class BeforeTorch(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print(os.environ.get("OMP_WAIT_POLICY"), os.environ.get("KMP_BLOCKTIME"))
            sys.stdout.flush()
            os._exit(0)

sys.meta_path.insert(0, BeforeTorch())
"""


def first_sight_of_torch(module: str, **given: str) -> list[str]:
    """Return both variables as they are when torch is first looked for."""
    environment = {key: value for key, value in os.environ.items() if key not in threads.WAITING}
    program = [sys.executable, "-c", f"{LOOK}\nimport {module}"]
    done = subprocess.run(program, cwd=ROOT, env=environment | given, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


MODULES = ["train", "clip", "dassl.engine", "datasets", "trainers", "inference.predictor", "mmrl.learning"]
"""Those that a command, a worker or a user imports first."""
BENCHMARKS = [
    f"benchmarks.{file.stem}"
    for file in sorted((ROOT / "benchmarks").glob("*.py"))
    if not file.stem.startswith("_") and "import torch\n" in file.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("module", [*MODULES, *BENCHMARKS])
def test_it_is_said_before_torch_is_loaded(module):
    assert first_sight_of_torch(module) == ["PASSIVE", "0"]


def test_what_the_user_says_stays():
    assert first_sight_of_torch("train", OMP_WAIT_POLICY="ACTIVE") == ["ACTIVE", "0"]


@pytest.mark.parametrize(
    ("text", "cores"),
    [("max 100000", math.inf), ("150000 100000", 1.5), ("garbage", math.inf), ("-1 100000", math.inf)],
)
def test_a_container_s_quota_limits_the_threads(text, cores, tmp_path, monkeypatch):
    file = tmp_path / "cpu.max"
    file.write_text(text)
    monkeypatch.setattr(threads, "QUOTA", file)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(48), raising=False)
    assert threads.quota() == cores
    assert threads.allowed_cores() == min(48, math.ceil(min(cores, 99)))
    own: dict[str, str] = {}
    threads.prepare(own)
    assert own.get(threads.NUMBER) == (None if cores == math.inf else "2")
    chosen = {threads.NUMBER: "7", "OMP_WAIT_POLICY": "ACTIVE"}
    threads.prepare(chosen)
    assert (chosen[threads.NUMBER], chosen["OMP_WAIT_POLICY"]) == ("7", "ACTIVE")


def test_the_older_files_of_a_quota(tmp_path, monkeypatch):
    monkeypatch.setattr(threads, "QUOTA", tmp_path / "none")
    assert threads.quota() >= 1  # this machine's, or none
    for name, value in (("OLD_QUOTA", "250000\n"), ("OLD_PERIOD", "100000\n")):
        (tmp_path / name).write_text(value)
        monkeypatch.setattr(threads, name, tmp_path / name)
    assert threads.quota() == 2.5


def test_workers_share_the_cores_unless_the_user_has_chosen(monkeypatch):
    monkeypatch.setattr(threads, "allowed_cores", lambda: 6)
    monkeypatch.setattr(threads, "GIVEN", False)
    assert environment(0, 4, ()) == {threads.NUMBER: "1"}
    assert environment(0, 2, ()) == {threads.NUMBER: "3"}
    assert environment(0, 1, ()) == {}
    monkeypatch.setattr(threads, "GIVEN", True)
    assert environment(0, 4, ()) == {}
