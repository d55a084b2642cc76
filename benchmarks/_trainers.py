"""Build trainers of the real methods on random weights, with class names but no images, and make them plain."""

from __future__ import annotations

import argparse
from pathlib import Path
from types import SimpleNamespace

import torch

import train
import trainers  # noqa: F401  (registers the methods)
from benchmarks._published_blocks import publish
from benchmarks._shapes import COMMON, SHAPES, VARYING
from clip.full_vision import FullVisionTransformer
from clip.model import CLIP
from clip.reference import FullTextEncoder
from clip.vision import VisionTransformer
from dassl.engine import TRAINER_REGISTRY
from safeio.errors import UserError
from trainers.base.run_settings import settings_of_run
from trainers.base.training_free import TrainingFreeTrainer
from trainers.steps.plain import PlainStep
from trainers.tip_adapter import CacheTrainer


def class_names(count: int) -> list[str]:
    """Return names of ImageNet's classes, from open_clip; if more are asked for, they repeat with a number."""
    try:
        from open_clip import IMAGENET_CLASSNAMES
    except ImportError:
        raise UserError("ImageNet's class names come with open_clip: pip install -e '.[open-clip]'") from None

    step = max(1, len(IMAGENET_CLASSNAMES) // count)
    names = IMAGENET_CLASSNAMES[::step][:count]
    return [*names, *(f"{IMAGENET_CLASSNAMES[i % 1000]} {i}" for i in range(len(names), count))]


def random_weights(backbone: str, folder: Path) -> Path:
    """Write random weights in a backbone's shape and return the file."""
    shape = dict(zip(VARYING, SHAPES[backbone], strict=True))
    torch.manual_seed(0)
    model = CLIP(**COMMON, **shape, transformer_heads=shape["transformer_width"] // 64)
    file = folder / "random.pt"
    torch.save(model.state_dict(), file)
    return file


def build_trainer(args: argparse.Namespace, weights: Path, names: list[str]):
    """Build the method's own trainer on class names, without images.

    Raises:
        UserError: a method that is not there, or one that looks at training images before it can do anything.
    """
    cuda = args.device == "cuda"
    real = TRAINER_REGISTRY.get(args.method)
    if issubclass(real, TrainingFreeTrainer | CacheTrainer):
        raise UserError(f"{args.method} learns from the features of training images, of which a benchmark has none")
    options = {"MODEL.BACKBONE.NAME": weights, "DATASET.NAME": "ImageNet", "USE_CUDA": cuda, "TEST.CLASSES": "seen"}
    options |= {"INPUT.SIZE": "(224,224)"}
    if real.settings_node:
        options |= {f"TRAINER.{real.settings_node}.PREC": args.prec}
    words = [str(word) for pair in options.items() for word in pair]
    cfg = settings_of_run(train.parse(["--trainer", args.method, *words, *args.options])).cfg

    class OnClassNames(real):
        def build_data_loader(self):
            self.dm = SimpleNamespace(dataset=SimpleNamespace(classnames=names))
            self.train_loader_x = self.train_loader_u = self.val_loader = self.test_loader = None
            self.num_classes, self.lab2cname = len(names), dict(enumerate(names))

    OnClassNames.__name__ = args.method
    torch.manual_seed(0)
    return OnClassNames(cfg)


def check_learns(trainer) -> None:
    """Refuse a method that takes no training steps.

    Raises:
        UserError: there is nothing to train.
    """
    if not trainer.learns:
        raise UserError(f"{trainer.cfg.TRAINER.NAME} learns nothing: there is no step to measure")


def leave_start(trainer) -> None:
    """Move the parameters a little from their start values, the same at each call.

    At the start some methods equal their teachers, and have no gradient towards them whose direction means anything.
    """
    generator = torch.Generator().manual_seed(1)
    for parameter in trainer.method.parameters():
        parameter.data += 0.02 * torch.randn(parameter.shape, generator=generator).to(parameter.device)


def make_plain(trainer) -> None:
    """Replace the fast encoders and all that they computed ahead by the plain ones, and record no graphs."""
    trainer.computer = PlainStep()
    method, frozen = trainer.method, trainer.method.clip
    frozen.text = FullTextEncoder(frozen.model)
    if isinstance(frozen.visual, VisionTransformer):
        frozen.visual = FullVisionTransformer(frozen.visual)
    if hasattr(method, "text_start"):
        method.text_start = frozen.text.forward_until(method.prompts, to=method.text_start.layer)


def make_published(trainer) -> None:
    """Do as `make_plain`, and take the blocks of published code too."""
    make_plain(trainer)
    model = trainer.method.clip.model
    publish(model.transformer)
    if isinstance(model.visual, VisionTransformer):
        publish(model.visual.transformer)
