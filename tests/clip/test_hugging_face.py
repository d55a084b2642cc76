"""Weights in Hugging Face's layout give the features that `transformers` itself computes; other layouts by prefix."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file

import clip
from clip.hugging_face import UnsupportedLayout, hub_name, is_hugging_face
from clip.pretrained import UnknownModelError, unknown
from clip.weights import WeightsError, load, state_dict_from
from safeio.errors import UserError

RELEASED = {  # a small version of each released configuration: patch, side, heads' width, activation
    "ViT-B/32": {"patch_size": 32, "image_size": 64, "hidden_size": 64, "num_attention_heads": 1},
    "ViT-B/16": {"patch_size": 16, "image_size": 48, "hidden_size": 128, "num_attention_heads": 2},
    "ViT-L/14": {"patch_size": 14, "image_size": 42, "hidden_size": 128, "num_attention_heads": 2},
    "ViT-L/14@336px": {"patch_size": 14, "image_size": 56, "hidden_size": 128, "num_attention_heads": 2},
    "ViT-B/32 of LAION": {"patch_size": 32, "image_size": 64, "hidden_size": 64, "num_attention_heads": 1,
                          "hidden_act": "gelu", "projection_dim": 64},
    "ViT-g/14 of LAION": {"patch_size": 14, "image_size": 28, "hidden_size": 176, "num_attention_heads": 2,
                          "hidden_act": "gelu", "projection_dim": 40},
    "ViT-H/14 of LAION": {"patch_size": 14, "image_size": 28, "hidden_size": 160, "num_attention_heads": 2,
                          "hidden_act": "gelu"},
    "ViT-bigG/14 of LAION": {"patch_size": 14, "image_size": 28, "hidden_size": 208, "num_attention_heads": 2,
                             "intermediate_size": 1024, "hidden_act": "gelu", "projection_dim": 48},
    "StreetCLIP, MetaCLIP, FashionCLIP": {"patch_size": 32, "image_size": 96, "hidden_size": 192,
                                          "num_attention_heads": 3, "projection_dim": 24},
}  # fmt: skip


def model(name="ViT-B/32"):
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    vision = {"num_hidden_layers": 2, "intermediate_size": 96, **RELEASED[name]}
    text = {
        "num_hidden_layers": 2,
        "hidden_size": 128,
        "num_attention_heads": 2,
        "intermediate_size": 80,
        "hidden_act": vision.get("hidden_act", "quick_gelu"),
        "bos_token_id": 49406,
        "eos_token_id": 49407,
    }
    side = vision.get("projection_dim", 32)
    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=side)
    made = transformers.CLIPModel(config).eval()
    with torch.no_grad():
        for parameter in made.parameters():  # all of them, the zero biases too
            parameter.add_(torch.randn_like(parameter) * 0.02)
    return made


def features(output):
    return output if isinstance(output, torch.Tensor) else output.pooler_output


@pytest.mark.parametrize("name", RELEASED)
def test_features_equal_transformers_own(name, tmp_path):
    theirs = model(name)
    theirs.save_pretrained(tmp_path)
    ours, _ = load(tmp_path)
    images = torch.randn(3, 3, *[RELEASED[name]["image_size"]] * 2)
    tokens = clip.tokenize(["a photo of a cat.", "two very small dogs", "x"])
    with torch.no_grad():
        expected = features(theirs.get_image_features(images)), features(theirs.get_text_features(tokens))
        found = ours.encode_image(images), ours.encode_text(tokens)
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, atol=1e-5), (one - other).abs().max()
    assert torch.equal(ours.logit_scale, theirs.logit_scale)


def test_sharded_bin_cache_and_single_file_hold_the_same(tmp_path):
    theirs = model()
    theirs.save_pretrained(tmp_path / "whole")
    expected = state_dict_from(tmp_path / "whole")
    theirs.save_pretrained(tmp_path / "sharded", max_shard_size="200KB")
    assert len(list((tmp_path / "sharded").glob("model-*.safetensors"))) > 1
    cache = tmp_path / "models--openai--small"
    (cache / "refs").mkdir(parents=True)
    (cache / "refs" / "main").write_text("abc")
    theirs.save_pretrained(cache / "snapshots" / "abc")
    (tmp_path / "bin").mkdir()
    torch.save(theirs.state_dict(), tmp_path / "bin" / "pytorch_model.bin")
    theirs.config.save_pretrained(tmp_path / "bin")
    shard_bin(theirs, tmp_path / "bins")
    places = [
        tmp_path / "whole" / "model.safetensors",
        cache,
        *(tmp_path / name for name in ("sharded", "bin", "bins")),
    ]
    for place in places:
        assert is_hugging_face(str(place))
        found = load(place)[0].state_dict()
        assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def shard_bin(theirs, folder):
    """Write what older versions of transformers did: pytorch_model-0000i-of-0000n.bin and their index."""
    folder.mkdir()
    theirs.config.save_pretrained(folder)
    names = list(theirs.state_dict())
    weight_map = {}
    for number, part in enumerate((names[::2], names[1::2]), 1):
        file = f"pytorch_model-{number:05}-of-00002.bin"
        torch.save({name: theirs.state_dict()[name] for name in part}, folder / file)
        weight_map |= dict.fromkeys(part, file)
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


@pytest.mark.parametrize("crop", [{"height": 64, "width": 64}, 64, None])
def test_a_processor_of_the_models_size(crop, tmp_path):
    model().save_pretrained(tmp_path)
    about = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "crop_size": crop}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(about))
    assert load(tmp_path)[0].architecture.mean == (0.5, 0.5, 0.5)


@pytest.mark.parametrize("crop", [{"height": 224, "width": 224}, 224, {"height": 64, "width": 48}])
def test_a_processor_of_another_model_is_refused(crop, tmp_path):
    model().save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"crop_size": crop}))
    with pytest.raises(UnsupportedLayout, match=r"preprocessor_config\.json prepares images of .*takes 64"):
        load(tmp_path)


def test_the_processor_says_how_images_are_normalised(tmp_path):
    model().save_pretrained(tmp_path)
    about = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4], "size": {"shortest_edge": 64}}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(about))
    made, _ = load(tmp_path)
    assert (made.architecture.mean, made.architecture.std) == ((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))


@pytest.mark.parametrize("prefix", ["", "module.", "model.", "clip_model.", "model.clip_model.", "_orig_mod.module."])
@pytest.mark.parametrize("key", [None, "state_dict", "model_state_dict", "model"])
def test_prefixes_and_containers_are_undone(prefix, key, tmp_path):
    weights = state_dict_from(clip.pretrained.weights_file(clip.available_models()[0]))
    renamed = {prefix + name: tensor for name, tensor in weights.items()}
    torch.save(renamed if key is None else {key: renamed, "epoch": 3}, tmp_path / "tuned.pt")
    found = state_dict_from(tmp_path / "tuned.pt")
    assert found.keys() == weights.keys() and all(torch.equal(found[name], weights[name]) for name in weights)


def test_hugging_face_layout_in_a_lightning_checkpoint(tmp_path):
    theirs = model()
    theirs.save_pretrained(tmp_path / "whole")
    torch.save({"state_dict": {f"model.{n}": t for n, t in theirs.state_dict().items()} | {"head.weight":
               torch.ones(2)}}, tmp_path / "lightning.ckpt")  # fmt: skip
    expected = state_dict_from(tmp_path / "whole")
    with pytest.warns(UserWarning, match=r"1 entries outside of the CLIP.*head\.weight"):
        found = state_dict_from(tmp_path / "lightning.ckpt")
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize(
    ("key", "prefix"), [("model_state_dict", ""), ("model", "module."), ("state_dict", "clip_model.")]
)
def test_hugging_face_layout_in_any_container(key, prefix, tmp_path):
    theirs = model()
    theirs.save_pretrained(tmp_path / "whole")
    torch.save({key: {prefix + n: t for n, t in theirs.state_dict().items()}, "epoch": 1}, tmp_path / "tuned.pt")
    expected, found = state_dict_from(tmp_path / "whole"), state_dict_from(tmp_path / "tuned.pt")
    assert found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in expected)


def folder(path, config, **files):
    path.mkdir()
    (path / "config.json").write_text(json.dumps(config))
    for name, text in files.items():
        (path / name.replace("__", ".")).write_text(text)
    return path


@pytest.mark.parametrize(
    ("config", "files", "wanted"),
    [
        ({"model_type": "clip"}, {}, r"lacks the weights: model\.safetensors"),
        ({"model_type": "clip"}, {"tf_model__h5": ""}, r"other frameworks"),
        ({"model_type": "siglip", "architectures": ["SiglipModel"]}, {}, "SiglipModel"),
        ({"model_type": "clip", "architectures": ["CLIPTextModel"]}, {}, "CLIPTextModel"),
        ({"model_type": "clip", "vision_config": {"hidden_act": "silu"}}, {}, "hidden_act"),
        ({"model_type": "clip"},
         {"model__safetensors__index__json": json.dumps({"weight_map": {"a": "m-1.safetensors"}})}, "1 are missing"),
    ],
)  # fmt: skip
def test_what_is_missing_is_named(config, files, wanted, tmp_path):
    with pytest.raises(UnsupportedLayout, match=wanted):
        load(folder(tmp_path / "hf", config, **files))


def test_one_encoder_alone_is_named(tmp_path):
    weights = {name: t.contiguous() for name, t in model().state_dict().items() if not name.startswith("vision")}
    save_file(weights, tmp_path / "text.safetensors")
    with pytest.raises(WeightsError, match=r"Hugging Face's layout.*vision_model"):
        load(tmp_path / "text.safetensors")


def test_a_folder_of_another_kind_says_what_it_holds(tmp_path):
    (tmp_path / "notes.txt").touch()
    assert "is a folder, but of no layout" in unknown(str(tmp_path)) and "notes.txt" in unknown(str(tmp_path))


def test_a_hub_that_cannot_be_reached_is_a_message(monkeypatch, tmp_path):
    hub = pytest.importorskip("huggingface_hub")

    def offline(*args, **words):
        raise ConnectionError("no network here")

    monkeypatch.setattr(hub, "snapshot_download", offline)
    with pytest.raises(UnknownModelError, match=r"not in the Hugging Face cache.*no network here.*hf download"):
        load("openai/clip-vit-base-patch32")


def test_the_cache_goes_first(monkeypatch, tmp_path):
    hub = pytest.importorskip("huggingface_hub")
    model().save_pretrained(tmp_path)

    def cached(name, local_files_only=False, **words):
        assert local_files_only, "the network was asked"
        return str(tmp_path)

    monkeypatch.setattr(hub, "snapshot_download", cached)
    assert load("hf:openai/small")[0].visual.input_resolution == 64


def test_a_mistyped_name_is_no_hub_name():
    assert not hub_name("ViT-B/61") and not hub_name("nowhere/weights.pt") and not hub_name("tests/nothing")
    assert hub_name("openai/clip-vit-large-patch14") == "openai/clip-vit-large-patch14"


def changed(path, file="config.json", **values):
    """A small model, saved, in whose file these values are put, `text_config__vocab_size` into the inner object."""
    model().save_pretrained(path)
    content = json.loads((path / file).read_text()) if (path / file).is_file() else {}
    for key, value in values.items():
        place, _, name = key.rpartition("__")
        (content[place] if place else content)[name] = value
    (path / file).write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"vision_config__num_attention_heads": "2"}, r"vision_config\.num_attention_heads should be a whole number"),
        ({"vision_config__num_hidden_layers": 2.5}, "num_hidden_layers should be a whole number"),
        ({"text_config": [1]}, "text_config should be an object"),
        ({"vision_config__num_attention_heads": 3}, "3 heads"),
        ({"vision_config__image_size": 224}, "image_resolution 64, not 224"),
        ({"projection_dim": 64}, "embed_dim 32, not 64"),
        ({"text_config__vocab_size": 30000}, "vocab_size is 30000, so its tokenizer is not"),
        ({"vision_config__layer_norm_eps": 1e-6}, "layer_norm_eps"),
    ],
)
def test_a_configuration_that_contradicts_its_weights_is_refused(values, message, tmp_path):
    with pytest.raises(UserError, match=message):
        load(changed(tmp_path / "hf", **values))


def test_what_a_configuration_leaves_empty_is_the_default(tmp_path):
    place = changed(tmp_path / "hf", vision_config__hidden_act=None, vision_config__layer_norm_eps=None)
    assert torch.equal(load(place)[0].logit_scale, model().logit_scale)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ({"weight_map": ["a"]}, "weight_map should be an object"),
        ({"weight_map": {"a": 3}}, "should be a text"),
        ({}, "weight_map"),
        ({"weight_map": {"a": "../other.safetensors"}}, "outside of its folder"),
    ],
)
def test_an_index_that_is_none_is_refused(index, message, tmp_path):
    with pytest.raises(UserError, match=message):
        load(folder(tmp_path / "hf", {"model_type": "clip"}, model__safetensors__index__json=json.dumps(index)))


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"image_mean": ["a", "b", "c"], "image_std": [1, 1, 1]}, r"image_mean\[0\] should be a number"),
        ({"image_mean": [0.5] * 3, "image_std": [0, 0, 0]}, "above 0"),
        ({"image_mean": [0.5] * 3}, "three numbers"),
        ({"rescale_factor": 1 / 127.5}, "rescale_factor"),
    ],
)
def test_a_processor_that_cannot_be_is_refused(about, message, tmp_path):
    with pytest.raises(UserError, match=message):
        load(changed(tmp_path / "hf", "preprocessor_config.json", **about))


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"do_center_crop": False, "size": {"height": 64, "width": 64}}, "without a crop"),
        ({"size": {"shortest_edge": 73}, "crop_size": 64}, "scaled to 73 pixels"),
        ({"resample": 2}, "another interpolation"),
    ],
)
def test_a_processor_that_crops_otherwise_is_said(about, message, tmp_path):
    with pytest.warns(UserWarning, match=message):
        load(changed(tmp_path / "hf", "preprocessor_config.json", **about))


def test_a_processor_without_normalisation_and_one_of_transformers_5(tmp_path):
    plain = load(changed(tmp_path / "hf", "preprocessor_config.json", do_normalize=False))[0].architecture
    assert (plain.mean, plain.std) == ((0, 0, 0), (1, 1, 1))
    about = {"image_mean": [0.5] * 3, "image_std": [0.25] * 3, "crop_size": {"height": 64, "width": 64}}
    made = load(changed(tmp_path / "new", "processor_config.json", image_processor=about))[0].architecture
    assert (made.mean, made.std) == ((0.5,) * 3, (0.25,) * 3)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("model-00001-of-00002.safetensors", "their index is missing"),
        ("model.fp16.safetensors", r"There is model\.fp16\.safetensors"),
        ("open_clip_pytorch_model.bin", "open_clip:"),
    ],
)
def test_weights_under_another_name_are_named(file, message, tmp_path):
    place = folder(tmp_path / "hf", {"model_type": "clip"})
    (place / file).write_bytes(b"x")
    with pytest.raises(UnsupportedLayout, match=message):
        load(place)


def test_one_of_several_files_says_so(tmp_path):
    model().save_pretrained(tmp_path, max_shard_size="200KB")
    with pytest.raises(WeightsError, match="one of several files: give the folder"):
        load(min(tmp_path.glob("model-*")))


def test_half_precision_and_position_ids(tmp_path):
    theirs = model()
    expected = {name: tensor.half() for name, tensor in theirs.state_dict().items()}
    theirs.half().save_pretrained(tmp_path)
    save_file(expected | {"text_model.embeddings.position_ids": torch.arange(77)[None]}, tmp_path / "model.safetensors")
    found = load(tmp_path)[0]
    assert found.dtype == torch.float32
    assert torch.equal(found.logit_scale, expected["logit_scale"].float())


def test_folders_around_a_model_say_where_it_is(tmp_path):
    model().save_pretrained(tmp_path / "0_CLIPModel")
    assert f"config.json in {tmp_path / '0_CLIPModel'}" in unknown(str(tmp_path))
    (tmp_path / "adapter_config.json").write_text("{}")
    assert "LoRA" in unknown(str(tmp_path))


def test_weights_that_git_has_not_fetched_are_named(tmp_path):
    place = folder(tmp_path / "hf", {"model_type": "clip"})
    (place / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 3\n")
    with pytest.raises(WeightsError, match="git lfs pull"):
        load(place)


def test_a_file_without_its_configuration_says_what_is_assumed(tmp_path):
    model("ViT-B/32 of LAION").save_pretrained(tmp_path)
    assert load(tmp_path / "model.safetensors")[0].architecture.declared  # config.json lies beside it
    (tmp_path / "config.json").unlink()
    with pytest.warns(UserWarning, match=r"does not say which activation.*QuickGELU"):
        load(tmp_path / "model.safetensors")
