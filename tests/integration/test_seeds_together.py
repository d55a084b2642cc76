"""`--seeds` and `--together`: several runs of train.py in one process."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import train

PROJECT = Path(__file__).parents[2]
SETTINGS = [
    "--root", "data", "--trainer", "MMRL", "--train-epoch", "1",
    "--dataset-config-file", "configs/datasets/clothing_64.yaml", "--config-file", "configs/trainers/MMRL/photo.yaml",
    "DATASET.NUM_SHOTS", "2", "DATASET.SUBSAMPLE_CLASSES", "base", "OPTIM.WARMUP_EPOCH", "0",
]  # fmt: skip
CHECKPOINT = "MultiModalRepresentationLearner/model.pth.tar-1"


ON_A_CPU = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}


def call(*words: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "train.py", *words]
    return subprocess.run(command, cwd=PROJECT, env=ON_A_CPU, capture_output=True, text=True)


def record(folder: Path) -> dict:
    return json.loads((folder / "run.json").read_text())


def learned(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / CHECKPOINT, weights_only=True)["state_dict"]


def test_each_run_ends_as_alone_and_has_a_record_of_its_own(tmp_path):
    words = ["--seeds", "1", "2", "--set", "TRAINER.MMRL.ALPHA=0.5,0.9", "--output-dir", str(tmp_path / "joint")]
    done = call(*words, *SETTINGS)
    assert done.returncode == 0, done.stderr[-2000:]
    folders = [tmp_path / f"joint/TRAINER.MMRL.ALPHA={alpha}/seed{seed}" for alpha in (0.5, 0.9) for seed in (1, 2)]
    for folder in folders:
        own = record(folder)
        assert own["status"] == "complete" and own["efficiency"]["runs_in_process"] == 4
        assert own["swept"] == {"TRAINER.MMRL.ALPHA": float(folder.parent.name.split("=")[1])}
        assert own["symbols"] == {"TRAINER.MMRL.ALPHA": "α"}
        assert f"seed{own['seed']}" == folder.name
        lines = [line for line in done.stdout.splitlines() if line.startswith(f"[{folder.parent.name}/{folder.name}] ")]
        assert any("* accuracy" in line for line in lines)
        assert "[TRAINER.MMRL.ALPHA=" not in (folder / "log.txt").read_text()
    alone = call("--seed", "2", "--output-dir", str(tmp_path / "alone"), *SETTINGS, "TRAINER.MMRL.ALPHA", "0.9")
    assert alone.returncode == 0, alone.stderr[-2000:]
    assert record(tmp_path / "alone")["metrics"] == record(folders[-1])["metrics"]
    joint, others = learned(folders[-1]), [learned(folder) for folder in folders[:-1]]
    for name, value in learned(tmp_path / "alone").items():
        off = (joint[name] - value).norm()  # single elements: Adam divides what is only rounding by its own size
        assert off <= 1e-4 * value.norm(), name
    assert all(not torch.allclose(joint["space"], other["space"], atol=1e-4) for other in others)


def test_a_signal_saves_all_and_the_same_command_goes_on(tmp_path):
    words = ["--seeds", "1", "2", "--output-dir", str(tmp_path), *SETTINGS, "OPTIM.MAX_EPOCH", "2"]
    process = subprocess.Popen(
        [sys.executable, "train.py", *words],
        cwd=PROJECT,
        env=ON_A_CPU,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    for line in process.stdout:
        if "epoch [1/2]" in line:
            break
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    assert process.returncode == 143
    assert [record(tmp_path / f"seed{seed}")["status"] for seed in (1, 2)] == ["interrupted"] * 2
    done = call(*words)
    assert done.returncode == 0, done.stderr[-2000:]
    assert [record(tmp_path / f"seed{seed}")["status"] for seed in (1, 2)] == ["complete"] * 2


def test_one_that_fails_leaves_the_others_alone(tmp_path):
    (tmp_path / "seed1").write_text("a file where the folder would be")
    done = call("--seeds", "1", "2", "--output-dir", str(tmp_path), *SETTINGS)
    assert done.returncode == 2 and "seed1" in done.stderr
    assert record(tmp_path / "seed2")["status"] == "complete"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--seed", "1", "--seeds", "2"], "exclude one another"),
        (["--set", "TRAINER.MMRL.ALPHA=0.5"], "--seeds"),
        (["--seeds", "1", "--set", "ALPHA:0.5"], "KEY=VALUE"),
    ],
)
def test_mistakes_are_named(words, message, capsys):
    with pytest.raises(SystemExit):
        train.parse(words)
    assert message in capsys.readouterr().err
