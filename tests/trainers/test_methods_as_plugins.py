"""TaskRes and CLIP-LoRA as docs/add-a-method.md says to write them, in a folder outside: nothing else knows of them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from short_runs import Runs

import mmrl
import predict
import train
from dassl.engine import TRAINER_REGISTRY
from mmrl.__main__ import main as mmrl_main
from runs.record import read_record

FOLDER = Path(__file__).parent / "plugin"
TINY = ("USE_CUDA", "False", "INPUT.SIZE", "(16, 16)", "DATALOADER.NUM_WORKERS", "0", "DATALOADER.CACHE", "False")
TINY += ("INPUT.TRANSFORMS", "('random_flip','normalize')", "DATALOADER.TRAIN_X.BATCH_SIZE", "3")
TINY += ("DATASET.NAME", "Folder", "DATASET.SUBSAMPLE_CLASSES", "base", "MODEL.BACKBONE.NAME")


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Runs:
    return Runs(tmp_path_factory.mktemp("runs"))


@pytest.fixture(autouse=True)
def plugins(monkeypatch):
    """Forget the plugins before a test and after it."""
    ours = dict(TRAINER_REGISTRY._objects)

    def forget():
        monkeypatch.setattr(TRAINER_REGISTRY, "_objects", dict(ours))
        for name in [name for name in sys.modules if name.startswith("plugins_")]:
            del sys.modules[name]

    forget()  # from here on the registry is a copy
    yield forget
    forget()


def trained(runs: Runs, trainer: str, config: str, output: Path) -> dict:
    """Train with a plugin's yaml; return the record."""
    words = ["--root", runs.images, "--trainer", trainer, "--seed", 1, "--output-dir", output, "--plugins", FOLDER]
    words += ["--config-file", FOLDER / f"{config}.yaml", *TINY, runs.folder / "clip.pt"]
    assert train.main(list(map(str, words))) == 0
    return read_record(output)


def losses(folder: Path) -> list[tuple[float, float]]:
    """Return loss and accuracy of each epoch."""
    return [(one["loss"], one["acc"]) for one in json.loads((folder / "curve.json").read_text(encoding="utf-8"))]


def test_task_res_learns_what_ours_learns(runs, tmp_path):
    record = trained(runs, "TaskResidual", "residual", tmp_path / "plugin")
    ours = trained(runs, "TaskRes", "residual", tmp_path / "ours")
    assert losses(tmp_path / "plugin") == losses(tmp_path / "ours")
    assert record["trainable_params"] == ours["trainable_params"] and record["metrics"] == ours["metrics"]


def test_low_rank_updates_predict_where_the_plugin_is_given_again(runs, tmp_path, plugins, capsys):
    record = trained(runs, "LoRA", "lora", tmp_path / "run")
    assert record["plugins"] == [str(FOLDER)] and record["trainable_params"] > 0
    words, image = [str(tmp_path / "run"), str(runs.files()[0])], runs.files()[0].name
    plugins()
    assert predict.main(words) == 2
    assert f"give its file again, --plugins {FOLDER}" in capsys.readouterr().err
    assert predict.main([*words, "--plugins", str(FOLDER)]) == 0
    assert image in capsys.readouterr().out


def test_every_way_to_a_plugins_run_takes_its_file_and_asks_for_it(runs, tmp_path, plugins, capsys):
    """`mmrl test`, `mmrl export` and `mmrl.load`, of a run and of what was shared of it."""
    trained(runs, "TaskResidual", "residual", tmp_path / "run")
    folder, file = str(tmp_path / "run"), str(FOLDER / "residual.py")
    share = ["export", folder, "--format", "hub-folder", "--output", str(tmp_path / "shared")]
    for words in (["test", folder, "--output", str(tmp_path / "test")], share):
        plugins()
        assert mmrl_main(words) == 2
        assert f"a plugin: give its file again, --plugins {FOLDER}" in capsys.readouterr().err
        assert mmrl_main([*words, "--plugins", file]) == 0
    assert read_record(tmp_path / "test")["metrics"] == read_record(tmp_path / "run")["metrics"]
    for place, asked in ((folder, r"plugins=\["), (str(tmp_path / "shared"), "if it is a plugin|If it is a plugin")):
        plugins()
        with pytest.raises(mmrl.UserError, match=asked):
            mmrl.load(place, device="cpu", backbone=str(runs.folder / "clip.pt"))
        model = mmrl.load(place, device="cpu", backbone=str(runs.folder / "clip.pt"), plugins=[file])
        assert model.predict(runs.files()[0])[0].label in model.classes


def test_a_step_of_low_rank_updates_lowers_the_loss_and_leaves_clip_as_it_was(workshop):
    train.load_plugins([FOLDER / "lora.py"])
    trainer = workshop.build("LoRA", "ViT-B-16", ["cat", "big dog"])
    frozen = {key: value.clone() for key, value in trainer.method.clip.model.state_dict().items()}
    batch = workshop.batch("ViT-B-16", 4, 2)
    first, *_, last = (trainer.forward_backward(batch)["loss"] for _ in range(4))
    assert last < first
    after = trainer.method.clip.model.state_dict()
    assert all((value == after[key]).all() for key, value in frozen.items())
