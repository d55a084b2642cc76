"""MMRL through its scripts on the embedded images: records, logs and the table agree."""

import json
import os
import subprocess
from pathlib import Path

import pytest

import report
from runs.table import as_text, base2new_row

PROJECT = Path(__file__).parents[2]


def script(name: str, output: Path, *arguments: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "OUTPUT": str(output), "CUDA_VISIBLE_DEVICES": ""}
    command = ["bash", f"scripts/{name}", *arguments]
    return subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True)


def test_train_test_report(tmp_path):
    for stage in ("train", "test"):
        done = script(f"mmrl/base2new_{stage}.sh", tmp_path, "clothing_64", "1", "--train-epoch", "1")
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    folders = [f"base2new/{part}/clothing_64/shots_16/MMRL/photo/seed1" for part in ("train_base", "test_new")]
    records = [json.loads((tmp_path / folder / "run.json").read_text()) for folder in folders]
    row = base2new_row(tmp_path, "MMRL", "clothing_64", 1)
    for record, key, test_classes in zip(records, ("base", "new"), ("seen", "unseen"), strict=True):
        assert record["status"] == "complete" and record["test_classes"] == test_classes
        assert row[key] == record["metrics"]["accuracy"]
    assert row["H"] == pytest.approx(2 / (1 / row["base"] + 1 / row["new"]))
    assert f"{row['base']:.1f}" in as_text([row])
    assert f"* accuracy: {row['base']:.1f}%" in (tmp_path / folders[0] / "log.txt").read_text()
    assert records[0]["efficiency"]["train_epochs"] == 1 and records[0]["efficiency"]["train_images_per_second"] > 0
    assert report.main([str(tmp_path), "--format", "html", "--seeds", "1"]) == 0
    page = (tmp_path / "report.html").read_text()
    assert (
        f'>{row["H"]:.2f} <span class="rest">(n=1)<' in page and records[0]["classes"][0] in page and '"loss":' in page
    )
    again = script("mmrl/base2new_train.sh", tmp_path, "clothing_64", "1", "--train-epoch", "1")
    assert again.returncode == 0 and "is complete: skipped" in again.stdout
    longer = script("mmrl/base2new_train.sh", tmp_path, "clothing_64", "1")
    assert longer.returncode == 2 and "holds a complete run with OPTIM.MAX_EPOCH 1, not 5" in longer.stderr


def test_a_crashed_runs_folder_is_run_again(tmp_path):
    folder = tmp_path / "base2new/test_new/clothing_64/shots_16/ZeroshotCLIP/photo/seed1"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text('{"status": "running"}')
    done = script("zsclip/base2new_test.sh", tmp_path, "clothing_64", "1")
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads((folder / "run.json").read_text())["status"] == "complete"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["imagnet", "1"], "Did you mean imagenet?|There is no dataset 'imagnet'"),
        (["clothing_64", "1", "TRAINER.MMRL.ALPA", "0.5"], "ALPHA"),
        (["clothing_64", "1", "--sed", "1"], "--seed"),
        (["clothing_64", "1", "--backbone", "ViT-B-16"], "ViT-B/16"),
    ],
)
def test_mistakes_get_a_message(tmp_path, arguments, message):
    done = script("mmrl/base2new_train.sh", tmp_path, *arguments)
    assert done.returncode != 0
    assert any(part in done.stdout + done.stderr for part in message.split("|"))
