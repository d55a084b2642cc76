"""Every published file format gives the same weights, and a wrong file an error that names it."""

from __future__ import annotations

import copy

import numpy as np
import open_clip.model
import pytest
import safetensors.torch
import torch
from PIL import Image

import clip
from clip import pretrained
from clip.pretrained import UnknownModelError
from clip.weights import WeightsError, state_dict_from
from safeio import download as downloads

SHAPE = {
    "embed_dim": 48,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 128, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 300, "width": 64, "heads": 1, "layers": 2},
    "quick_gelu": True,
}
RESNET = SHAPE | {
    "vision_cfg": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None, "head_width": 64}
}


@pytest.fixture(scope="module")
def reference():
    torch.manual_seed(0)
    return open_clip.model.CLIP(**SHAPE).eval()


@pytest.fixture(scope="module")
def tensors(reference):
    return {name: tensor.clone() for name, tensor in reference.state_dict().items()}


def close(ours, theirs):
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def torchscript(path, reference):
    """Like OpenAI's archives: a traced program, with three shape entries among its buffers."""
    model = copy.deepcopy(reference)
    for name, value in {"input_resolution": 32, "context_length": 77, "vocab_size": 300}.items():
        model.__dict__.pop(name, None)  # open_clip keeps some of them as plain numbers
        model.register_buffer(name, torch.tensor(value))
    example = torch.zeros(1, 3, 32, 32), torch.zeros(1, 77, dtype=torch.long)
    torch.jit.trace(model, example, check_trace=False).save(str(path))


def custom_text(path, reference):
    model = open_clip.model.CustomTextCLIP(**SHAPE)
    names = open_clip.model.convert_to_custom_text_state_dict(reference.state_dict())
    model.load_state_dict(names)
    torch.save(model.state_dict(), path)


def training_checkpoint(path, reference):
    wrapped = {f"module.{name}": tensor for name, tensor in reference.state_dict().items()}
    optimizer = torch.optim.SGD(reference.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 3)
    torch.save({"epoch": 3, "name": "run", "state_dict": wrapped, "scheduler": scheduler}, path)


