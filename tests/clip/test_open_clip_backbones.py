"""Backbones by open_clip's names: equal to open_clip_torch's own networks, and refused where ours is another."""

from __future__ import annotations

import json
from pathlib import Path

import open_clip
import pytest
import torch
from safetensors.torch import save_file

import clip
from clip import open_clip_models
from clip.open_clip_models import UnsupportedModelError, find, why_not
from clip.pretrained import UnknownModelError
from clip.tokenizer import tokenize
from clip.weights import WeightsError

TEXT = {"context_length": 77, "vocab_size": 49408, "width": 128, "heads": 2, "layers": 2}
VIT = {"image_size": 64, "layers": 2, "width": 160, "patch_size": 16, "head_width": 80}
RESNET = {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "head_width": 32}
MODELS = {
    "gelu": {"embed_dim": 48, "vision_cfg": VIT, "text_cfg": TEXT},
    "quick gelu": {"embed_dim": 48, "vision_cfg": VIT, "text_cfg": TEXT, "quick_gelu": True},
    "other mlp": {"embed_dim": 48, "vision_cfg": VIT | {"mlp_ratio": 4.3637}, "text_cfg": TEXT | {"heads": 4}},
    "resnet": {"embed_dim": 48, "vision_cfg": RESNET, "text_cfg": TEXT},
}
PROMPTS = ["a photo of a cat.", "a centered satellite photo of Annual Crop Land."]


@pytest.fixture
def saved(tmp_path, lively):
    """Saves a random open_clip model as its package does, and gives the model."""

    def save(config: dict, **about):
        torch.manual_seed(0)
        model = lively(open_clip.model.CLIP(**config))
        save_file(model.state_dict(), tmp_path / "open_clip_model.safetensors")
        content = {"model_cfg": config, "preprocess_cfg": about}
        (tmp_path / "open_clip_config.json").write_text(json.dumps(content))
        return model

    return save


@pytest.fixture
def named(tmp_path, monkeypatch):
    """Makes a configuration known to open_clip_torch as "tiny", with a tag whose weights lie in the folder."""

    def name(config: dict, **about):
        (tmp_path / "known").mkdir()
        (tmp_path / "known" / "tiny.json").write_text(json.dumps(config))
        monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIG_PATHS", list(open_clip.factory._MODEL_CONFIG_PATHS))
        monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIGS", dict(open_clip.factory._MODEL_CONFIGS))
        open_clip.add_model_config(tmp_path / "known")
        tags = {"tag": {"file": str(tmp_path / "open_clip_model.safetensors"), **about}}
        monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "tiny", tags)

    return name


