"""Methods that work inside a vision transformer refuse a ResNet by its name: nothing is fetched before."""

from __future__ import annotations

import pytest

import train
import trainers  # noqa: F401  (registers the methods)
from clip.pretrained import releases
from dassl.config import ConfigError
from dassl.engine import TRAINER_REGISTRY
from runs.protocol import methods
from trainers.base.run_settings import settings_of_run

RESNETS = ("RN50", "RN101", "RN50x4", "RN50x16", "RN50x64")
VIT_ONLY = {"VPT", "IVLP", "PromptSRC", "MaPLe", "MMA", "MMRL", "MMRLpp", "CoPrompt", "HiCroPL", "PromptKD", "CLIPLoRA"}
VIT_ONLY |= {"DePTMaPLe", "DePTPromptSRC"}


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*arguments, **keywords):
        raise AssertionError("weights are fetched")

    monkeypatch.setattr("clip.pretrained.download", refuse)


def settings(method: str, backbone: str, *options: str):
    words = ["--trainer", method, "--backbone", backbone, *options]
    return settings_of_run(train.parse([*words, "USE_CUDA", "False"])).cfg


def test_the_names_of_resnets_are_all_here():
    assert set(RESNETS) == {name for name in releases() if not name.startswith("ViT")}


@pytest.mark.parametrize("backbone", ["RN50", "RN101", "ViT-B/16"])
@pytest.mark.parametrize("method", methods())
def test_every_method_on_a_backbone_known_by_name(method, backbone):
    if method in VIT_ONLY and backbone.startswith("RN"):
        with pytest.raises(ConfigError, match=rf"{method}.* inside a vision transformer.*MODEL\.BACKBONE\.NAME"):
            settings(method, backbone)
    else:
        assert backbone == settings(method, backbone).MODEL.BACKBONE.NAME
    assert bool(TRAINER_REGISTRY.get(method).method_class.inside_vit) <= (method in VIT_ONLY)


@pytest.mark.parametrize(
    ("method", "key", "fine", "refused"),
    [("CLIPLoRA", "CLIPLORA.ENCODER", "text", "vision"), ("TwoStage", "TWOSTAGE.PEFT", "bitfit", "lora")],
)
def test_where_a_setting_decides(method, key, fine, refused):
    settings(method, "RN50", f"TRAINER.{key}", fine)
    with pytest.raises(ConfigError, match=f"{key.partition('.')[2]} {refused} works inside a vision transformer"):
        settings(method, "RN50x64", f"TRAINER.{key}", refused)


def test_names_of_open_clip():
    pytest.importorskip("open_clip")
    with pytest.raises(ConfigError, match="MMRL works inside a vision transformer"):
        settings("MMRL", "open_clip:RN50-quickgelu/cc12m")
    settings("MMRL", "open_clip:ViT-B-32-quickgelu/laion400m_e32")
    settings("CoOp", "open_clip:RN50-quickgelu/cc12m")
