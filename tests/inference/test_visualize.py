"""Attention is what PyTorch's own layer computes, of the right positions; figures are written; errors explain."""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from clip.block import Attention
from inference.commands import visualize
from inference.images import NoImagesError
from inference.labelled_images import at_most, class_folders
from inference.predictor import FROZEN, Predictor
from inference.visualize.attention import attention_maps, watched, weights
from inference.visualize.features import on_a_plane, separation
from safeio.errors import UserError

TOKENS = {"MMRL": 5, "MMRLpp": 5, "MaPLe": 2, "VPT": 8, "IVLP": 2, "CoOp": 0, "MMA": 0}


def test_weights_are_those_of_pytorchs_layer():
    torch.manual_seed(0)
    ours, theirs = Attention(24, 3), nn.MultiheadAttention(24, 3, batch_first=True)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 7, 24)
    torch.testing.assert_close(weights(ours, x), theirs(x, x, x)[1])


@pytest.mark.parametrize("name", TOKENS)
def test_attention_of_every_layer(name, runs):
    predictor = Predictor.load(runs(name), device="cpu")
    images = torch.randn(3, 3, 16, 16)
    plain = predictor.scores(images)
    before, after = attention_maps(predictor, images)
    assert torch.equal(predictor.scores(images), plain)
    assert sorted(before.class_token) == sorted(after.class_token) == [1, 2, 3] and not before.learned
    assert all(maps.shape == (3, 2, 2) for maps in after.class_token.values())
    assert all(maps.shape == (3, TOKENS[name], 2, 2) for maps in after.learned.values())
    assert bool(after.learned) == bool(TOKENS[name])
    assert all((maps.sum(dim=(-2, -1)) < 1).all() for maps in after.learned.values())


@pytest.mark.parametrize("name", ["MMRL", "VPT"])
def test_patches_are_told_from_tokens(name, runs):
    """A token's fraction of its own kind is what the patches and the class token do not get."""
    predictor = Predictor.load(runs(name), device="cpu")
    visual, seen = predictor.clip.visual, {}
    images = torch.randn(1, 3, 16, 16)
    block = visual.transformer.resblocks[-1]
    hook = block.attn.register_forward_pre_hook(lambda attention, args: seen.update(x=args[0], at=attention))
    with watched(visual) as maps:
        predictor.scores(images)
    hook.remove()
    of_all = weights(seen["at"], seen["x"])[0]
    patches = range(1 + TOKENS[name], 5 + TOKENS[name]) if name == "MMRL" else range(1, 5)
    tokens = range(1, 1 + TOKENS[name]) if name == "MMRL" else range(5, 5 + TOKENS[name])
    torch.testing.assert_close(maps.class_token[3][0].flatten(), of_all[0, list(patches)])
    torch.testing.assert_close(maps.learned[3][0].flatten(1), of_all[list(tokens)][:, list(patches)])


@pytest.mark.parametrize(
    ("name", "sets"),
    [
        ("MMRL", [FROZEN, "class token", "representation tokens"]),
        ("MaPLe", [FROZEN, "adapted"]),
        ("CLIPAdapter", [FROZEN, "adapted"]),
        ("CoOp", [FROZEN]),
        ("CoCoOp", [FROZEN]),
        ("LinearProbe", [FROZEN]),
        ("TaskRes", [FROZEN]),
        ("TwoStage", [FROZEN, "adapted"]),
        ("ProLIP", [FROZEN, "adapted"]),
        ("VPT", [FROZEN, "adapted"]),
        ("MMA", [FROZEN, "adapted"]),
        ("CLIPLoRA", [FROZEN, "adapted"]),
        ("CoPrompt", [FROZEN, "adapted"]),
        ("DePTCoOp", [FROZEN]),
        ("DePTMaPLe", [FROZEN, "adapted"]),
    ],
)
def test_features_are_what_the_method_classifies_by(name, sets, runs):
    predictor = Predictor.load(runs(name), device="cpu")
    images = torch.randn(4, 3, 16, 16)
    found = predictor.feature_sets(images)
    assert list(found) == sets
    assert all(np.allclose(np.linalg.norm(features, axis=1), 1, atol=1e-5) for features in found.values())
    assert np.allclose(found[FROZEN], predictor.clip.image_features(images))
    if name in ("MaPLe", "CLIPAdapter"):
        logits = predictor.clip.logit_scale * found["adapted"] @ predictor.class_features.numpy().T
        assert np.allclose(logits, predictor.scores(images), atol=1e-4)


@pytest.mark.parametrize("projection", ["pca", "tsne"])
def test_clusters_stay_apart_on_a_plane(projection):
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 10)
    features = rng.normal(0, 0.05, (20, 8)) + np.eye(8)[labels]
    points = on_a_plane(features.astype(np.float32), projection)
    assert points.shape == (20, 2)
    assert separation(features, labels) > 0.8 > separation(features, np.tile([0, 1], 10))
    centres = [points[labels == label].mean(axis=0) for label in (0, 1)]
    spread = max(points[labels == label].std() for label in (0, 1))
    assert np.linalg.norm(centres[0] - centres[1]) > spread


def test_a_plane_needs_points_and_a_known_projection():
    with pytest.raises(ValueError, match=r"'umap'.*pca, tsne"):
        on_a_plane(np.eye(4), "umap")
    with pytest.raises(ValueError, match="three images"):
        on_a_plane(np.eye(2), "pca")
    assert separation(np.eye(3), np.zeros(3)) is None


def test_class_folders(runs, tmp_path):
    found = class_folders(runs.images)
    assert {name for _, name in found} == {"red square", "green_field", "amber", "teal"} and len(found) == 24
    assert len(at_most(found, 2, {"teal", "amber"})) == 4
    with pytest.raises(UserError, match="<class>/"):
        class_folders(runs.images / "teal")
    with pytest.raises(NoImagesError, match="<class>/<image>"):
        class_folders(runs.images / "nowhere")


@pytest.mark.extras
def test_figures_are_written(runs, tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="figures need the extra figures")
    broken = tmp_path / "broken.png"
    broken.write_text("no image")
    words = [str(runs("MMRL")), str(runs.files()[0]), str(broken), "--features", "--output", str(tmp_path / "figures")]
    assert visualize.main([*words, "--projection", "pca", "--device", "cpu"]) == 1
    printed = capsys.readouterr()
    files = printed.out.split()
    assert [re.sub(r".*/", "", file) for file in files] == ["attention-1-0.png", "features-pca.png"]
    for file in files:
        with Image.open(file) as image:
            assert min(image.size) > 200 and len(image.convert("RGB").getcolors(10**6)) > 50
    assert f"skipped {broken}" in printed.err


@pytest.mark.extras
@pytest.mark.parametrize(
    ("words", "parts"),
    [(["{folder}", "x.png"], ["not a run's folder"]), (["{run}", "{folder}"], ["No images found"])],
)
def test_mistakes(words, parts, runs, tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="figures need the extra figures")
    assert visualize.main([word.format(run=runs("MMRL"), folder=tmp_path) for word in words]) == 2
    assert all(part in capsys.readouterr().err for part in parts)


def test_without_matplotlib_it_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "inference.visualize.draw", None)
    assert visualize.main(["anywhere", "x.png"]) == 2
    assert "pip install -e '.[figures]'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        visualize.main(["anywhere"])
