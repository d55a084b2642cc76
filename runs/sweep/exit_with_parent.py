"""Start Python so that it ends with its parent: `python runs/sweep/exit_with_parent.py PARENT_PID train.py ...`.

A driver that is killed cannot stop its runs. On Linux the kernel sends them SIGTERM then, upon which a run saves its
position; elsewhere they continue to their end, and the lock of a run's folder keeps a second one out.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h; the setting outlives exec


def end_with_parent(parent: int) -> None:
    """Have the kernel send this process SIGTERM when its parent is gone; on Linux only.

    Raises:
        SystemExit: it is gone already.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM))
        if os.getppid() != parent:  # it was gone before prctl was called
            raise SystemExit(128 + signal.SIGTERM)


def main() -> None:
    """Become the Python process that the arguments ask for."""
    parent, *arguments = sys.argv[1:]
    end_with_parent(int(parent))
    os.execv(sys.executable, [sys.executable, "-u", *arguments])  # else a traceback stands before earlier output


if __name__ == "__main__":
    main()
