"""Processes of a data loader end with the run, and leave it to the run to say what happened."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent.parent

LEFT_BEHIND = """
import torch
from torch.utils.data import DataLoader
from dassl.data.worker import set_up_worker

class Images(torch.utils.data.Dataset):
    def __len__(self):
        return 8
    def __getitem__(self, index):
        return index

batches = iter(DataLoader(Images(), num_workers=2, worker_init_fn=set_up_worker))
next(batches)
raise SystemExit(1)  # an error keeps them alive as long
"""


def test_workers_that_an_error_left_behind_do_not_keep_the_run_from_ending():
    done = subprocess.run([sys.executable, "-c", LEFT_BEHIND], cwd=PROJECT, timeout=120)
    assert done.returncode == 1


LOST_RUN = """
import os, socket, sys, time
from multiprocessing import resource_sharer
from dassl.data.worker import set_up_worker

if {set_up}:
    set_up_worker(0)
resource_sharer.DupFd(0)  # as a tensor on its way to the run: a thread waits for the run to fetch it
with socket.socket(socket.AF_UNIX) as run:
    run.connect(resource_sharer._resource_sharer._address)
    run.recv(4)  # and what else was sent is never read: a reset
time.sleep(1)
if {other}:
    sys.excepthook(ValueError, ValueError("another error"), None)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the address is a Unix socket's")
def test_a_worker_whose_run_was_killed_prints_no_traceback():
    def printed(**options):
        command = [sys.executable, "-c", LOST_RUN.format(**options)]
        return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=120).stderr

    assert "ConnectionResetError" in printed(set_up=False, other=False)
    assert printed(set_up=True, other=False) == ""
    assert printed(set_up=True, other=True) == "ValueError: another error\n"
