"""Effects of a preset and of the protocols' data on a run's settings."""

import pytest
import yaml

import train
from dassl.config import ConfigError
from trainers.base import run_settings
from trainers.base.run_settings import settings_of_run


def settings(*words, method="MMRLpp"):
    config = f"configs/trainers/{method}/vit_b16_cross_datasets.yaml"
    return settings_of_run(train.parse(["--trainer", method, "--config-file", config, "TASK", "CD", *words]))


@pytest.mark.parametrize(("dataset", "beta"), [("OxfordPets", 0.6), ("ImageNetSketch", 0.7), ("UCF101", 0.9)])
def test_paper_changes_beta_by_target_and_fair_does_not(dataset, beta):
    words = ["DATASET.NAME", dataset]
    assert beta == settings(*words).cfg.TRAINER.MMRLpp.BETA  # the published value for this target
    assert beta == settings(*words, "PRESET", "paper").cfg.TRAINER.MMRLpp.BETA
    fair = settings(*words, "PRESET", "fair")
    assert (fair.cfg.TRAINER.MMRLpp.BETA, fair.cfg.TRAINER.MMRLpp.REG_WEIGHT) == (0.9, 0.2)
    assert not any("per_dataset" in origin for origin in fair.origins.values())
    assert "preset fair" in fair.origins["TEST.FINAL_MODEL"]


def test_fair_tests_the_last_epoch_unless_told_otherwise(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("TEST: {FINAL_MODEL: best_val}")
    words = ["--trainer", "MMRL", "--config-file", str(file), "PRESET"]
    assert settings_of_run(train.parse([*words, "paper"])).cfg.TEST.FINAL_MODEL == "best_val"
    assert settings_of_run(train.parse([*words, "fair"])).cfg.TEST.FINAL_MODEL == "last_step"
    options = [*words, "fair", "TEST.FINAL_MODEL", "best_val"]
    assert settings_of_run(train.parse(options)).cfg.TEST.FINAL_MODEL == "best_val"


def test_an_unknown_preset_names_the_known_ones():
    with pytest.raises(ConfigError, match=r"PRESET is 'fear'.*paper, fair"):
        settings("PRESET", "fear")


@pytest.mark.parametrize("dataset", ["ImageNetV2", "Caltech101Pencil", "DescribableTextures"])
def test_targets_are_unseen_also_where_they_share_the_classes(dataset):
    assert settings("DATASET.NAME", dataset).cfg.TEST.CLASSES == "unseen"


def test_protocols_of_a_task_must_agree(tmp_path, monkeypatch):
    (tmp_path / "protocols").mkdir()
    (tmp_path / "presets.yaml").write_text("paper: {per_dataset: false}")
    for name, test_classes in (("a", "seen"), ("b", "seen")):
        (tmp_path / "protocols" / f"{name}.yaml").write_text(
            yaml.safe_dump({"task": "X", "test_classes": {"all": test_classes}})
        )
    (tmp_path / "protocols" / "c.yaml").write_text("extends: a")
    monkeypatch.setattr(run_settings, "CONFIGS", tmp_path)
    words = ["--trainer", "ZeroshotCLIP", "TASK", "X"]
    assert settings_of_run(train.parse(words)).cfg.TEST.CLASSES == "seen"
    (tmp_path / "protocols" / "b.yaml").write_text("{task: X, test_classes: {all: unseen}}")
    with pytest.raises(ConfigError, match=r"a.yaml: seen, b.yaml: unseen.*set TEST\.CLASSES"):
        settings_of_run(train.parse(words))
    assert settings_of_run(train.parse([*words, "TEST.CLASSES", "seen"])).cfg.TEST.CLASSES == "seen"
