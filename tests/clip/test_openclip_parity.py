"""Both encoders equal open_clip's with the same random weights, at the shapes OpenAI published."""

from __future__ import annotations

import open_clip.model
import pytest
import torch

from clip.model import from_state_dict
from clip.tokenizer import tokenize

TEXT = {"context_length": 77, "vocab_size": 49408, "width": 512, "heads": 8, "layers": 12}
SHAPES = {
    "ViT-B/16": {
        "embed_dim": 512,
        "vision_cfg": {"image_size": 224, "layers": 12, "width": 768, "patch_size": 16},
    },
    "RN50": {"embed_dim": 1024, "vision_cfg": {"image_size": 224, "layers": [3, 4, 6, 3], "width": 64}},
}
PROMPTS = ["a photo of a cat.", "a centered satellite photo of Annual Crop Land.", "", "dog " * 75]


@pytest.mark.parametrize("name", SHAPES)
@torch.no_grad()
def test_features(name, lively, images):
    torch.manual_seed(0)
    reference = lively(open_clip.model.CLIP(**SHAPES[name], text_cfg=TEXT, quick_gelu=True))
    model = from_state_dict(reference.state_dict())
    texts = tokenize(PROMPTS)
    for ours, theirs in [
        (model.encode_image(images), reference.encode_image(images)),
        (model.encode_text(texts), reference.encode_text(texts)),
    ]:
        assert (theirs[0] - theirs[1]).std() > 0.01, "the features must depend on the input"
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    similarity = reference.encode_image(images, True) @ reference.encode_text(texts, True).T
    logits = reference.logit_scale.exp() * similarity
    torch.testing.assert_close(model(images, texts)[0], logits, rtol=1e-4, atol=1e-4)