@torch.no_grad()
def assert_equal(ours, theirs, side: int) -> None:
    torch.manual_seed(3)
    mosaics = torch.randn(2, 3, 4, 4)  # coarse: noise would look the same to any encoder that pools
    images, texts = mosaics.repeat_interleave(side // 4, 2).repeat_interleave(side // 4, 3), tokenize(PROMPTS)
    for own, other in [
        (ours.encode_image(images), theirs.encode_image(images)),
        (ours.encode_text(texts), theirs.encode_text(texts)),
    ]:
        assert (other[0] - other[1]).std() > 0.01, "the features must depend on the input"
        torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", MODELS)
def test_features_equal_open_clips(kind, saved, tmp_path):
    theirs = saved(MODELS[kind])
    ours, _ = clip.load(f"open_clip:{tmp_path}")
    assert_equal(ours, theirs, 64)


def test_by_architecture_and_tag(saved, named, tmp_path):
    """A tag describes its weights rightly, whatever the architecture's name says."""
    theirs = saved(MODELS["quick gelu"])
    named(MODELS["gelu"], quick_gelu=True, mean=(0.5, 0.5, 0.5), std=(0.4, 0.4, 0.4))
    ours, transform = clip.load("open_clip:tiny/tag")
    assert_equal(ours, theirs, 64)
    assert (ours.architecture.mean, transform.transforms[-1].std) == ((0.5, 0.5, 0.5), (0.4, 0.4, 0.4))


def test_by_architecture_and_file(saved, named, tmp_path):
    theirs = saved(MODELS["other mlp"])
    named(MODELS["other mlp"])
    ours, _ = clip.load(f"open_clip:tiny/{tmp_path / 'open_clip_model.safetensors'}")
    assert_equal(ours, theirs, 64)
    assert ours.architecture.mean is None, "a file does not say what it was trained on"


@pytest.mark.parametrize("side", [32, 96, 112])
def test_positions_are_interpolated_as_open_clip_does(side, saved, tmp_path):
    weights = saved(MODELS["gelu"]).state_dict()
    theirs = open_clip.model.CLIP(**MODELS["gelu"] | {"vision_cfg": VIT | {"image_size": side}}).eval()
    open_clip.model.resize_pos_embed(weights, theirs)
    theirs.load_state_dict(weights)
    ours, transform = clip.load(f"open_clip:{tmp_path}", side=side)
    assert ours.visual.input_resolution == side and transform.transforms[1].size == side
    assert_equal(ours, theirs, side)


def test_positions_of_a_resnet(saved, tmp_path):
    weights = saved(MODELS["resnet"]).state_dict()
    weights["visual.attnpool.positional_embedding"][1:] = 0.5
    save_file(weights, tmp_path / "open_clip_model.safetensors")
    pool = clip.load(f"open_clip:{tmp_path}", side=96)[0].visual.attnpool.positional_embedding
    assert pool.shape[0] == 3 * 3 + 1
    torch.testing.assert_close(pool[0], weights["visual.attnpool.positional_embedding"][0])
    torch.testing.assert_close(pool[1:], torch.full_like(pool[1:], 0.5))


def test_sizes_that_patches_do_not_fill(saved, tmp_path):
    saved(MODELS["gelu"])
    with pytest.raises(ValueError, match=r"100 x 100 .* patches of 16 pixels.*\(96,96\)"):
        clip.load(f"open_clip:{tmp_path}", side=100)


def test_weights_of_another_architecture(saved, tmp_path):
    saved(MODELS["gelu"])
    other = MODELS["gelu"] | {"text_cfg": TEXT | {"layers": 3}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": other}))
    with pytest.raises(WeightsError, match=r"another architecture .*transformer_layers 2, not 3"):
        clip.load(f"open_clip:{tmp_path}")


def test_heads_that_a_file_does_not_tell(tmp_path):
    torch.manual_seed(0)
    wide = {"embed_dim": 8, "vision_cfg": VIT | {"width": 1280, "layers": 1}, "text_cfg": TEXT}
    torch.save(open_clip.model.CLIP(**wide).state_dict(), tmp_path / "wide.pt")
    with pytest.raises(WeightsError, match=r"how many heads .*width 1280.*open_clip:ARCHITECTURE/FILE"):
        clip.load(tmp_path / "wide.pt")


def test_every_architecture_of_open_clip():
    """OpenAI's shapes and nothing else; the package's own flags tell which those are."""
    refused = {name: why_not(open_clip.get_model_config(name)) for name in open_clip.list_models()}
    for name in ("ViT-B-16", "ViT-B-32-quickgelu", "ViT-L-14-336", "ViT-H-14", "ViT-g-14", "ViT-bigG-14", "RN50x4"):
        assert refused[name] == "", name
    reasons = {
        "coca_ViT-B-32": "CoCa",
        "ViT-B-16-SigLIP": "SigLIP",
        "EVA02-B-16": "timm's",
        "convnext_base": "timm's",
        "roberta-ViT-B-32": "Hugging Face",
        "ViT-L-14-CLIPA": "bert-base-uncased",
        "ViT-M-16-alt": "ls_init_value",
    }
    for name, reason in reasons.items():
        assert reason in refused[name], (name, refused[name])
    supported = {name for name, reason in refused.items() if not reason}
    assert all(name.startswith(("ViT-", "RN")) for name in supported)
    assert len(supported) >= 30


def test_refusal_before_any_download(monkeypatch):
    monkeypatch.setattr(open_clip, "download_pretrained", lambda *_: pytest.fail("asked for weights"))
    with pytest.raises(UnsupportedModelError, match=r"open_clip:coca_ViT-B-32 .*CoCa.*docs/backbones\.md"):
        find("open_clip:coca_ViT-B-32/laion2b_s13b_b90k")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("open_clip:ViT-B-61/laion2b_s34b_b88k", r"no architecture 'ViT-B-61'.*ViT-B-16"),
        ("open_clip:ViT-B-16/laion3b", r"neither a tag of this architecture nor a file.*laion2b_s34b_b88k"),
        ("open_clip:ViT-B-16", r"neither a tag of this architecture nor a file.*laion2b_s34b_b88k"),
    ],
)
def test_unknown_names(name, message):
    with pytest.raises(UnknownModelError, match=message):
        clip.load(name)


def test_without_the_package(monkeypatch):
    monkeypatch.setattr(open_clip_models, "find_spec", lambda _: None)
    with pytest.raises(UnknownModelError, match=r"not installed: pip install -e '\.\[open-clip\]'"):
        clip.load("open_clip:ViT-B-16/laion2b_s34b_b88k")


def test_without_network(monkeypatch):
    def fails(*_):
        raise OSError("no route")

    monkeypatch.setattr(open_clip, "download_pretrained", fails)
    with pytest.raises(UnknownModelError, match=r"no route.*copy the weights file"):
        clip.load("open_clip:ViT-B-16/laion2b_s34b_b88k")


def test_images_that_were_squashed_are_warned_of(saved, tmp_path):
    saved(MODELS["gelu"], resize_mode="squash")
    with pytest.warns(UserWarning, match="squash"):
        clip.load(f"open_clip:{tmp_path}")


def test_a_folder_without_a_description(tmp_path: Path):
    with pytest.raises(UnknownModelError, match=r"needs open_clip_config\.json"):
        clip.load(f"open_clip:{tmp_path}")
