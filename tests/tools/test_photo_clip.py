"""The tools that made the embedded CLIP: the common space, and encoders that grow without computing anything else."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import clip
from clip.vision import VisionTransformer
from tools.photo_clip import export, images, names, space, texts


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A space from a random teacher of the real sizes: 1,000 classes, 1,280 features."""
    file = tmp_path_factory.mktemp("teacher") / "teacher.npz"
    random = np.random.default_rng(1)
    weight = random.normal(size=(1000, 1280)).astype("f4")
    val = random.normal(size=(200, 1280)).astype("f2")
    np.savez(file, weight=weight, val=val, imagenet=random.normal(size=(300, 1280)).astype("f2"))
    return space.make_space(file, torch.arange(200), torch.arange(200))


def test_the_basis_has_fixed_signs(made):
    """Singular vectors are defined up to sign, and which sign comes out depends on the number of threads."""
    largest = made.basis.gather(0, made.basis.abs().argmax(0)[None])
    assert made.basis.shape == (1280, space.EMBEDDING - 2)
    assert (largest > 0).all()


def test_logits_of_placed_features_are_the_scaled_cosines(made):
    z = F.normalize(torch.randn(5, space.EMBEDDING - 2), dim=-1)
    logits = space.LOGIT_SCALE * made.place_images(z) @ made.place_texts(made.rows).T
    assert torch.allclose(logits, made.scale * z @ made.rows.T, atol=1e-4)


def text_encoder(layers: int, width: int) -> texts.TextEncoder:
    """Return a random encoder over the tokens of PROMPTS, whose LayerNorms are not the identity."""
    torch.manual_seed(1)
    model = texts.TextEncoder(texts.tokenize(PROMPTS).unique(), layers, width)
    for name, value in model.named_parameters():
        if "ln_" in name:
            value.data += 0.3 * torch.randn_like(value)
    model.token_embedding.weight.data *= 50  # beside it LayerNorm's eps, which does not scale, is nothing
    return model


PROMPTS = ["a photo of a grand piano.", "kangaroo", "a drawing of two yellow taxis."]


@torch.no_grad()
def test_a_grown_text_encoder_computes_the_same():
    model = text_encoder(2, 64)
    assert model.grown().transformer.layers == 4
    assert torch.allclose(model.grown()(PROMPTS), model(PROMPTS), atol=1e-5)


@torch.no_grad()
def test_training_begins_at_an_exported_text_encoder():
    model = texts.TextEncoder(texts.tokenize([*PROMPTS, "okapi"]).unique(), texts.LAYERS)
    model.load_exported("photo-ViT-8")
    with torch.no_grad():
        expected = clip.load("photo-ViT-8", device="cpu")[0].encode_text(texts.tokenize(PROMPTS))
    assert torch.allclose(model(PROMPTS), expected.float(), atol=1e-4)


@torch.no_grad()
def test_packing_by_length_changes_nothing():
    model = text_encoder(1, 64)
    assert torch.allclose(model(PROMPTS, parts=3), model(PROMPTS), atol=1e-5)


@torch.no_grad()
def test_a_grown_image_encoder_computes_the_same():
    torch.manual_seed(1)
    model = VisionTransformer(images.SIDE, images.PATCH, images.WIDTH, 2, images.HEADS, space.EMBEDDING)
    pixels = torch.randn(2, 3, images.SIDE, images.SIDE)
    assert torch.allclose(images.encode(images.grow(model), pixels), images.encode(model, pixels), atol=1e-5)


@torch.no_grad()
def test_reading_all_patches_gives_the_same_embedding():
    torch.manual_seed(1)
    model = VisionTransformer(images.SIDE, images.PATCH, images.WIDTH, 2, images.HEADS, space.EMBEDDING)
    pixels = torch.randn(2, 3, images.SIDE, images.SIDE)
    embedded, patches, chosen = images.encode_with_patches(model, pixels, 1.0)
    assert torch.allclose(embedded, images.encode(model, pixels), atol=1e-5)
    assert patches.shape == (2, 64, images.WIDTH) and chosen.tolist() == [list(range(64))] * 2


def test_patches_know_where_in_the_image_they_lie():
    """In an image that grows brighter to the right, the order of brightness is the order of the places told."""
    line = (torch.arange(images.SIDE) * 4).to(torch.uint8)
    torch.manual_seed(3)
    cropped, middles = images.augment(line.expand(8, 3, images.SIDE, images.SIDE), 0.4)
    to_the_right = middles[..., 0].diff(dim=2)
    assert middles.shape == (8, 8, 8, 2) and middles.abs().max() <= 1
    assert {bool(flipped) for flipped in (to_the_right < 0).all((1, 2))} == {True, False}
    brighter = F.avg_pool2d(cropped[:, 0], images.PATCH).diff(dim=2)
    assert (brighter * to_the_right >= -1e-6).all()


