"""Real trainers on random CLIPs of any shape and random images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any
from unittest import mock

import pytest
import torch

import train
import trainers  # noqa: F401  (registers the methods)
from clip.model import CLIP
from dassl.engine import TRAINER_REGISTRY
from trainers.base.run_settings import settings_of_run
from trainers.base.templates import ensemble


def few_templates(name: str) -> list[str]:
    """Three of PromptSRC's sixty: all of them would take most of these tests' time (the golden ones have all)."""
    return ensemble(name)[:3]


class Workshop:
    """Keeps random CLIPs as files and builds trainers on them.

    Args:
        folder: where the files go.
    """

    def __init__(self, folder: Path):
        self.folder, self.sides = folder, {}

    def add(self, name: str, **shape) -> None:
        """A CLIP with random weights; `shape` is what `CLIP` takes."""
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = CLIP(context_length=77, vocab_size=49408, **shape)
        torch.save(model.state_dict(), self.folder / f"{name}.pt")
        self.sides[name] = model.visual.input_resolution

    def build(
        self,
        trainer: str,
        clip: str,
        classnames: Sequence[str],
        test_classes="seen",
        cuda=False,
        optimizer="",
        dataset="",
        images: Sequence[int] = (),
        at_once=32,
        validation=True,
        options: Mapping[str, Any] = MappingProxyType({}),
        **settings,
    ):
        """The trainer for these classes in float32, on the CPU unless `cuda`; `settings` are the method's own.

        `optimizer` replaces what the method's configuration names, an OPTIM.NAME; `dataset` is a DATASET.NAME;
        `options` are further settings of the engine.

        Args:
            images: how many random training images each class has; validation and test images are as many. Without,
                the data loaders are empty.
            at_once: images in a batch.
            validation: whether there are validation images.
        """
        real = TRAINER_REGISTRY.get(trainer)
        side = self.sides[clip]
        common = {"PREC": "fp32", "TEXTS": "templates"}
        own = {key: value for key, value in (common | settings).items() if key in real.defaults}
        options = {f"TRAINER.{real.settings_node}.{key}": value for key, value in own.items()} | {
            "MODEL.BACKBONE.NAME": self.folder / f"{clip}.pt",
            "INPUT.SIZE": (side, side),
            "USE_CUDA": cuda,
            "TEST.CLASSES": test_classes,
            "OPTIM.LR": 0.01,
            "OUTPUT_DIR": self.folder,
            "DATALOADER.TRAIN_X.BATCH_SIZE": at_once,
            **options,
        }
        if optimizer:
            options["OPTIM.NAME"] = optimizer
        if dataset:
            options["DATASET.NAME"] = dataset
        words = [str(word) for pair in options.items() for word in pair]
        cfg = settings_of_run(train.parse(["--trainer", trainer, "--seed", "1", *words])).cfg

        class OnRandomImages(real):
            def build_data_loader(self):
                labels = [label for label, count in enumerate(images) for _ in range(count)]
                train_x = [SimpleNamespace(label=label) for label in labels]
                self.dm = SimpleNamespace(dataset=SimpleNamespace(classnames=list(classnames), train_x=train_x))
                self.train_loader_x, self.val_loader, self.test_loader = (
                    batches_of_noise(labels, side, at_once, seed) for seed in range(3)
                )
                self.train_loader_u = None if images else []
                self.val_loader = self.val_loader if validation else None
                self.num_classes, self.lab2cname = len(classnames), dict(enumerate(classnames))

            def training_rows(self, views):
                with torch.no_grad(), self.precision.context():
                    return torch.stack([self.pooled_view(-1 if view is None else view) for view in views])

            def pooled_view(self, view):
                shown = noise(len(self.dm.dataset.train_x), side, 10 + view)
                return self.method.clip.pool(shown.to(self.device)).float()

        OnRandomImages.__name__ = trainer
        with mock.patch("trainers.promptsrc.ensemble", few_templates):
            built = OnRandomImages(cfg)
        built.batch_idx, built.num_batches = 0, 2  # a step in the middle of an epoch
        return built

    def batch(self, clip: str, count: int, classes: int) -> dict[str, torch.Tensor]:
        """`count` random images with labels."""
        generator = torch.Generator().manual_seed(1)
        images = torch.randn(count, 3, self.sides[clip], self.sides[clip], generator=generator)
        return {"img": images, "label": torch.randint(classes, (count,), generator=generator)}


def noise(count: int, side: int, seed: int) -> torch.Tensor:
    """Random images (N, 3, S, S)."""
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


def batches_of_noise(labels: Sequence[int], side: int, at_once: int, seed: int) -> list[dict[str, torch.Tensor]]:
    """Random images with these labels, in batches."""
    images, labels = noise(len(labels), side, seed), torch.tensor(labels, dtype=torch.long)
    return [
        {"img": own, "label": y} for own, y in zip(images.split(at_once), labels.split(at_once), strict=True) if len(y)
    ]


@pytest.fixture(scope="session")
def workshop(tmp_path_factory) -> Workshop:
    """With CLIPs in the proportions of OpenAI's, except that no two widths or depths in one are equal: a number taken
    from the wrong encoder, or written into a method, does not fit. And one with the published layer numbers."""
    made = Workshop(tmp_path_factory.mktemp("clips"))
    base = {"embed_dim": 96, "image_resolution": 64, "vision_layers": 6, "vision_width": 192}
    base |= {"transformer_width": 128, "transformer_heads": 2, "transformer_layers": 5}
    made.add("ViT-B-32", **base, vision_patch_size=32)
    made.add("ViT-B-16", **base, vision_patch_size=16)
    large = {"embed_dim": 160, "image_resolution": 56, "vision_layers": 6, "vision_width": 256, "vision_patch_size": 14}
    made.add("ViT-L-14", **large, transformer_width=192, transformer_heads=3, transformer_layers=4)
    resnet = {"embed_dim": 96, "image_resolution": 64, "vision_layers": (1, 2, 1, 1), "vision_width": 8}
    resnet |= {"vision_patch_size": None, "transformer_width": 128, "transformer_heads": 2, "transformer_layers": 4}
    made.add("RN50", **resnet)
    small = {"embed_dim": 32, "image_resolution": 16, "vision_layers": 3, "vision_width": 64, "vision_patch_size": 8}
    made.add("small", **small, transformer_width=128, transformer_heads=2, transformer_layers=4)
    twelve = {"embed_dim": 32, "image_resolution": 16, "vision_layers": 12, "vision_width": 64, "vision_patch_size": 8}
    made.add("twelve layers", **twelve, transformer_width=64, transformer_heads=1, transformer_layers=12)
    return made
