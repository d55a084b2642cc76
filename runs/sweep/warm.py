"""The driver's side of `runs.sweep.fork_server`."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from threading import Lock, Thread

from runs.sweep.process import PACKAGE, PROJECT, open_console

POSSIBLE = sys.platform == "linux"
"""True on Linux, where runs can be forked; other systems have no fork, or libraries that crash after one."""


class WarmRun:
    """A forked run, with the interface of a started one's `subprocess.Popen`."""

    def __init__(self, server: WarmServer, number: int):
        self.server, self.number = server, number
        self.ended: Future[int] = Future()

    def wait(self) -> int:
        """Return its exit status, minus the signal that killed it."""
        return self.ended.result()

    def terminate(self) -> None:
        """Ask it to save and end."""
        self.server.send({"stop": self.number})


class WarmServer:
    """A process that forks runs; it ends with the one that calls this.

    Args:
        env: environment variables on top of this process's that must be there when a run's modules are imported.
        hold: whether it reads the weights for the runs; not where they use a GPU.
    """

    def __init__(self, env: Mapping[str, str], hold: bool):
        self.hold = hold
        self.runs: dict[int, WarmRun] = {}
        self._numbers, self._lock = itertools.count(), Lock()
        self.channel, theirs = socket.socketpair()
        module = [f"{PACKAGE}runs.sweep.fork_server", str(theirs.fileno())]
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, str(PROJECT / "runs/sweep/exit_with_parent.py"), str(os.getpid()), "-m", *module],
                env={**os.environ, **env},
                cwd=None if PACKAGE else PROJECT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        Thread(target=self._listen, name="warm server", daemon=True).start()

    @property
    def alive(self) -> bool:
        """Return whether it can be asked for another run."""
        return self.process.poll() is None

    def start(self, command: Sequence[str], folder: Path, env: Mapping[str, str]) -> WarmRun:
        """Start a run; the arguments are those of `runs.sweep.process.start`."""
        open_console(folder).close()
        with self._lock:
            number = next(self._numbers)
            run = self.runs[number] = WarmRun(self, number)
        job = {"id": number, "command": list(command), "folder": str(folder), "env": dict(env)}
        self.send({**job, "cwd": os.getcwd(), "hold": self.hold})
        if not self.alive:
            self._give_up()
        return run

    def prepare(self, command: Sequence[str]) -> None:
        """Have it import, and read the weights of, what this run needs."""
        self.send({"prepare": list(command), "hold": self.hold})

    def send(self, message: Mapping[str, object]) -> None:
        """Send a message; one that finds nobody is answered by `_listen`."""
        try:
            self.channel.sendall(f"{json.dumps(message)}\n".encode())
        except OSError:
            return

    def close(self) -> None:
        """Let it end; nothing runs any more."""
        self.channel.shutdown(socket.SHUT_RDWR)
        self.process.wait()
        self.channel.close()

    def _listen(self) -> None:
        try:
            with self.channel.makefile("r", encoding="utf-8") as answers:
                for line in answers:
                    message = json.loads(line)
                    with self._lock:
                        run = self.runs.pop(message["id"])
                    run.ended.set_result(message["status"])
        except OSError:
            pass
        self.process.wait()
        self._give_up()

    def _give_up(self) -> None:
        """The server is gone. The kernel has sent its runs the signal by which they save and end."""
        with self._lock:
            lost, self.runs = list(self.runs.values()), {}
        for run in lost:
            run.ended.set_result(128 + signal.SIGTERM)
