"""A cluster that runs nothing: said within a stated time. Ray itself is a stand-in here, which is always installed."""

import sys
import time
import types
from concurrent.futures import Future

import pytest

from runs.protocol import PlanError
from runs.sweep import ray_cluster
from runs.sweep.ray_cluster import RayExecutor
from runs.sweep.scheduler import Drive


class Task:
    """A remote function: what `answer` returns for a call comes true; None never does."""

    def __init__(self, answer):
        self.answer = answer

    def options(self, **how):
        return self

    def remote(self, *words):
        return Reference(self.answer(*words))


class Reference:
    def __init__(self, answer):
        self.answer = answer

    def future(self) -> Future:
        future = Future()
        if self.answer is not None:
            future.set_result(self.answer)
        return future


class Ray(types.ModuleType):
    """A cluster of machines with a CPU each; `starts` says whether it starts workers: True, an error, or None (never).

    Attributes:
        alive: addresses of its machines.
    """

    def __init__(self, alive, starts=True):
        super().__init__("ray")
        self.alive, self.starts, self.left = alive, starts, False
        self.exceptions = types.SimpleNamespace(TaskCancelledError=type("TaskCancelledError", (Exception,), {}))

    def init(self, **how):
        self.how = how

    def nodes(self):
        if isinstance(self.alive, Exception):
            raise self.alive
        return [{"NodeID": a, "NodeManagerAddress": a, "Alive": True, "Resources": {"CPU": 1.0}} for a in self.alive]

    def remote(self, **how):
        greeting = "max_retries" in how and how["max_retries"] == 0
        return lambda function: Task((lambda *words: self.starts) if greeting else (lambda *words: None))

    def wait(self, references, num_returns, timeout):
        ready = [one for one in references if one.answer is not None]
        return ready, [one for one in references if one.answer is None]

    def get(self, reference):
        if isinstance(reference.answer, Exception):
            raise reference.answer
        return reference.answer

    def cancel(self, task):
        pass

    def shutdown(self):
        self.left = True


@pytest.fixture
def cluster(monkeypatch):
    """Make the stand-in of a cluster the package that is imported; return it."""

    def make(alive, starts=True) -> Ray:
        ray, strategies = Ray(alive, starts), types.ModuleType("ray.util.scheduling_strategies")
        strategies.NodeAffinitySchedulingStrategy = lambda node, soft: node
        for name, module in {
            "ray": ray,
            "ray.util": types.ModuleType("ray.util"),
            strategies.__name__: strategies,
        }.items():
            monkeypatch.setitem(sys.modules, name, module)
        return ray

    return make


@pytest.fixture(autouse=True)
def connected(monkeypatch):
    """The process that connects first has no stand-in of Ray: it ends at once."""
    monkeypatch.setattr(ray_cluster, "CONNECT", "pass")


def test_a_connection_that_waits_without_end_is_said(cluster, monkeypatch):
    monkeypatch.setattr(ray_cluster, "CONNECT", "import time; time.sleep(60)")
    monkeypatch.setattr(ray_cluster, "WORKER_PATIENCE", 0.5)
    cluster(["10.0.0.7"])
    with pytest.raises(PlanError, match=r"cluster at auto: connecting took more than .* same packages"):
        RayExecutor("auto")


def test_workers_that_never_start_are_said(cluster):
    ray = cluster(["10.0.0.7"], starts=None)
    with pytest.raises(PlanError, match=r"on 10\.0\.0\.7: no worker started within 120 s.*same packages.*logs there"):
        RayExecutor("auto")
    assert ray.left


def test_a_worker_that_ends_in_an_error_is_said(cluster):
    ray = cluster(["10.0.0.7"], starts=RuntimeError("No module named 'msgpack'\n\x1b[31mmore"))
    with pytest.raises(PlanError, match=r"RuntimeError: No module named 'msgpack'\. Its Python"):
        RayExecutor("auto")
    assert ray.left


def test_a_cluster_without_room_is_left(cluster):
    ray = cluster(["10.0.0.7"])
    with pytest.raises(PlanError, match=r"No machine of the cluster has \{'GPU': 1"):
        RayExecutor("auto", gpus=1)
    assert ray.left


@pytest.mark.parametrize("after", [[], ConnectionError("no answer")], ids=["no machine", "nobody answers"])
def test_runs_of_a_cluster_that_is_gone_end_with_a_message(after, cluster, job, command, tmp_path, monkeypatch):
    monkeypatch.setattr(ray_cluster, "LOOK", 0.01)
    monkeypatch.setattr(ray_cluster, "MACHINE_PATIENCE", 0.2)
    ray = cluster(["10.0.0.7"])
    executor = RayExecutor("auto")

    class Lose:
        def started(self, run):
            ray.alive = after

        def ended(self, run, state):
            pass

        def tick(self):
            pass

    began = time.monotonic()
    states = Drive([job("one"), job("two"), job("test", "one")], tmp_path, command, executor, Lose()).run()
    executor.close()
    assert time.monotonic() - began < 30
    assert {state.status for folder, state in states.items() if folder != "test"} == {"failed"}
    assert all("no machine of the Ray cluster" in states[name].why for name in ("one", "two"))
    assert states["test"].status == "missing"


def test_a_machine_that_comes_back_in_time_is_waited_for(cluster, monkeypatch):
    monkeypatch.setattr(ray_cluster, "LOOK", 0.01)
    monkeypatch.setattr(ray_cluster, "MACHINE_PATIENCE", 5.0)
    ray = cluster(["10.0.0.7"])
    executor = RayExecutor("auto")
    answer = executor.submit(["train"], "folder")
    ray.alive = []
    time.sleep(0.2)
    ray.alive = ["10.0.0.8"]
    time.sleep(0.2)
    assert not answer.done()
    executor.close()
