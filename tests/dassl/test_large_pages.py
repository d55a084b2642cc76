"""Large tensors on the CPU come in large pages, as seen in the page faults that the kernel counts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
SETTING = Path("/sys/kernel/mm/transparent_hugepage/enabled")
MIB = 64
PROGRAM = f"""
import resource
import train  # whatever it allocates while it is imported must not come too early
from dassl.utils.environment import use_large_pages
{{call}}
import torch

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.empty({MIB} * 2**18).fill_(1.0)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
print(faults())
"""


def faults(call: str) -> int:
    environment = {key: value for key, value in os.environ.items() if key != "THP_MEM_ALLOC_ENABLE"}
    environment |= {"OMP_NUM_THREADS": "1", "GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=1048576"}
    program = [sys.executable, "-c", PROGRAM.format(call=call)]
    done = subprocess.run(program, cwd=PROJECT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.skipif(
    not SETTING.is_file() or "[never]" in SETTING.read_text(), reason="this kernel has no large pages to ask for"
)
def test_a_tensor_comes_in_few_pages():
    small = MIB * 2**20 // 4096
    if "[madvise]" in SETTING.read_text():
        assert faults("") > 0.9 * small
    assert faults("use_large_pages()") < 0.5 * small