def test_the_teacher_is_read_where_the_crop_lies():
    """A map that grows linearly with the place gives the place back, away from the border."""
    line = torch.linspace(-0.8, 0.8, 5)
    y, x = torch.meshgrid(line, line, indexing="ij")
    data = object.__new__(images.Data)
    data.places = torch.stack([x, y], -1).view(1, 25, 2).expand(3, -1, -1)
    middles = torch.rand(2, 8, 8, 2) * 1.6 - 0.8
    assert torch.allclose(data.teacher_at(torch.tensor([0, 2]), middles), middles.flatten(1, 2), atol=1e-5)


def test_one_batch_is_the_same_for_the_same_seed():
    group = texts.Names(["fox", "box"], torch.eye(2), torch.ones(2), torch.arange(2))
    groups = dict.fromkeys(texts.GROUPS, group)
    first, again, other = (texts.draw(groups, ["a photo of a {}.", "{}"], 32, seed) for seed in (1, 1, 2))
    assert first[0] == again[0] and torch.equal(first[1], again[1])
    assert first[0] != other[0]


@pytest.mark.parametrize(
    "name, expected", [("fox", "foxes"), ("leaf", "leaves"), ("cuff", "cuffs"), ("city", "cities"), ("key", "keys")]
)
def test_plurals(name, expected):
    assert texts.plural(name) == expected


def test_rounding_keeps_the_nearest_value_of_fewer_bits():
    values = torch.tensor([1.0, 1.0 + 2**-7, 1.0 + 3 * 2**-7, -3.14159, 0.0, 1e-7])
    kept = export.rounded(values, 6)
    assert kept.dtype == np.float16
    assert kept[0] == 1 and kept[4] == 0
    assert np.all(np.abs(kept[:4] - values[:4].numpy()) <= 2**-7 * np.abs(values[:4].numpy()))
    assert not np.any(kept.view(np.uint16) & 0b1111)
    assert np.array_equal(export.rounded(values, 10), values.half().numpy())


def test_a_gaussian_process_returns_the_known_and_trusts_what_is_near():
    x = F.normalize(torch.randn(6, 20), dim=-1)
    y = F.normalize(torch.randn(6, 4), dim=-1)
    found, explained = names.GaussianProcess(x, y, noise=1e-6)(x)
    assert torch.allclose(found, y, atol=1e-3) and torch.allclose(explained, torch.ones(6), atol=1e-4)
    near = F.normalize(x[:1] + 0.1 * torch.randn(1, 20), dim=-1)
    away = F.normalize(torch.randn(1, 20), dim=-1)
    process = names.GaussianProcess(x, y)
    assert process(near)[1] > process(away)[1]


WORDS = {  # an animal near class 3; its Latin name; a place; a rarer name
    "n0": names.Synset("n0", ["thing"], [], "all there is", 3, list(range(400))),
    "n1": names.Synset("n1", ["animal"], ["n0"], "a living thing", 5, [1, 2, 3]),
    "n2": names.Synset("n2", ["fox", "Vulpes"], ["n1"], "a sly animal", 5, [3]),
    "n3": names.Synset("n3", ["Paris"], ["n0"], "a city", 15, []),
    "n4": names.Synset("n4", ["red fox"], ["n2"], "a fox with red fur", 5, []),
}


def test_descriptions_name_the_kinds_and_the_gloss():
    assert names.describe(WORDS, "n4", "red fox") == "red fox, a kind of fox, animal, thing: a fox with red fur"


def test_common_nouns_are_used_near_a_class_or_one_token_and_rare_ones_are_spelled_by_their_tokens():
    senses = {"fox": ("n2", 1), "vulpes": ("n2", 0), "paris": ("n3", 1), "animal": ("n1", 2), "red fox": ("n4", 0)}
    common = texts.common_nouns(WORDS, senses, {"animal"})
    assert common == {"fox": "n2"}  # "paris" is one token, but near no class; "vulpes" is two
    known = {token for text in ("fox foxes", "red") for token in texts.tokens_of(text)}
    assert texts.rare_nouns(WORDS, {"fox"}, known) == {"red fox": "n4"}
