"""Runs on this machine: one after the other, or several at a time, each with a GPU or a fraction of one."""

from __future__ import annotations

import os
import queue
import subprocess
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from runs.sweep import warm
from runs.sweep.process import start, when_free
from runs.sweep.warm import WarmRun, WarmServer
from safeio import threads


class LocalExecutor:
    """Executor that runs as many runs at a time as there are workers.

    Args:
        workers: runs at a time.
        gpus: indices or names for CUDA_VISIBLE_DEVICES, dealt out to the workers in turn: with more workers than
            cards they share. Empty: each run sees what this process sees.

    Attributes:
        width: runs at a time.
        room: how many runs it wants to be given ahead.
    """

    def __init__(self, workers: int = 1, gpus: Sequence[str] = ()):
        self.width = workers
        self.room: int | None = workers
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="run")
        self._environments: queue.SimpleQueue[dict[str, str]] = queue.SimpleQueue()
        for index in range(workers):
            self._environments.put(environment(index, workers, gpus))
        self._running: set[subprocess.Popen | WarmRun] = set()
        self._server: WarmServer | None = None
        self._for_server = threads_per_worker(workers)
        self._lock, self._stopping = threading.Lock(), False

    def submit(self, command: Sequence[str], folder: Path) -> Future[int | None]:
        """Run it when a worker is free; the result is its exit status, None if it was not started."""
        return self._pool.submit(self._run, list(command), folder)

    def warm_up(self, command: Sequence[str]) -> None:
        """Start the process that forks runs; it gets ready for this one while the caller continues."""
        if warm.POSSIBLE:
            with self._lock:
                self._warm().prepare(command)

    def stop(self) -> None:
        """Start nothing more and ask what runs to save and end; a second time, to end at once."""
        with self._lock:
            self._stopping = True
            for process in self._running:
                process.terminate()

    def close(self) -> None:
        """Wait for what still runs, and let the threads go."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        if self._server:
            self._server.close()
            self._server = None

    def _run(self, command: list[str], folder: Path) -> int | None:
        env = self._environments.get()
        try:
            return when_free(lambda: self._attempt(command, folder, env), folder)
        finally:
            self._environments.put(env)

    def _attempt(self, command: list[str], folder: Path, env: dict[str, str]) -> int | None:
        with self._lock:
            if self._stopping:
                return None
            process = self._warm().start(command, folder, env) if warm.POSSIBLE else start(command, folder, env)
            self._running.add(process)
        status = process.wait()
        with self._lock:
            self._running.discard(process)
        return status

    def _warm(self) -> WarmServer:
        """The process that forks runs; a new one where there is none any more."""
        if self._server is None or not self._server.alive:
            self._server = WarmServer(self._for_server, hold=not visible_gpus())
        return self._server


def threads_per_worker(workers: int) -> dict[str, str]:
    """Return the variable that gives each of several workers its part of the cores; none where the user has chosen."""
    if workers == 1 or threads.GIVEN:
        return {}
    return {threads.NUMBER: str(max(1, threads.allowed_cores() // workers))}


def environment(index: int, workers: int, gpus: Sequence[str]) -> dict[str, str]:
    """Return the environment of a worker's runs: its card, and its part of the processor's cores."""
    return threads_per_worker(workers) | ({"CUDA_VISIBLE_DEVICES": gpus[index % len(gpus)]} if gpus else {})


def visible_gpus() -> list[str]:
    """The cards that a run would see: CUDA_VISIBLE_DEVICES, else what the driver lists, else none."""
    if (named := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [name.strip() for name in named.split(",") if name.strip()]
    command = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return listed.split()
