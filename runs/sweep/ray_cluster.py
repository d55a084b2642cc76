"""Runs on a cluster: Ray places them, and restarts the runs of a lost machine on another.

All machines see the project, the data and the output folder under the same paths, and have the same environment.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from pathlib import Path

from runs.protocol import PlanError
from runs.sweep.process import PACKAGE, PROJECT, start, when_free

WORKER_PATIENCE = 120.0
"""Seconds within which each machine of a cluster has to start a worker."""
CONNECT = "import ray, sys; ray.init(address=sys.argv[1], log_to_driver=False)"
"""Connects to a cluster, in its own process: Ray's connection waits without end where the head starts no worker."""
MACHINE_PATIENCE = 120.0
"""Seconds that runs wait for a machine when the last one that has room for a run is lost."""
LOOK = 5.0
"""Seconds between two looks at the cluster's machines."""
LOST_MACHINES = 5
"""Number of times that a run is begun again elsewhere, each time from its last checkpoint."""


class RayExecutor:
    """Executor whose runs are Ray tasks, each of which starts a process on its machine.

    Args:
        address: of the cluster, `auto` for the one that this machine belongs to; None: a cluster of this machine only.
        gpus, cpus: number of GPUs and CPU cores of a run; runs with a fraction of a GPU share one.

    Attributes:
        width: runs at a time on the machines there are now; room: None, since Ray keeps the queue.

    Raises:
        PlanError: Ray is not installed, there is no cluster at the address, or no machine has what a run takes.
    """

    room: int | None = None

    def __init__(self, address: str | None = None, gpus: float = 0, cpus: float = 1):
        try:
            import ray
        except ImportError as error:
            raise PlanError("--executor ray needs Ray: pip install -e '.[ray]'") from error
        self.ray = ray
        if address is not None:
            _check_connection(address)
        paths = {} if PACKAGE else {"env_vars": {"PYTHONPATH": str(PROJECT)}}  # what is installed is found without
        try:
            ray.init(address=address, runtime_env=paths, log_to_driver=False, include_dashboard=None)
        except ConnectionError as error:
            raise PlanError(f"There is no Ray cluster at {address}: {error}") from error
        self._wanted = {name: amount for name, amount in (("GPU", gpus), ("CPU", cpus)) if amount}
        self._check_workers()
        self.width = self._places()
        if not self.width:
            self.ray.shutdown()
            raise PlanError(f"No machine of the cluster has {self._wanted}; see --gpus-per-run and --cpus-per-run.")
        self._task = ray.remote(num_gpus=gpus, num_cpus=cpus, max_retries=LOST_MACHINES)(run_here)
        self._tasks: list = []
        self._answers: list[Future[int | None]] = []
        self._closed = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def submit(self, command: Sequence[str], folder: Path) -> Future[int | None]:
        """Run it where there is room; the result is its exit status, None if it was taken back."""
        task = self._task.remote(list(command), str(folder))
        answer: Future[int | None] = Future()
        self._tasks.append(task)
        self._answers.append(answer)
        task.future().add_done_callback(lambda ended: self._pass_on(ended, answer))
        return answer

    def _pass_on(self, ended: Future, answer: Future) -> None:
        error = ended.exception()
        with contextlib.suppress(InvalidStateError):  # nobody waits for it since the machines were lost
            if error is None or isinstance(error, self.ray.exceptions.TaskCancelledError):
                answer.set_result(None if error else ended.result())
            else:
                answer.set_exception(error)

    def stop(self) -> None:
        """Cancel what waits and ask what runs to save and end."""
        for task in self._tasks:
            self.ray.cancel(task)

    def close(self) -> None:
        """Leave the cluster."""
        self._closed.set()
        self.ray.shutdown()

    def _watch(self) -> None:
        """End all waiting runs if no machine has room for one any more: Ray would silently keep them waiting."""
        last_room = time.monotonic()
        while not self._closed.wait(LOOK):
            if self._places():
                last_room = time.monotonic()
            elif time.monotonic() - last_room > MACHINE_PATIENCE:
                lost = PlanError(
                    f"for {MACHINE_PATIENCE:.0f} s no machine of the Ray cluster has had {self._wanted}: the last one "
                    f"was lost. The same command continues on a cluster with such a machine."
                )
                for answer in self._answers:
                    with contextlib.suppress(InvalidStateError):  # ended before
                        answer.set_exception(lost)

    def _check_workers(self) -> None:
        """Start a worker on each machine: a cluster whose workers cannot start silently keeps tasks waiting.

        Raises:
            PlanError: one starts none within the patience.
        """
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        machines = {node["NodeID"]: node["NodeManagerAddress"] for node in self.ray.nodes() if node["Alive"]}
        greet = self.ray.remote(num_cpus=0, max_retries=0)(process_id)
        answers = {
            greet.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(): address
            for node, address in machines.items()
        }
        ready, silent = self.ray.wait(list(answers), num_returns=len(answers), timeout=WORKER_PATIENCE)
        problem = f"no worker started within {WORKER_PATIENCE:.0f} s" if silent else ""
        for answer in ready:
            try:
                self.ray.get(answer)
            except Exception as error:  # Ray's own kinds
                silent, problem = [answer], f"{type(error).__name__}: {error}".splitlines()[0]
        if silent:
            self.ray.shutdown()
            raise PlanError(
                f"Ray cannot run anything on {answers[silent[0]]}: {problem}. Its Python needs the same packages as "
                f"this one's; Ray's messages are in /tmp/ray/session_latest/logs there."
            )

    def _places(self) -> int:
        """Return how many runs the machines that answer have room for at a time."""
        try:
            machines = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        except Exception:  # Ray's own kinds: nobody answers for the cluster
            return 0
        return sum(int(min(each.get(name, 0) / amount for name, amount in self._wanted.items())) for each in machines)


def _check_connection(address: str) -> None:
    """Connect once in another process, which can be ended.

    Raises:
        PlanError: it does not come to an end within the patience. An error of its own comes again from the connection.
    """
    try:
        quiet = subprocess.DEVNULL
        words = [sys.executable, "-c", CONNECT, address]
        subprocess.run(words, stdout=quiet, stderr=quiet, timeout=WORKER_PATIENCE, check=False)
    except subprocess.TimeoutExpired as error:
        raise PlanError(
            f"Ray cannot run anything on the cluster at {address}: connecting took more than {WORKER_PATIENCE:.0f} s. "
            "Its Python needs the same packages as this one's; Ray's messages are in /tmp/ray/session_latest/logs "
            "there."
        ) from error


def process_id() -> int:
    """Return the worker's process id; Ray takes no built-in function for a task."""
    return os.getpid()


def run_here(command: Sequence[str], folder: str) -> int | None:
    """One run on this machine."""
    return when_free(lambda: _attempt(command, Path(folder)), Path(folder))


def _attempt(command: Sequence[str], folder: Path) -> int:
    """A cancelled run is asked to save and end, which is waited for."""
    process = start(command, folder)
    while True:
        try:
            return process.wait(timeout=1)  # Ray's KeyboardInterrupt gets through only between two calls
        except subprocess.TimeoutExpired:
            continue
        except KeyboardInterrupt:
            process.terminate()
