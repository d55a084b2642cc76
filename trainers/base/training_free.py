"""Trainers that compute their classifier from the training images' features, without gradient steps."""

from __future__ import annotations

import os

from yacs.config import CfgNode

from dassl.config import ConfigError
from dassl.engine import TrainerX
from trainers.base.feature_trainer import FeatureTrainer


class TrainingFreeTrainer(FeatureTrainer):
    """Trainer with a single epoch, `run_epoch`, which subclasses implement; the engine saves and tests after it."""

    learns = False

    @classmethod
    def unread(cls, cfg: CfgNode) -> dict[str, str]:
        return super().unread(cfg) | {f"OPTIM.{name}": "it takes no gradient steps" for name in cfg.OPTIM}

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
                f"A test of {self.cfg.TRAINER.NAME} loads what it computed from the training images: --model-dir must "
                "name a finished run's folder"
            )
        super().load_model(directory, epoch)
