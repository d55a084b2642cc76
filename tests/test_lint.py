"""Lint is part of the tests, and so is that imports point one way."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent
MAY_IMPORT = {
    "safeio": set(),
    "clip": {"safeio"},
    "dassl": {"safeio"},
    "datasets": {"dassl", "safeio"},
    "trainers": {"clip", "dassl", "safeio"},
    "runs": {"safeio"},
}
OURS = {*MAY_IMPORT, "train", "tools"}


def test_ruff():
    done = subprocess.run([sys.executable, "-m", "ruff", "check", "."], cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_point_one_way(package):
    wrong = []
    for file in sorted((PROJECT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            roots = {name.split(".")[0] for name in names} & (OURS | {"torch"} if package == "runs" else OURS)
            wrong += [f"{file}: {root}" for root in roots - {package} - MAY_IMPORT[package]]
    assert not wrong


def test_files_stay_short():
    files = [file for package in MAY_IMPORT for file in (PROJECT / package).rglob("*.py")]
    assert files
    long = {str(file): n for file in files if (n := len(file.read_text(encoding="utf-8").splitlines())) > 300}
    assert not long
