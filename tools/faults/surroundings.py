"""Surroundings that change: the clock, the number of loader processes, the user, a second process, the cluster."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from runs.record import read_record
from tools.faults.bench import PATIENCE, SETTINGS, Bench, Fault, Row, done, expect, wait_for

NOBODY = 54321
"""A user id that has no name and no home."""
AS_NOBODY = [
    *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),  # Python may lie in the home of root
]
BACKWARDS = """
import time, sys
real, began = time.time, time.time()
time.time = lambda: real() if real() < began + {after} else real() - 86400
sys.argv = ["train.py", *sys.argv[1:]]
import train
raise SystemExit(train.main())
"""


def two_at_once(bench: Bench, times: int) -> Row:
    """A second process on the folder of a running one."""
    lost = 0
    for _ in range(times):
        output = bench.new()
        first = bench.start(output)
        wait_for(lambda output=output: (output / "run.json").is_file())
        first.send_signal(signal.SIGSTOP)  # else it may be complete before the second process has started
        expect(bench, output, bench.start(output), {75}, f"in use by process {first.pid} on")
        first.send_signal(signal.SIGCONT)
        expect(bench, output, first, {0})
        lost += read_record(output)["parameters_sha256"] != bench.wanted
    return Row("a second process on the same output folder", times, "names the first and leaves, exit status 75", lost)


def clock_backwards(bench: Bench, times: int) -> Row:
    """The clock falls back by a day in training, and files of the run are dated into the future."""
    lost = 0
    for _ in range(times):
        output = bench.new()
        process = bench.start(output, BACKWARDS.format(after=bench.dice.uniform(0, bench.seconds)))
        bench.training(output, process)
        process.kill()
        process.wait()
        for path in output.rglob("*"):
            os.utime(path, (time.time() + 3e7, time.time() + 3e7))
        expect(bench, output, bench.start(output, BACKWARDS.format(after=bench.seconds / 2)), {0})
        lost += read_record(output)["parameters_sha256"] != bench.wanted
    return Row("clock a day back in training, files dated ahead", times, "no effect", lost)


def other_workers(bench: Bench, times: int) -> Row:
    """A killed run is continued with another number of loader processes."""
    lost = 0
    for number in range(times):
        output = bench.new()
        bench.half_done(output)
        words = bench.words(output, "DATALOADER.NUM_WORKERS", (0, 1, 3)[number % 3])
        expect(bench, output, bench.start(output, words=words), {1, 2}, "error: ", "DATALOADER.NUM_WORKERS")
        lost += bench.lost(output)
    return Row("continued with another DATALOADER.NUM_WORKERS", times, "refuses, with both numbers", lost)


def container_user(bench: Bench, times: int) -> Row:
    """A user without a name and a home, who may write to the run's folder alone."""
    if os.getuid() or shutil.which("setpriv") is None:
        raise subprocess.CalledProcessError(1, ["setpriv"])
    lost = 0
    bench.folder.chmod(0o755)
    for number in range(times):
        output = bench.new()
        output.mkdir()
        os.chown(output, NOBODY, NOBODY)
        environment = {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1"}
        environment |= {"HOME": "/nonexistent"} if number % 2 else {}
        expect(bench, output, bench.start(output, before=AS_NOBODY, env=environment), {0})
        lost += (read_record(output) or {}).get("parameters_sha256") != bench.wanted
    return Row("a user without name, home and cache folder", times, "trains", lost)


BROKEN_WORKERS = """
import sys
if any(word.endswith("default_worker.py") for word in sys.orig_argv):
    raise SystemExit("a package is missing")
"""
"""A `sitecustomize.py` of machines whose Python lacks what Ray's workers need."""
VARIABLES = {"RAY_worker_niceness": "0"}
"""Else Ray gives its workers, and so the runs, what other programs leave of a busy machine."""
MACHINE = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "env_vars": VARIABLES}
ANSWER = 300.0
"""Seconds within which a sweep has to say that its cluster runs nothing: its own patience, and a busy start."""


