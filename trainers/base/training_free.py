"""Trainers that look at the training images' frozen features instead of taking gradient steps on images."""

from __future__ import annotations

import os
from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from yacs.config import CfgNode

from dassl.config import ConfigError
from dassl.engine import TrainerX
from trainers.base.trainer import ClipTrainer


class OnePassTrainer(ClipTrainer):
    """Its only epoch is `run_epoch`, which subclasses implement; the engine saves and tests as after any epoch."""

    learns = False

    def build_model(self) -> None:
        super().build_model()
        if not self.get_model_names():
            self.max_epoch = 1
            self.register_model(self.checkpoint_folder, self.method)

    def train(self) -> None:
        TrainerX.train(self)

    def load_model(self, directory: str | os.PathLike, epoch: int | None = None) -> None:
        if not directory:
            raise ConfigError(
                f"{self.cfg.TRAINER.NAME} is tested with what it took from the training images: --model-dir must "
                "name a finished run's folder"
            )
        super().load_model(directory, epoch)

    @torch.no_grad()
    def look(self, loader: DataLoader, encode: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """Features (n, E), float32, and labels (n,) of all images of a loader, in its order."""
        with self.precision.context():
            seen = [(encode(images), labels) for images, labels in map(self.parse_batch_test, loader)]
        features, labels = zip(*seen, strict=True)
        return torch.cat(features).float(), torch.cat(labels)


def every_image(dataset: Dataset, cfg: CfgNode) -> DataLoader:
    """The images in their order, none dropped."""
    return DataLoader(dataset, batch_size=cfg.DATALOADER.TEST.BATCH_SIZE, num_workers=cfg.DATALOADER.NUM_WORKERS)
