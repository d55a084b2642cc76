"""The benchmarks' commands: figures of both computations, which agree, and mistakes, which are told."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import identical, step

PROJECT = Path(__file__).parent.parent
SMALL = ["--classes", "2", "--batch", "1", "--backbone", "ViT-B/32", "--device", "cpu"]


def test_a_step_of_both(tmp_path):
    """In a process of its own: a benchmark changes how memory is kept."""
    file = tmp_path / "figures.json"
    words = [sys.executable, "benchmarks/step.py", *SMALL, "--repeats", "1", "--json", file]
    subprocess.run(words, cwd=PROJECT, check=True, capture_output=True)
    figures = json.loads(file.read_text(encoding="utf-8"))
    assert figures["method"] == "MMRL" and figures["classes"] == 2
    assert figures["loss_difference"] < 1e-5 and figures["gradient_difference"] < 1e-4
    assert figures["gflop_ratio"] == figures["plain_gflop"] / figures["product_gflop"] > 1
    for variant in ("plain", "product"):
        assert figures[f"{variant}_ms"] > 0 and figures[f"{variant}_peak_mib"] > 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--classes 0", "'0' is not a whole number from 1 on"),
        ("--batch many", "'many' is not a whole number from 1 on"),
        ("--device tpu", "'tpu' is neither cpu nor cuda"),
        ("--backbone RN50", "invalid choice: 'RN50'"),
        ("--json nowhere/figures.json", "there is no folder nowhere"),
        ("--method MMLR", "Did you mean 'MMRL'"),
        ("--method TipAdapterF", "learns from the features of training images"),
        ("--method ZeroshotCLIP", "learns nothing: there is no step"),
        ("--method CLIPAdapter --side text", "no text side that learns"),
        ("--prec fp8", "expected one of fp32, fp16, bf16, amp"),
    ],
)
def test_mistakes(words, told, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["step.py", *SMALL, "--only", "product", *words.split()])
    monkeypatch.setattr(step, "prepare_cpu_memory", lambda: None)
    monkeypatch.setattr(step, "keep_freed_memory", lambda most: None)
    try:
        status = step.main()
    except SystemExit as end:
        status = end.code
    assert status and told in capsys.readouterr().err


def test_identical_names_a_revision_that_does_not_exist(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["identical.py", "no-such-revision"])
    assert identical.main() == 2
    assert "no-such-revision" in capsys.readouterr().err


def test_identical_says_which_runs_differ(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("sys.argv", ["identical.py", "HEAD", "--methods", "CoOp", "--seeds", "1", "2"])
    monkeypatch.setattr(identical, "learned", lambda project, method, seed: f"{project == PROJECT and seed == 2}")
    monkeypatch.setattr(identical, "git", lambda *words: None)
    assert identical.main() == 1
    told = capsys.readouterr().out.splitlines()
    assert "seed 1: identical" in told[0] and "seed 2: DIFFERENT" in told[1] and told[2].startswith("1 of 2 runs")