def lose_a_machine(bench: Bench, times: int) -> Iterator[Row]:
    """Machines of a Ray cluster, simulated on this one: one of two is lost while both train, and the only one."""
    _need_ray()
    lost = 0
    for _ in range(times):
        alone, output = bench.new(), bench.new()
        subprocess.run(_sweep(bench, alone), cwd=bench.project, check=True, stdout=subprocess.DEVNULL)
        with _cluster(MACHINE) as cluster:
            second = cluster.add_node(**MACHINE)
            cluster.wait_for_nodes()
            process = _on_cluster(bench, output, cluster)
            wait_for(lambda output=output: len(list(output.rglob("resume.pth"))) == 2)
            cluster.remove_node(second, allow_graceful=False)
            if status := process.wait(PATIENCE):
                raise Fault(f"the sweep ended with {status}: {bench.said(output).read_text(encoding='utf-8')[-1500:]}")
        lost += _differ(alone, output)
    yield Row("a machine of a Ray cluster of two lost", times, "its run continues on the other", lost)
    lost = 0
    for _ in range(times):
        output = bench.new()
        with _cluster(MACHINE | {"num_cpus": 0}) as cluster:
            only = cluster.add_node(**MACHINE)
            cluster.wait_for_nodes()
            process = _on_cluster(bench, output, cluster)
            wait_for(lambda output=output: list(output.rglob("resume.pth")))
            cluster.remove_node(only, allow_graceful=False)
            expect(bench, output, process, {1}, "no machine of the Ray cluster", within=ANSWER)
        with _cluster(MACHINE) as cluster:
            expect(bench, output, _on_cluster(bench, output, cluster), {0})
        lost += _differ(alone, output)
    yield Row("the only machine of a Ray cluster lost", times, "says so within 2 minutes; continues on another", lost)


def no_workers(bench: Bench, times: int) -> Row:
    """A machine of a Ray cluster whose Python cannot start workers."""
    _need_ray()
    folder = bench.folder / "broken"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(BROKEN_WORKERS, encoding="utf-8")
    for _ in range(times):
        output = bench.new()
        with _cluster(MACHINE | {"env_vars": VARIABLES | {"PYTHONPATH": str(folder)}}) as cluster:
            process = _on_cluster(bench, output, cluster)
            expect(bench, output, process, {2}, "error: Ray cannot run anything on the cluster", within=ANSWER)
        if list(output.rglob("run.json")):
            raise Fault("a run began on a cluster that starts no worker")
    return Row("a Ray cluster whose workers cannot start", times, "says so within 2 minutes, exit status 2", 0)


def _need_ray() -> None:
    if find_spec("ray") is None:
        raise subprocess.CalledProcessError(1, ["import", "ray"])


@contextlib.contextmanager
def _cluster(head: dict[str, Any]) -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        yield cluster
    finally:
        cluster.shutdown()


def _sweep(bench: Bench, output: Path) -> list[str]:
    """Return the command of a sweep of two runs."""
    decided = ("DATASET.NAME", "DATASET.SUBSAMPLE_CLASSES")  # by the protocol
    settings = [f"{key}={value}" for key, value in SETTINGS.items() if key not in decided]
    words = [sys.executable, "sweep.py", "few_shot", "--methods", "CoOp", "--datasets", "folder", "--seeds", "1", "2"]
    words += ["--shots", "2", "--root", str(bench.images), *settings, f"MODEL.BACKBONE.NAME={bench.clip}"]
    return [*words, "--output", str(output)]


def _on_cluster(bench: Bench, output: Path, cluster: Any) -> subprocess.Popen:
    with open(bench.said(output), "a", encoding="utf-8") as said:
        words = [*_sweep(bench, output), "--executor", "ray", "--address", cluster.address]
        return subprocess.Popen(words, cwd=bench.project, stdout=said, stderr=said)


def _differ(alone: Path, output: Path) -> int:
    """Return how many runs of a sweep did not end as those of the other."""
    count = 0
    for record in alone.rglob("run.json"):
        there = output / record.parent.relative_to(alone)
        checksums = [(read_record(folder) or {}).get("parameters_sha256") for folder in (record.parent, there)]
        count += not done(there) or checksums[0] != checksums[1]
    return count
