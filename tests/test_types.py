"""The type hints of what others call hold: mypy, with the files and settings of pyproject.toml."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy")


def test_public_interface_is_typed(tmp_path):
    command = [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=Path(__file__).parent.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
