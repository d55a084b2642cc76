"""Every method on cached features: a run with a filled cache encodes nothing and ends as one without a cache."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from short_runs import Runs

import train
from dassl.engine import TRAINER_REGISTRY
from dassl.utils.checkpoint import find_checkpoint, load_checkpoint
from safeio.read_back import read_json
from trainers.base.feature_trainer import FeatureTrainer
from trainers.base.frozen_clip import FrozenCLIP

METHODS = [
    name for name in TRAINER_REGISTRY.registered_names() if issubclass(TRAINER_REGISTRY.get(name), FeatureTrainer)
]
QUICK = {"AUGMENT_EPOCH": 2, "AUG_VIEWS": 2, "SEARCH_STEP": (3, 2)}


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Runs:
    return Runs(tmp_path_factory.mktemp("runs"))


def outcome(runs: Runs, method: str, output: Path, cache: bool) -> tuple[dict[str, torch.Tensor], dict]:
    """Train; return what was learned, and the metrics of the test."""
    trainer = TRAINER_REGISTRY.get(method)
    own = {f"TRAINER.{trainer.settings_node}.{key}": value for key, value in QUICK.items() if key in trainer.defaults}
    options = own | {"DATALOADER.CACHE": cache, "OPTIM.MAX_EPOCH": 2}
    words = [str(word) for pair in options.items() for word in pair]
    assert train.main(runs.arguments(method, "base", output, *words)) == 0
    state = load_checkpoint(find_checkpoint(output / trainer.checkpoint_folder, None))["state_dict"]
    return state, read_json(output / "run.json", {"metrics": dict}, "")["metrics"]


def test_the_methods():
    assert {"TipAdapter", "TipAdapterF", "LinearProbe", "CLAP", "ZSLP", "LPpp", "GDACLIP", "ProLIP"} <= {*METHODS}


@pytest.mark.parametrize("method", METHODS)
def test_a_filled_cache(runs, method, tmp_path, monkeypatch):
    monkeypatch.setenv("CROP_CACHE", str(tmp_path / "cache"))
    plain, filling = (outcome(runs, method, tmp_path / str(cache), cache) for cache in (False, True))
    monkeypatch.setattr(FrozenCLIP, "pool", lambda *_: pytest.fail("an image was encoded again"))
    filled = outcome(runs, method, tmp_path / "filled", True)
    for state, metrics in (filling, filled):
        assert metrics == plain[1] and state.keys() == plain[0].keys()
        assert all(torch.equal(value, plain[0][name]) for name, value in state.items())
