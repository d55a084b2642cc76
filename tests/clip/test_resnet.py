"""The ResNet encoder equals stored features of OpenAI's, and open_clip's encoder with the same random weights."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from open_clip.modified_resnet import ModifiedResNet as Reference

from clip.resnet import ModifiedResNet

GOLDEN = Path(os.environ.get("GOLDEN_DIR") or Path(__file__).parents[1] / "golden")


@pytest.mark.parametrize("case", sorted(path.stem for path in GOLDEN.glob("CLIPrn_*.npz")))
def test_golden_features_and_stages(case):
    expected = np.load(GOLDEN / f"{case}.npz")
    weights = np.load(GOLDEN / f"clip_rn_{case.removeprefix('CLIPrn_')}.npz")
    names = [name for name in weights.files if name.startswith("visual.")]
    state = {name.removeprefix("visual."): torch.from_numpy(weights[name]) for name in names}
    blocks = [re.match(r"layer(\d)\.\d+\.conv1", name) for name in state]
    layers = tuple(sum(block[1] == stage for block in blocks if block) for stage in "1234")
    embed_dim, width = state["attnpool.c_proj.weight"].shape
    images = torch.from_numpy(expected["images"])
    stem = state["layer1.0.conv1.weight"].shape[0]
    model = ModifiedResNet(layers, embed_dim, width // 64, images.shape[-1], stem).eval()
    model.load_state_dict(state)
    seen = {}
    for name in ("avgpool", "layer1", "layer2", "layer3", "layer4"):
        stage = model.get_submodule(name)
        stage.register_forward_hook(lambda _module, _in, out, name=name: seen.update({name: out[:2]}))
    with torch.no_grad():
        features = model(images)
    np.testing.assert_allclose(features, expected["image_features"], rtol=0, atol=2e-5)
    for name, activation in seen.items():
        np.testing.assert_allclose(activation, expected[f"vision/{name}"], rtol=1e-5, atol=2e-5)


@torch.no_grad()
def test_rn50_as_open_clip(lively, images):
    torch.manual_seed(0)
    reference = lively(Reference([3, 4, 6, 3], 1024, 32, image_size=224, width=64))
    model = ModifiedResNet((3, 4, 6, 3), 1024, 32, 224, 64).eval()
    model.load_state_dict(reference.state_dict())
    expected = reference(images)
    assert (expected[0] - expected[1]).std() > 0.01, "the features must depend on the image"
    torch.testing.assert_close(model(images), expected, rtol=1e-4, atol=1e-4)


def test_gradients_as_open_clip(lively):
    torch.manual_seed(0)
    reference = lively(Reference([1, 1, 1, 1], 16, 4, image_size=64, width=8)).double()
    model = ModifiedResNet((1, 1, 1, 1), 16, 4, 64, 8).eval().double()
    model.load_state_dict(reference.state_dict())
    images = torch.randn(3, 3, 64, 64, dtype=torch.float64)
    for encoder in (model, reference):
        encoder(images).square().sum().backward()
    wanted = dict(reference.named_parameters())
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, wanted[name].grad, msg=name)


def test_images_of_another_size_are_refused():
    model = ModifiedResNet((1, 1, 1, 1), 16, 4, 64, 8)
    with pytest.raises(ValueError, match=r"64 x 64 pixels, not \(80, 80\)"):
        model(torch.zeros(1, 3, 80, 80))
