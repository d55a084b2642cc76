"""Settings beside their method: other defaults keep the range, a plugin's own range is its own, help for each."""

import pytest

import train
from dassl.config import ConfigError
from dassl.config.validators import at_least, between
from dassl.engine import TRAINER_REGISTRY
from trainers.base.run_settings import settings_of_run
from trainers.base.setting import Setting, declare


def test_another_default_keeps_range_and_meaning():
    parent = declare({"DEPTH": Setting(3, at_least(1), "layers"), "NAME": "x"}, {})
    child = declare({"DEPTH": 5, "ALPHA": Setting(16, at_least(0))}, parent)
    assert child["DEPTH"] == parent["DEPTH"]._replace(default=5) and child["ALPHA"].default == 16
    assert parent["NAME"] == Setting("x")


def test_a_range_is_of_one_method_alone():
    words = ["--trainer", "CLIPLoRA", "TRAINER.CLIPLORA.ALPHA", "16"]
    node = TRAINER_REGISTRY.get("CLIPLoRA").settings_node
    words[2] = f"TRAINER.{node}.ALPHA"
    assert settings_of_run(train.parse(words)).cfg.TRAINER[node].ALPHA == 16
    with pytest.raises(ConfigError, match="a number from 0 to 1"):
        settings_of_run(train.parse(["--trainer", "MMRL", "TRAINER.MMRL.ALPHA", "16"]))


def test_every_setting_says_what_it_means():
    for name in TRAINER_REGISTRY.registered_names():
        unsaid = [
            key for key, setting in getattr(TRAINER_REGISTRY.get(name), "declared", {}).items() if not setting.meaning
        ]
        assert not unsaid, name


def test_a_rule_refuses_what_it_should():
    assert declare({"FRACTION": Setting(0.5, between(0, 1))}, {})["FRACTION"].rule.fits(2) is False
