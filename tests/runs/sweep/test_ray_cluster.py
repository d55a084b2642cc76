"""Runs of a stand-in on a real Ray cluster of two machines, simulated on this one; one of them is lost."""

import os
import signal
import threading
import time

import pytest

from runs.protocol import PlanError
from runs.sweep.progress import Progress
from runs.sweep.scheduler import Drive

pytest.importorskip("ray", reason="'.[ray]'")
pytestmark = pytest.mark.extras
MACHINE = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
PATIENCE = 60
"""Seconds after which a test gives up."""


def wait_for(happened):
    deadline = time.monotonic() + PATIENCE
    while not happened() and time.monotonic() < deadline:
        time.sleep(0.1)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def cluster():
    from ray.cluster_utils import Cluster

    found = Cluster(initialize_head=True, head_node_args=MACHINE)
    try:
        yield found
    finally:
        found.shutdown()


@pytest.fixture
def sweep(cluster, tmp_path, command):
    """Runs, and what is done while those named `waits` wait -> the states, the signal that stopped it."""
    from runs.sweep.ray_cluster import RayExecutor

    def go(runs, meanwhile):
        executor, output = RayExecutor(cluster.address), tmp_path / "out"
        waiting = [output / run.folder / "waiting" for run in runs if run.folder.startswith("waits")]

        def act():
            wait_for(lambda: all(file.exists() for file in waiting))
            meanwhile(executor)

        drive = Drive(runs, output, command, executor, None)
        drive.display = Progress(runs, drive.states, output, executor.width)
        thread = threading.Thread(target=act)
        thread.start()
        try:
            return drive.run(), drive.stop.signum
        finally:
            thread.join()
            drive.display.close()
            executor.close()

    return go


def test_runs_of_a_lost_machine_are_run_on_another(cluster, sweep, job, attempts, tmp_path):
    second = cluster.add_node(**MACHINE)
    cluster.wait_for_nodes()

    def lose_a_machine(executor):
        assert executor.width == 2
        cluster.remove_node(second, allow_graceful=False)
        wait_for(lambda: not all(alive(int(attempts(name)[0].split()[0])) for name in waiting))
        (output / "go").touch()

    output, waiting = tmp_path / "out", ("waits0", "waits1")
    runs = [*map(job, waiting), job("test", "waits1"), job("fails"), job("of-it", "fails")]
    states, _ = sweep(runs, lose_a_machine)
    found = {folder: state.status for folder, state in states.items()}
    assert found.pop("fails") == "failed" and found.pop("of-it") == "missing"
    assert found == {"waits0": "complete", "waits1": "complete", "test": "complete"}
    assert sorted(len(attempts(name)) for name in waiting) == [1, 2]
    assert states["fails"].why == "ValueError: there is no image here"


def test_a_signal_lets_runs_save_and_takes_back_the_others(sweep, job, attempts):
    states, signum = sweep([job("waits"), job("queued")], lambda executor: signal.raise_signal(signal.SIGINT))
    assert {folder: state.status for folder, state in states.items()} == {"waits": "interrupted", "queued": "missing"}
    assert signum == signal.SIGINT and not attempts("queued")


def test_what_no_machine_has_is_said(cluster):
    from runs.sweep.ray_cluster import RayExecutor

    with pytest.raises(PlanError, match="--cpus-per-run"):
        RayExecutor(cluster.address, cpus=64)
