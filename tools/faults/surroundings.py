"""Surroundings that change: the clock, the number of loader processes, the user, a second process, the cluster."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time

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
        expect(bench, output, bench.start(output), {75}, f"in use by process {first.pid} on")
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


def lose_a_machine(bench: Bench, times: int) -> Row:
    """One of two machines of a Ray cluster, simulated on this one, is lost while both train."""
    try:
        from ray.cluster_utils import Cluster
    except ImportError as error:
        raise subprocess.CalledProcessError(1, ["import", "ray"]) from error
    machine = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    settings = [f"{key}={value}" for key, value in SETTINGS.items() if key != "DATASET.NAME"]
    words = ["sweep.py", "few_shot", "--methods", "CoOp", "--datasets", "folder", "--root", str(bench.images)]
    words += ["--seeds", "1", "2", "--shots", "2", *settings, f"MODEL.BACKBONE.NAME={bench.clip}"]
    lost = 0
    for _ in range(times):
        alone, output = bench.new(), bench.new()
        command = [sys.executable, *words, "--output"]
        subprocess.run([*command, str(alone)], cwd=bench.project, check=True, stdout=subprocess.DEVNULL)
        cluster = Cluster(initialize_head=True, head_node_args=machine)
        try:
            second = cluster.add_node(**machine)
            cluster.wait_for_nodes()
            process = subprocess.Popen(
                [*command, str(output), "--executor", "ray", "--address", cluster.address], cwd=bench.project
            )
            wait_for(lambda output=output: len(list(output.rglob("resume.pth"))) == 2)
            cluster.remove_node(second, allow_graceful=False)
            if status := process.wait(PATIENCE):
                raise Fault(f"the sweep ended with {status}")
        finally:
            cluster.shutdown()
        for record in alone.rglob("run.json"):
            there = output / record.parent.relative_to(alone)
            checksums = [(read_record(folder) or {}).get("parameters_sha256") for folder in (record.parent, there)]
            lost += not done(there) or checksums[0] != checksums[1]
    return Row("a machine of a Ray cluster of two lost", times, "its run goes on on the other", lost)
