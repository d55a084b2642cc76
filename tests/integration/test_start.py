"""A process that trains loads what training needs and nothing else: the rest is seconds at every start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SLOW = {"IPython", "gdown", "matplotlib", "mlflow", "onnx", "open_clip", "optuna", "pandas", "pyarrow", "ray", "scipy",
        "sklearn", "tensorboard", "transformers", "wandb"}  # fmt: skip
"""Packages that take long to import, each needed by few runs only."""

ONE_STEP = f"""
import sys
import train

words = "--root none --trainer MMRL --seed 1 --train-epoch 1 --config-file configs/trainers/MMRL/photo.yaml"
words += " --dataset-config-file configs/datasets/clothing_64.yaml DATASET.NUM_SHOTS=1 DATALOADER.CACHE=False"
words += " DATASET.SUBSAMPLE_CLASSES=base TRAIN.TRACK=() DATALOADER.TRAIN_X.BATCH_SIZE=64"
assert train.main([*words.split(), "--output-dir", sys.argv[1]]) == 0
print("LOADED", *{SLOW!r} & set(sys.modules), file=sys.stderr)
"""
COMMANDS = {
    "training and testing": ONE_STEP,
    "predicting": f"import sys, inference.predictor; print('LOADED', *{SLOW!r} & set(sys.modules), file=sys.stderr)",
}


@pytest.mark.parametrize("code", COMMANDS.values(), ids=COMMANDS)
def test_nothing_is_loaded_before_it_is_needed(code, tmp_path):
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1].split() == ["LOADED"]
