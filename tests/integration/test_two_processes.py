"""train.py under torchrun with two processes: killed, continued, and the outcome that of one process."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

PROJECT = Path(__file__).parents[2]
RUN = [
    *("--trainer", "MMRL", "--seed", "1", "--dataset-config-file", "configs/datasets/clothing_64.yaml"),
    *("--config-file", "configs/trainers/MMRL/photo.yaml", "DATASET.NUM_SHOTS", "1"),
    *("DATASET.SUBSAMPLE_CLASSES", "base", "OPTIM.MAX_EPOCH", "6", "TRAIN.CHECKPOINT_STEPS", "1"),
    *("DATALOADER.NUM_WORKERS", "0", "DATALOADER.TRAIN_X.BATCH_SIZE", "5", "TRAINER.MMRL.PREC", "fp32"),
]
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


def start(folder: Path, *launcher: str) -> subprocess.Popen:
    command = [sys.executable, *launcher, "train.py", "--output-dir", str(folder), *RUN]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen(command, cwd=PROJECT, env=environment, text=True, **pipes)


def processes_of(folder: Path) -> dict[str, int]:
    """Process ids by RANK of the processes that train into a folder."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            environment = dict(v.split(b"=", 1) for v in (process / "environ").read_bytes().split(b"\0") if b"=" in v)
        except OSError:
            continue
        if str(folder).encode() in words and b"RANK" in environment:
            found[environment[b"RANK"].decode()] = int(process.name)
    return found


def outcome(folder: Path) -> tuple[dict, dict]:
    record = json.loads((folder / "run.json").read_text())
    assert record["status"] == "complete"
    state = torch.load(folder / "MultiModalRepresentationLearner" / "model.pth.tar-6", weights_only=True)
    return record["metrics"], state["state_dict"]


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds the processes in /proc")
def test_killed_and_continued(tmp_path):
    alone = start(tmp_path / "alone")
    killed = start(tmp_path / "shared", *TORCHRUN)
    end = time.time() + 120
    while not (tmp_path / "shared" / "resume.pth").exists():
        assert killed.poll() is None and time.time() < end, killed.communicate()[0]
        time.sleep(0.02)
    ranks = processes_of(tmp_path / "shared")
    assert set(ranks) == {"0", "1"}
    os.kill(ranks["1"], signal.SIGKILL)
    said = killed.communicate(timeout=90)[0]
    assert killed.returncode != 0 and not processes_of(tmp_path / "shared"), "the others end too"
    assert json.loads((tmp_path / "shared" / "run.json").read_text())["status"] in ("failed", "interrupted")
    again = start(tmp_path / "shared", *TORCHRUN)
    said = again.communicate(timeout=120)[0]
    assert again.returncode == 0 and "Resumed in epoch" in said, said
    assert said.count("Finished training") == 1, "only the first process speaks"
    assert alone.communicate(timeout=120) and alone.returncode == 0
    (metrics, learned), (expected, reference) = outcome(tmp_path / "shared"), outcome(tmp_path / "alone")
    assert metrics == expected
    for name, value in reference.items():
        torch.testing.assert_close(learned[name], value, rtol=1e-3, atol=2e-5, msg=lambda m, name=name: f"{name}: {m}")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--seeds", "1", "2"), "--seeds trains several runs in one process, torchrun one run in several"),
    ],
)
def test_what_does_not_go_together(words, message, monkeypatch, capsys):
    import train

    monkeypatch.setenv("WORLD_SIZE", "2")
    assert train.main([*RUN[:2], *words]) == 2
    assert message in capsys.readouterr().err
