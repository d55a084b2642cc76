"""Adapters, caches and the linear probe on the shapes of CLIP's backbones: sizes come from the model alone."""

import pytest
import torch

import train
import trainers  # noqa: F401  (registers the methods)
from clip.model import CLIP
from dassl.engine import TRAINER_REGISTRY
from trainers.base.frozen_clip import FrozenCLIP
from trainers.base.method import Task
from trainers.base.run_settings import settings_of_run
from trainers.mma import adapted_layers

# Embedding, image side, image layers, image width, patch, text width, text layers: narrower than the real ones,
# in proportions that let no number stand for another.
SHAPES = {
    "ViT-B/32": (96, 32, 12, 192, 16, 128, 12),
    "ViT-B/16": (96, 32, 12, 192, 8, 128, 12),
    "ViT-L/14": (160, 28, 24, 256, 7, 192, 12),
    "RN50": (80, 64, (1, 2, 1, 1), 8, None, 128, 12),
}
EVERYWHERE = ("CLIPAdapter", "TipAdapter", "TipAdapterF", "LinearProbe")
CLASSES = ("face", "yin_yang", "a Windsor chair")


@pytest.fixture(scope="module", params=SHAPES)
def backbone(request):
    """A CLIP of random weights, frozen."""
    embed, side, layers, width, patch, text_width, text_layers = SHAPES[request.param]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = CLIP(embed, side, layers, width, patch, 77, 49408, text_width, text_width // 64, text_layers)
    frozen = FrozenCLIP(model, torch.device("cpu"))
    frozen.name = request.param
    return frozen


def method_of(trainer: str, frozen: FrozenCLIP, *options, classes=CLASSES):
    """The method with its default settings, its cache filled if it has one."""
    real = TRAINER_REGISTRY.get(trainer)
    words = ["--trainer", trainer, f"TRAINER.{real.settings_node}.PREC", "fp32", *map(str, options)]
    settings = settings_of_run(train.parse(words)).cfg.TRAINER[real.settings_node]
    method = real.method_class(settings, frozen, Task(classes, "a photo of a {}.", "Caltech101"))
    if hasattr(method, "fill"):
        keys = torch.nn.functional.normalize(torch.randn(6, frozen.embed_dim), dim=-1)
        method.fill(keys, torch.arange(6) % len(classes))
    return method


def image_batch(frozen: FrozenCLIP, count: int = 4) -> torch.Tensor:
    side = frozen.visual.input_resolution
    return torch.randn(count, 3, side, side)


def check(method, frozen: FrozenCLIP, steps: bool = True):
    """Logits of the right shape, and if anything is learned by steps a gradient for all of it and nothing else."""
    images, labels = image_batch(frozen), torch.tensor([0, 1, 2, 1])
    seen = torch.tensor(True)
    logits = method.logits(images, method.class_features(), seen)
    assert logits.shape == (4, len(CLASSES)) and logits.isfinite().all()
    if steps and any(True for _ in method.parameters()):
        method.backward(method.losses(images, labels))
        assert all(p.grad is not None and p.grad.abs().max() > 0 for p in method.parameters())
    assert not any(p.requires_grad for p in frozen.model.parameters())


@pytest.mark.parametrize("trainer", EVERYWHERE)
def test_on_every_backbone(backbone, trainer):
    check(method_of(trainer, backbone), backbone, steps=trainer != "LinearProbe")


def test_mma_on_transformers(backbone):
    if backbone.name.startswith("RN"):
        with pytest.raises(ValueError, match=r"MMA.*vision transformer.*ViT"):
            method_of("MMA", backbone)
        return
    method = method_of("MMA", backbone)
    assert method.layers == list(range(5, 13))
    check(method, backbone)
    image, text = backbone.visual.transformer.width, backbone.model.transformer.width
    own = sum(2 * width * 32 + 32 + width for width in (image, text))
    assert sum(p.numel() for p in method.parameters()) == 8 * (own + 32 * 32 + 32)


def test_sizes(backbone):
    e = backbone.embed_dim
    count = {name: sum(p.numel() for p in method_of(name, backbone).parameters()) for name in EVERYWHERE}
    assert count == {
        "CLIPAdapter": 2 * e * (e // 4),
        "TipAdapter": 0,
        "TipAdapterF": 6 * e,
        "LinearProbe": len(CLASSES) * (e + 1),
    }


@pytest.mark.parametrize("trainer", ["TipAdapter", "TipAdapterF"])
def test_classes_outside_the_cache_get_zero_shot_logits(backbone, trainer):
    method, images = method_of(trainer, backbone), image_batch(backbone)
    zero_shot = 100 * backbone.image_features(images) @ method.w_0.t()
    with_cache = method.logits(images, method.w_0, torch.tensor(True))
    mixed = method.logits(images, method.w_0, torch.tensor([True, False, True]))
    assert torch.allclose(method.logits(images, method.w_0, torch.tensor(False)), zero_shot, atol=1e-4)
    assert torch.equal(mixed[:, [0, 2]], with_cache[:, [0, 2]])
    assert torch.allclose(mixed[:, 1], zero_shot[:, 1], atol=1e-4)


@pytest.mark.parametrize(
    ("given", "depth", "layers"),
    [
        ((5, 12), 12, [5, 12]),
        ((0, 12), 12, [0, 12]),
        ((0, 0), 12, [0, 0]),
        (("auto", "auto"), 12, [5, 12]),
        (("", "auto"), 24, [10, 24]),
        (("auto", "auto"), 2, [1, 2]),
        ((3, "auto"), 4, [3, 4]),
    ],
)
def test_adapted_layers(given, depth, layers):
    assert adapted_layers(*given, depth) == list(range(layers[0], layers[1] + 1))


@pytest.mark.parametrize("given", [(5, 13), (6, 5), (-1, 4)])
def test_layers_that_are_not_there_are_named(given):
    with pytest.raises(ValueError, match=r"ADAPTER_START.*from 0, the embedding stage, to 12"):
        adapted_layers(*given, 12)
