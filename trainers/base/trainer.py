"""Trainer of all CLIP methods: loads the backbone, sets the precision, steps, tests and saves."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from yacs.config import CfgNode

from dassl.config import ConfigError
from dassl.config.validators import Dependency
from dassl.engine import TrainerX
from dassl.engine.distributed import processes
from dassl.engine.temperature import fitted_temperature
from dassl.optim import build_lr_scheduler, build_optimizer
from dassl.optim.schedules import EpochScheduler
from dassl.utils import load_pretrained_weights
from dassl.utils.checkpoint import BEST, NUMBERED
from dassl.utils.phases import phase
from trainers.base.build import build_clip, build_method, method_settings
from trainers.base.checkpoints import check_loaded, check_resumed, identity
from trainers.base.feature_cache import FeatureCache, loader_of_rows
from trainers.base.frozen_clip import FrozenCLIP
from trainers.base.method import Losses, Method, accuracy
from trainers.base.precision import PRECISIONS, Precision
from trainers.base.setting import Setting, declare
from trainers.base.templates import check_template, dataset_template
from trainers.steps.cuda_graph import GraphedStep, Graphs
from trainers.steps.plain import PlainStep, StepComputer

TEST_CLASSES = ("seen", "unseen")
"""Values of TEST.CLASSES: the tested classes are the trained ones, or others."""


class ClipTrainer(TrainerX):
    """Trains and tests one `Method`; a subclass names it and its settings.

    Attributes:
        method_class: what is trained.
        settings_node: name of the method's node under cfg.TRAINER; empty: it has no settings of its own.
        defaults: the settings: name -> `Setting`, or its default alone; afterwards name -> default.
        declared: what `defaults` was given, with what is inherited: name -> `Setting`.
        settings_source: where the defaults were read: repository and file, or the paper; a `Setting` may name another.
        dependencies: what several settings must be together.
        published_keys: keys of the published code's settings that have another name here: key -> what to write, for
            the message to who gives one.
        checkpoint_folder: folder of the checkpoints inside the run's, as the published code names it.
        computer: computes the steps.
        columns: columns of the method's scores that are the dataset's classes; None: all, in their order.
        trained_temperature: that of the run whose checkpoint is tested, for TEST.FIT_TEMPERATURE; None: it has none.
    """

    method_class: type[Method]
    settings_node: str = ""
    defaults: dict[str, Any] = {}
    declared: dict[str, Setting] = {}
    settings_source: str = ""
    dependencies: tuple[Dependency, ...] = ()
    published_keys: dict[str, str] = {}
    checkpoint_folder: str = "method"
    computer: StepComputer = PlainStep()
    trained_temperature: float | None = None

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        cls.declared = declare(cls.defaults, cls.declared, cls.settings_source)
        cls.defaults = {name: setting.default for name, setting in cls.declared.items()}

    @classmethod
    def unread(cls, cfg: CfgNode) -> dict[str, str]:
        """Return the settings that have no effect under the values of the others: key -> reason."""
        own = cls.method_class.unread(cfg.TRAINER.get(cls.settings_node, CfgNode()))
        return {f"TRAINER.{cls.settings_node}.{name}": why for name, why in own.items()}

    @property
    def settings(self) -> CfgNode:
        """The method's own settings."""
        return method_settings(self.cfg, self.settings_node)

    @cached_property
    def precision(self) -> Precision:
        return Precision(self.settings.get("PREC", "fp32"), self.device)

    @cached_property
    def frozen(self) -> FrozenCLIP:
        """The backbone."""
        return build_clip(self.cfg, self.precision, self.device)

    def check_cfg(self, cfg: CfgNode) -> None:
        node = cfg.TRAINER[self.settings_node] if self.settings_node else {}
        precision = node.get("PREC", "fp32")
        if precision not in PRECISIONS:
            raise ConfigError(
                f"TRAINER.{self.settings_node}.PREC is {precision!r}; it must be one of {', '.join(PRECISIONS)}"
            )
        if cfg.TEST.CLASSES not in ("", *TEST_CLASSES):
            raise ConfigError(f"TEST.CLASSES is {cfg.TEST.CLASSES!r}; it must be one of {', '.join(TEST_CLASSES)}")
        check_template(cfg.DATASET.TEMPLATE or dataset_template(cfg.DATASET.NAME, cfg.TRAINER.NAME))

    def build_data_loader(self) -> None:
        """Build the backbone before the data, so that settings that do not fit fail before any data is read."""
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            self.of_classes(["thing"])
        super().build_data_loader()
        if self.tests_rows:
            self.val_loader = loader_of_rows(self.cache, self.val_loader)
            self.test_loader = loader_of_rows(self.cache, self.test_loader)

    @property
    def tests_rows(self) -> bool:
        """Return whether test images are encoded once for all runs; processes that share a run share images instead."""
        return self.method_class.on_frozen_features and processes() == 1

    @cached_property
    def cache(self) -> FeatureCache:
        """The rows of images that frozen CLIP has encoded."""
        return FeatureCache(self.cfg, self.frozen, self.precision)

    def of_classes(self, names: Sequence[str]) -> Method:
        """The method at its start values."""
        return build_method(self.cfg, self.method_class, self.settings_node, self.frozen, self.precision, names)

    def build_model(self) -> None:
        cfg = self.cfg
        self.scaler = self.precision.scaler
        with phase("class texts"):
            self.method = self.of_classes(self.dm.dataset.classnames)
        self._classes_of_checkpoint: str | None = None
        self.columns: Tensor | None = None
        if cfg.TEST.CLASSES == "unseen" and not self.method.transfers:
            raise ConfigError(
                f"{cfg.TRAINER.NAME} with these settings has parameters for each trained class and cannot "
                "predict others (TEST.CLASSES unseen): test it on the trained classes only"
            )
        self.class_features, self.replays, self.skipped_steps = None, None, 0
        if not self.learns:
            return
        if cfg.MODEL.INIT_WEIGHTS:
            load_pretrained_weights(self.method, cfg.MODEL.INIT_WEIGHTS)
        self.optim = self.build_optimizer()
        self.sched = self.build_schedule()
        self.register_model(self.checkpoint_folder, self.method, self.optim, self.sched)
        self.restart_graphs()

    def build_optimizer(self) -> torch.optim.Optimizer:
        """The optimiser of what the method learns."""
        optim = self.cfg.OPTIM
        groups = None if optim.STAGED_LR else self.method.parameter_groups(optim.LR)
        return build_optimizer(self.method, optim, groups)

    @property
    def schedule_unit(self) -> str:
        """Unit after which the learning rate changes, "step" or "epoch" (OPTIM.SCHEDULE_UNIT)."""
        return self.cfg.OPTIM.SCHEDULE_UNIT

    def build_schedule(self) -> EpochScheduler:
        """The schedule of the learning rate, to be stepped once a `schedule_unit`."""
        steps = len(self.train_loader_x) if self.schedule_unit == "step" else None
        return build_lr_scheduler(self.optim, self.cfg.OPTIM, steps)

    def restart_graphs(self) -> None:
        """Record CUDA graphs again, where they are used, because the computation has changed."""
        if self.graphs:
            self.computer = GraphedStep(self)

    @property
    def graphs(self) -> bool:
        """Return whether CUDA graphs are tried."""
        return self.cfg.TRAIN.CUDA_GRAPHS and self.device.type == "cuda"

    @property
    def learns(self) -> bool:
        """Return whether there is anything to train."""
        return next(self.method.parameters(), None) is not None

    def losses(self, images: Tensor, labels: Tensor) -> Losses:
        """The method's losses in the run's precision."""
        return self.computer.losses(self, images, labels)

    def forward_backward(self, batch: dict) -> dict[str, float]:
        images, labels = self.parse_batch_train(batch)
        losses = self.losses(images, labels)
        total = losses.total()
        skipped = self.cfg.TRAIN.SKIP_NONFINITE and not torch.isfinite(total)
        if skipped:
            self.skip()
        else:
            self.detect_anomaly(total)
            self.optim.zero_grad()
            self.backward_and_step(losses)
        if self.batch_idx + 1 == self.num_batches:
            self.finish_epoch()
        if skipped:
            return {}
        terms = losses.terms if len(losses.terms) > 1 else {}
        return {
            "loss": total.item(),
            "acc": accuracy(losses.logits.detach(), labels).item(),
            **{name: term.value.item() for name, term in terms.items()},
        }

    def skip(self) -> None:
        """Count a skipped step.

        Raises:
            FloatingPointError: a learned parameter is NaN or infinite, so that every later step would fail too.
        """
        self.skipped_steps += 1
        lost = [name for name, parameter in self.method.named_parameters() if not torch.isfinite(parameter).all()]
        if lost:
            raise FloatingPointError(
                f"Loss is infinite or NaN, and so are learned parameters ({', '.join(lost[:3])}): skipping steps "
                f"(TRAIN.SKIP_NONFINITE) cannot repair that: train anew with a lower OPTIM.LR or another PREC."
            )

    def finish_epoch(self) -> None:
        """Step the schedule at the end of an epoch, unless it is stepped after each step."""
        if self.schedule_unit == "epoch":
            self.update_lr()

    def backward_and_step(self, losses: Losses) -> None:
        """Gradients and one optimiser step, scaled where the precision asks for it."""
        self.computer.backward(self, losses)
        self.scaler.step(self.optim)
        self.scaler.update()
        if self.schedule_unit == "step":
            self.update_lr()

    def parse_batch_train(self, batch: dict) -> tuple[Tensor, Tensor]:
        return batch["img"].to(self.device), batch["label"].to(self.device)

    def about(self) -> dict[str, Any]:
        return identity(self.cfg, self.settings, self.method.clip, self.dm.dataset.classnames)

    def check_about(self, about: dict[str, Any], source: str, resuming: bool) -> None:
        if about and resuming:
            check_resumed(about, self.about(), source)
        elif about:
            self._classes_of_checkpoint = (
                "seen" if set(self.dm.dataset.classnames) <= set(about["classes"]) else TEST_CLASSES[1]
            )
            check_loaded(about, self.about(), self.test_classes, self.method.transfers, source)
            self.answer_from(about["classes"])

    def answer_from(self, trained: Sequence[str]) -> None:
        """Build the method for all classes of a checkpoint and read the columns of the tested ones.

        Only a method whose learned parts belong to single classes needs this, and only under the rule `seen`.
        The tested classes may be some of the trained ones, in another order, such as ImageNet-A's of ImageNet's.
        """
        asked, self.columns = self.dm.dataset.classnames, None
        if self.test_classes != "seen" or not self.method.tied_to_classes(self.settings) or [*asked] == [*trained]:
            return
        self.method = self._models[self.checkpoint_folder] = self.of_classes(trained)
        self.columns = torch.tensor([trained.index(name) for name in asked], device=self.device)

    def checkpoint_state(self, name: str, epoch: int, val_result: float | None = None) -> dict[str, Any]:
        return super().checkpoint_state(name, epoch, val_result) | {"skipped_steps": self.skipped_steps}

    def restore_state(self, name: str, state: dict[str, Any]) -> int:
        self.skipped_steps = state.get("skipped_steps") or 0
        return super().restore_state(name, state)

    def train(self) -> None:
        if self.learns:
            super().train()
        else:
            self.test()

    @property
    def test_classes(self) -> str:
        """The prediction rule: TEST.CLASSES or, where no protocol decides, by the classes of the checkpoint.

        A checkpoint that does not name its classes was trained on the base half, as the published ones are.
        """
        base = "seen" if self.cfg.DATASET.SUBSAMPLE_CLASSES == "base" else "unseen"
        return self.cfg.TEST.CLASSES or self._classes_of_checkpoint or base

    @property
    def test_classes_reason(self) -> str:
        """Return the reason for `test_classes` where TEST.CLASSES is not set; else empty."""
        if self.cfg.TEST.CLASSES:
            return ""
        if self._classes_of_checkpoint is None:
            return "no protocol, and the checkpoint does not name its classes: DATASET.SUBSAMPLE_CLASSES decides"
        same = "all of the tested classes are" if self.test_classes == "seen" else "not all of the tested classes are"
        return f"no protocol: {same} among those that the checkpoint was trained on"

    def load_model(self, directory: str | os.PathLike, epoch: int | None = None) -> None:
        """Load checkpoints as the engine does; refuse to test start values where no folder is given.

        Raises:
            dassl.config.ConfigError: no folder is given, and there is something to load.
        """
        if self.learns and not directory:
            raise ConfigError(
                f"A test of {self.cfg.TRAINER.NAME} loads learned parameters: --model-dir must name a finished run's "
                f"folder with {self.checkpoint_folder}/{BEST} or {self.checkpoint_folder}/{NUMBERED}<epoch>"
            )
        super().load_model(directory, epoch)

    def test(self, split: str | None = None) -> float:
        with self.fixed_classes():
            if self.cfg.TEST.FIT_TEMPERATURE and (split or self.cfg.TEST.SPLIT) == "test":
                self.evaluator.temperature = self.trained_temperature or fitted_temperature(self, self.test_classes)
            return super().test(split)

    @contextmanager
    def fixed_classes(self) -> Iterator[None]:
        """Compute the class features once, for as long as nothing is trained."""
        self.set_model_mode("eval")
        with torch.no_grad(), self.precision.context(), phase("class texts"):
            self.class_features = self.method.class_features()
        self.replays = Graphs("prediction", lambda images: [self.scores(images)]) if self.graphs else None
        try:
            yield
        finally:
            self.class_features = self.replays = None

    @torch.no_grad()
    def model_inference(self, images: Tensor) -> Tensor:
        """Class scores (B, C) by the prediction rule that TEST.CLASSES asks for."""
        replayed = self.replays(images) if self.replays else None
        return self.scores(images) if replayed is None else replayed[0].clone()

    def scores(self, images: Tensor) -> Tensor:
        """Return class scores as `model_inference` does, computed plainly."""
        seen = torch.full((), self.test_classes == "seen", device=self.device)
        with self.precision.context():
            features = self.method.class_features() if self.class_features is None else self.class_features
            logits = self.method.logits(images, features, seen).float()
        return logits if self.columns is None else logits[:, self.columns]