FORMATS = {
    "torchscript.pt": torchscript,
    "plain.pt": lambda path, model: torch.save(model.state_dict(), path),
    "wrapped.pth": lambda path, model: torch.save({"state_dict": model.state_dict()}, path),
    "checkpoint.pth.tar": training_checkpoint,
    "old.pt": lambda path, model: torch.save(model.state_dict(), path, _use_new_zipfile_serialization=False),
    "model.safetensors": lambda path, model: safetensors.torch.save_file(model.state_dict(), path),
    "arrays.npz": lambda path, model: np.savez_compressed(path, **model.state_dict()),
    "custom_text.pt": custom_text,
    "with_mask.pt": lambda path, model: torch.save(model.state_dict() | {"attn_mask": model.attn_mask}, path),
    "vector_scale.pt": lambda path, model: torch.save(
        model.state_dict() | {"logit_scale": model.logit_scale.data[None]}, path
    ),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("file_name", FORMATS)
def test_every_format_gives_the_same_weights(tmp_path, reference, tensors, file_name):
    FORMATS[file_name](tmp_path / file_name, reference)
    read = state_dict_from(tmp_path / file_name)
    assert set(read) == set(tensors)
    for name, tensor in tensors.items():
        torch.testing.assert_close(read[name], tensor, rtol=0, atol=0)
    model, transform = clip.load(tmp_path / file_name)
    assert not model.training
    images = transform(Image.effect_noise((50, 40), 80))[None]
    texts = torch.tensor([[298, 5, 6, 299] + [0] * 73])
    with torch.no_grad():
        close(model.encode_image(images), reference.encode_image(images))
        close(model.encode_text(texts), reference.encode_text(texts))


def test_resnet_checkpoint(tmp_path):
    reference = open_clip.model.CLIP(**RESNET).eval()
    torch.save(reference.state_dict(), tmp_path / "rn.pt")
    model, _ = clip.load(tmp_path / "rn.pt")
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        close(model.encode_image(images), reference.encode_image(images))


def test_stored_types_are_kept_and_models_are_float32_on_the_cpu(tmp_path, tensors):
    half = {name: tensor.half() for name, tensor in tensors.items()}
    torch.save(half, tmp_path / "half.pt")
    assert state_dict_from(tmp_path / "half.pt")["text_projection"].dtype == torch.float16
    model, _ = clip.load(str(tmp_path / "half.pt"), device="cpu", jit=False)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def wrong(tensors, **changes):
    return {name: tensor for name, tensor in (tensors | changes).items() if tensor is not None}


WRONG = {
    "missing": ({"visual.ln_post.bias": None}, r"missing visual\.ln_post\.bias"),
    "left over": ({"visual.extra": torch.ones(1)}, r"left over visual\.extra"),
    "shape": ({"text_projection": torch.ones(63, 48)}, r"text_projection is \(63, 48\), expected \(64, 48\)"),
    "no CLIP": ({"ln_final.weight": None}, r"not the weights of a CLIP.*ln_final\.weight"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_weights_name_the_file_and_the_entry(tmp_path, tensors, case):
    changes, message = WRONG[case]
    torch.save(wrong(tensors, **changes), tmp_path / "wrong.pt")
    with pytest.raises(WeightsError, match=rf"wrong\.pt.*{message}"):
        clip.load(tmp_path / "wrong.pt")


def test_files_that_are_no_weights(tmp_path, tensors):
    torch.save({"weight": torch.ones(2), "bias": torch.ones(2)}, tmp_path / "linear.pt")
    with pytest.raises(WeightsError, match=r"linear\.pt.*2 entries, the first are weight, bias"):
        clip.load(tmp_path / "linear.pt")
    torch.save({"epoch": 3}, tmp_path / "empty.pt")
    with pytest.raises(WeightsError, match=r"empty\.pt holds no named tensors"):
        clip.load(tmp_path / "empty.pt")
    np.savez(tmp_path / "objects.npz", a=np.array([{"x": 1}], dtype=object))
    for name in ("junk.pt", "junk.npz", "junk.safetensors"):
        (tmp_path / name).write_bytes(b"junk" * 100)
    for path in (*tmp_path.glob("junk.*"), tmp_path / "objects.npz"):
        with pytest.raises(WeightsError, match=path.name):
            clip.load(path)


def test_names():
    names = clip.available_models()
    assert {"RN50", "ViT-B/16", "ViT-L/14@336px"} <= set(names)
    for release in pretrained.releases().values():
        assert release.sha256 in release.url and len(release.sha256) == 64
    with pytest.raises(UnknownModelError, match=r"Did you mean ViT-B/16\? Available: .*RN50"):
        clip.load("vit-b-16")
    with pytest.raises(UnknownModelError, match=r"no weights file no/such\.pt.*RN50"):
        clip.load("no/such.pt")
    with pytest.raises(ValueError, match="jit=False"):
        clip.load("RN50", jit=True)


def test_embedded_models_load_and_are_listed():
    for name, path in pretrained.embedded().items():
        assert name in clip.available_models() and clip.weights_file(name) == path
        model, _ = clip.load(name)
        assert model.context_length == 77 and model.vocab_size == 49408


def test_cache_then_download(tmp_path, monkeypatch, tensors):
    """The cached file is used; without it and without a network the error says all that is needed."""
    release = pretrained.releases()["ViT-B/16"]
    torch.save(tensors, tmp_path / "ViT-B-16.pt")
    mine = pretrained.Release("ViT-B/16", release.url, downloads.file_sha256(tmp_path / "ViT-B-16.pt"))
    monkeypatch.setenv(pretrained.CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setattr(pretrained, "releases", lambda: {"ViT-B/16": mine})
    assert clip.weights_file("ViT-B/16") == tmp_path / "ViT-B-16.pt"
    assert clip.load("ViT-B/16")[0].visual.input_resolution == 32

    unreachable = pretrained.Release("ViT-B/16", "http://127.0.0.1:9/ViT-B-16.pt", "0" * 64)
    monkeypatch.setattr(pretrained, "releases", lambda: {"ViT-B/16": unreachable})
    monkeypatch.setattr(downloads.time, "sleep", lambda _seconds: None)
    with pytest.raises(downloads.DownloadError) as caught:
        clip.load("ViT-B/16", download_root=tmp_path / "empty")
    for part in (
        unreachable.url,
        unreachable.sha256,
        str(tmp_path / "empty"),
        "as ViT-B-16.pt",
        "--backbone PATH",
        "photo-ViT-8 needs no network",
    ):
        assert part in str(caught.value)
