"""Tensors on the CPU come in large pages and keep their memory, as seen in the page faults that the kernel counts."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
SETTING = Path("/sys/kernel/mm/transparent_hugepage/enabled")
MIB = 64
SMALL_PAGES = MIB * 2**20 // 4096
PROGRAM = f"""
import resource
import train  # whatever it allocates while it is imported must not come too early
from dassl.utils.environment import prepare_cpu_memory
{{call}}
import torch

def faults(tensors):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    held = [torch.empty({MIB} * 2**18 // tensors).fill_(1.0) for _ in range(tensors)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

for _ in range(3):
    faults({{tensors}})
print(faults({{tensors}}))
"""


def faults(call: str, tensors: int, **variables: str) -> int:
    """Page faults of filling tensors of together 64 MiB, when as many were freed before."""
    ours = ("THP_MEM_ALLOC_ENABLE", "MALLOC_", "GLIBC_TUNABLES")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    program = [sys.executable, "-c", PROGRAM.format(call=call, tensors=tensors)]
    environment |= {"OMP_NUM_THREADS": "1"} | variables
    done = subprocess.run(program, cwd=PROJECT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.skipif(
    not SETTING.is_file() or "[never]" in SETTING.read_text(), reason="this kernel has no large pages to ask for"
)
def test_a_large_tensor_comes_in_few_pages():
    if "[madvise]" in SETTING.read_text():
        assert faults("", 1) > 0.9 * SMALL_PAGES
    assert faults("prepare_cpu_memory()", 1) < 0.5 * SMALL_PAGES


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told what to keep")
def test_smaller_tensors_keep_their_memory():
    pages = {"THP_MEM_ALLOC_ENABLE": "0"}
    assert faults("prepare_cpu_memory()", 8, **pages) < 0.01 * SMALL_PAGES
    own = {"MALLOC_TRIM_THRESHOLD_": "131072", "MALLOC_MMAP_THRESHOLD_": "131072"}
    assert faults("prepare_cpu_memory()", 8, **pages, **own) > 0.9 * SMALL_PAGES
