"""Start runs quickly: `python -m runs.sweep.fork_server SOCKET` imports once the modules that every run needs.

Each run is then a fork of this process: a process of its own, with its own memory, random generators, settings and
plugins. A crash or a signal ends one run and no other, as if each had started Python anew, but a start takes no time.
Runs share only what none of them changes: modules and a backbone's weights.

This process computes nothing: OpenMP's threads do not outlive a fork. `runs.sweep.warm` is its other side.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import random
import runpy
import select
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from typing import Any, NoReturn

from runs.sweep.exit_with_parent import end_with_parent
from runs.sweep.process import PACKAGE, TRAIN, open_console

Job = dict[str, Any]
"""A run that is asked for: `id`; `command`, after `python`; `folder` of the run; `env`, variables; `cwd`; `hold`,
whether its weights are to be read here, ahead, which is of no use where it takes them to a GPU."""


UNFLUSHED = 120
"""Exit status of Python where its last output cannot be written."""


class Server:
    """Forks a run for each job that comes, and answers with its exit status."""

    def __init__(self, channel: socket.socket):
        self.channel, self.pid = channel, os.getpid()
        self.received = b""
        self.running: dict[int, int] = {}  # process id -> id of the job
        self.woken, self._wake = os.pipe()
        for end in (self.woken, self._wake):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda signum, frame: None)
        signal.set_wakeup_fd(self._wake)

    def serve(self) -> Job | None:
        """Return a job in the process that is to do it; None in this one, once the driver has gone."""
        watched: list[Any] = [self.channel, self.woken]
        while True:
            ready, _, _ = select.select(watched, [], [])
            if self.woken in ready:
                os.read(self.woken, 4096)
                self.answer()
            if self.channel in ready:
                more = self.channel.recv(2**16)
                if not more:
                    return None
                *messages, self.received = (self.received + more).split(b"\n")
                for asked in map(json.loads, messages):
                    if "stop" in asked:
                        self.stop(asked["stop"])
                    elif "prepare" in asked:
                        prepare(asked["prepare"], asked["hold"])
                    elif self.fork(asked) == 0:
                        return asked

    def fork(self, job: Job) -> int:
        """Prepare the modules and weights that jobs share, then fork; return the process id, 0 in the fork."""
        prepare(job["command"], job["hold"])
        gc.freeze()  # what is here now is not looked through, and thereby copied, in every run
        pid = os.fork()
        if pid:
            self.running[pid] = job["id"]
        else:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self.channel.close()
        return pid

    def answer(self) -> None:
        """Send the exit status of every run that has ended."""
        for pid in list(self.running):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                message = {"id": self.running.pop(pid), "status": os.waitstatus_to_exitcode(status)}
                self.channel.sendall(f"{json.dumps(message)}\n".encode())

    def stop(self, job: int) -> None:
        """Ask a run to save and end, if it has not ended."""
        for pid, running in self.running.items():
            if running == job:
                os.kill(pid, signal.SIGTERM)


def prepare(command: Sequence[str], hold: bool) -> None:
    """Import train.py and read the weights of the run that is asked for; what is wrong with its words it will say."""
    if tuple(command[: len(TRAIN)]) != TRAIN:
        return
    try:
        train = importlib.import_module(f"{PACKAGE}train")
    except Exception:
        return
    if hold:  # in a thread of its own: OpenMP's threads end with the one that they worked for
        reading = threading.Thread(target=train.hold_weights, args=[command[len(TRAIN) :]])
        reading.start()
        reading.join()


def run(job: Job, parent: int) -> None:
    """Run a job in this process, up to its end.

    Args:
        parent: the server; the run saves and ends when it is gone.
    """
    os.setsid()
    with open_console(job["folder"]) as console:
        for descriptor in (1, 2):
            os.dup2(console.fileno(), descriptor)
    end_with_parent(parent)
    os.environ.update(job["env"])
    os.chdir(job["cwd"])
    random.seed()  # a run without a seed draws what no other draws
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
    first, *words = job["command"]
    if first == "-m":
        sys.argv = words
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = job["command"]
        runpy.run_path(first, run_name="__main__")


def status_of(error: BaseException) -> int:
    """Return the exit status of a script that ended with this error, and print it where Python prints it."""
    if not isinstance(error, SystemExit):
        sys.excepthook(type(error), error, error.__traceback__)
        return 128 + signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
    if error.code is None or isinstance(error.code, int):
        return (error.code or 0) & 0xFF
    print(error.code, file=sys.stderr)
    return 1


def leave(status: int) -> NoReturn:
    """End as Python does after a script, but leave memory and modules to the system: a third of a second less."""
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # the disk is full
            status = status or UNFLUSHED
    os._exit(status)


def main() -> None:
    """Serve until the driver has gone; in a fork, do its job."""
    server = Server(socket.socket(fileno=int(sys.argv[1])))
    if job := server.serve():
        status = 0
        try:
            run(job, server.pid)
        except BaseException as error:
            status = status_of(error)
        leave(status)


if __name__ == "__main__":
    main()
