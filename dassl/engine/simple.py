"""Trainer of one model on a list of labelled images, which is tested on another list."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from yacs.config import CfgNode

from dassl.config.defaults import choices
from dassl.config.yaml_files import ConfigError
from dassl.data.data_manager import DataManager, DatasetWrapper
from dassl.engine.base import TrainerBase
from dassl.engine.build import build_callbacks
from dassl.engine.distributed import (
    broadcast_models,
    broadcast_random_state,
    from_first,
    outcomes_of_all,
    processes,
    rank,
)
from dassl.engine.measurements import Measures
from dassl.engine.resume import Position, check_workers, remove_positions, resume
from dassl.engine.stop import StopRequest
from dassl.evaluation.build import build_evaluator
from dassl.modeling import build_backbone, build_head
from dassl.optim.optimizer import build_optimizer
from dassl.optim.schedules import build_lr_scheduler
from dassl.utils.checkpoint import BEST, load_checkpoint, load_pretrained_weights
from dassl.utils.layers import count_num_param
from dassl.utils.names import check_availability
from dassl.utils.phases import phase
from safeio.errors import MissingFile
from safeio.neighbours import remove_leftovers
from safeio.progress import progress
from safeio.read_back import DamagedFile

GROWN = 1e5
"""Size of a learned parameter from which on the training is taken to have diverged."""


class SimpleNet(nn.Module):
    """A registered backbone, optionally a registered head, and a linear classifier.

    Args:
        model_cfg: ``cfg.MODEL``.
        num_classes: 0 for no classifier: the output are features.
    """

    def __init__(self, cfg: CfgNode, model_cfg: CfgNode, num_classes: int, **kwargs: Any):
        super().__init__()
        self.backbone = build_backbone(
            model_cfg.BACKBONE.NAME, verbose=cfg.VERBOSE, pretrained=model_cfg.BACKBONE.PRETRAINED, **kwargs
        )
        self.head = None
        self._fdim = self.backbone.out_features
        if model_cfg.HEAD.NAME:
            self.head = build_head(
                model_cfg.HEAD.NAME,
                verbose=cfg.VERBOSE,
                in_features=self._fdim,
                hidden_layers=model_cfg.HEAD.HIDDEN_LAYERS,
                activation=model_cfg.HEAD.ACTIVATION,
                bn=model_cfg.HEAD.BN,
                dropout=model_cfg.HEAD.DROPOUT,
                **kwargs,
            )
            self._fdim = self.head.out_features
        self.classifier = nn.Linear(self._fdim, num_classes) if num_classes > 0 else None

    @property
    def fdim(self) -> int:
        """Length of the feature vector before the classifier."""
        return self._fdim

    def forward(self, x: Tensor, return_feature: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """Images (B, 3, H, W) to logits (B, C), with ``return_feature`` also features (B, fdim)."""
        features = self.backbone(x)
        if self.head is not None:
            features = self.head(features)
        if self.classifier is None:
            return features
        logits = self.classifier(features)
        return (logits, features) if return_feature else logits


class SimpleTrainer(TrainerBase):
    """Builds data, model and evaluator from a configuration; tests and saves on the configured occasions."""

    def __init__(self, cfg: CfgNode):
        super().__init__()
        check_availability(cfg.TEST.FINAL_MODEL, choices("TEST.FINAL_MODEL"), kind="TEST.FINAL_MODEL")
        self.check_cfg(cfg)
        self.device = torch.device("cuda" if cfg.USE_CUDA and torch.cuda.is_available() else "cpu")
        self.measures = Measures(self.device)
        self.start_epoch = self.epoch = 0
        self.max_epoch = cfg.OPTIM.MAX_EPOCH
        self.output_dir = cfg.OUTPUT_DIR
        self.cfg = cfg
        self.build_data_loader()
        self.build_model()
        self.evaluator = build_evaluator(cfg, lab2cname=self.lab2cname)
        self.best_result = -np.inf
        self.tested: Any = None  # what `test` returned after training
        self.stop = StopRequest()
        self.position: Position | None = None  # where an interrupted training continues
        self.unsaved_steps = 0
        self.callbacks = build_callbacks(cfg) if rank() == 0 else []
        self.damaged: set[Path] = set()  # positions on disk that cannot be read

    def check_cfg(self, cfg: CfgNode) -> None:
        """Refuse a configuration that this trainer cannot use. Subclasses override this."""

    def build_data_loader(self) -> None:
        """Build the data manager ``dm`` and its loaders, and set the classes."""
        with phase("listing"):
            self.dm = DataManager(self.cfg)
        self.train_loader_x = self.dm.train_loader_x
        self.train_loader_u = self.dm.train_loader_u  # None without unlabelled data
        self.val_loader = self.dm.val_loader  # None without validation data
        self.test_loader = self.dm.test_loader
        self.num_classes = self.dm.num_classes
        self.num_source_domains = self.dm.num_source_domains
        self.lab2cname = self.dm.lab2cname

    def build_model(self) -> None:
        """Make and register the model. Overridden by nearly every method."""
        cfg = self.cfg
        print("Building model")
        self.model = SimpleNet(cfg, cfg.MODEL, self.num_classes)
        if cfg.MODEL.INIT_WEIGHTS:
            load_pretrained_weights(self.model, cfg.MODEL.INIT_WEIGHTS)
        self.model.to(self.device)
        print(f"# params: {count_num_param(self.model):,}")
        self.optim = build_optimizer(self.model, cfg.OPTIM)
        self.sched = build_lr_scheduler(self.optim, cfg.OPTIM)
        self.register_model("model", self.model, self.optim, self.sched)

    def train(self) -> None:
        with self.stop.listening():
            super().train(self.start_epoch, self.max_epoch)

    def before_train(self) -> None:
        """Resume if there is something to resume, open the writer, start the clock."""
        for folder in (self.output_dir, *(Path(self.output_dir) / name for name in self.get_model_names())):
            remove_leftovers(folder)
        directory = self.cfg.RESUME or self.output_dir
        self.start_epoch, self.position = resume(self, directory)
        if self.cfg.RESUME and not self.start_epoch and self.position is None:
            raise MissingFile(f"RESUME is {self.cfg.RESUME!r}, which has no checkpoints of {self.get_model_names()}")
        if self.start_epoch and self.cfg.TEST.FINAL_MODEL == "best_val":
            self.best_result = self._best_result_so_far()
        if self.start_epoch > self.max_epoch:
            raise ConfigError(
                f"OPTIM.MAX_EPOCH is {self.max_epoch}, but the run in {directory} has trained {self.start_epoch} "
                f"epochs already. Give OPTIM.MAX_EPOCH {self.start_epoch} to test it, or another --output-dir to train "
                f"anew."
            )
        if self.start_epoch < self.max_epoch:  # else nothing is trained any more
            check_workers(self, directory)
        match_first_process(self)
        self._keep_decoded_images()
        if "tensorboard" in self.cfg.TRAIN.TRACK:
            self.init_writer(Path(self.output_dir) / "tensorboard")
        self.time_start = time.time()

    def _keep_decoded_images(self) -> None:
        """Decode the training images once, unless each is read only once anyway."""
        images = getattr(self.train_loader_x, "dataset", None)
        if self.cfg.DATALOADER.CACHE and isinstance(images, DatasetWrapper) and self.max_epoch > self.start_epoch + 1:
            with phase("images"):
                images.keep_decoded(self.cfg.DATALOADER.CACHE_MEMORY_GIB)

    def after_train(self) -> None:
        """Test the final model, print the time taken."""
        # Two wordings: result parsers in use look for the one or the other.
        print("Finish training\nFinished training")
        self._say_if_it_grew()
        remove_positions(self.output_dir)
        if not self.cfg.TEST.NO_TEST:
            if self.cfg.TEST.FINAL_MODEL == "best_val":
                print("Deploy the model with the best val performance")
                if rank() == 0:
                    self.load_model(self.output_dir)
            else:
                print("Deploy the last-epoch model")
            self.tested = self.test()
        print(f"Elapsed: {timedelta(seconds=round(time.time() - self.time_start))}")
        self.close_writer()

    def _say_if_it_grew(self) -> None:
        """Warn of very large parameters: with too high a learning rate, losses can look harmless after divergence."""
        models = (self._models[name] for name in self.get_model_names() if self._models[name] is not None)
        learned = [parameter.detach().abs().max() for model in models for parameter in model.parameters()
                   if parameter.requires_grad and parameter.numel()]  # fmt: skip
        largest = max((float(value) for value in learned), default=0.0)
        if not largest < GROWN:  # NaN is not less
            self.notice(
                f"Learned parameters have grown to {largest:.3g}: the training went wrong, its result means nothing. "
                f"OPTIM.LR is {self.cfg.OPTIM.LR}; try a lower one."
            )

    def after_epoch(self) -> None:
        """Keep the best model on validation data if TEST.FINAL_MODEL asks for it; save checkpoints when due."""
        cfg = self.cfg
        if cfg.TEST.FINAL_MODEL == "best_val" and not cfg.TEST.NO_TEST:
            result = self.test(split="val")
            if result > self.best_result:
                self.best_result = result
                self.save_model(self.epoch, self.output_dir, val_result=result, model_name=BEST)
        epochs = self.epoch + 1
        frequency = cfg.TRAIN.CHECKPOINT_FREQ
        if epochs == self.max_epoch or (frequency > 0 and epochs % frequency == 0):
            self.save_model(self.epoch, self.output_dir)

    @torch.no_grad()
    def test(self, split: str | None = None) -> float:
        """Evaluate on ``val`` (``test`` if there is no such data) or ``test``; default ``cfg.TEST.SPLIT``.

        Returns:
            The evaluator's first result: accuracy in percent.
        """
        self.set_model_mode("eval")
        self.evaluator.reset()
        split = split or self.cfg.TEST.SPLIT
        if split == "val" and self.val_loader is None:
            print("There are no validation images: evaluating on the test set")
        if split == "val" and self.val_loader is not None:
            loader = self.val_loader
        else:
            split, loader = "test", self.test_loader
        if loader is None:
            raise ValueError(f"The dataset {self.cfg.DATASET.NAME} has no test images")
        print(f"Evaluate on the *{split}* set")
        start, images = time.perf_counter(), 0
        broadcast_models(self._models.values())
        tested = getattr(loader, "dataset", None)  # a plugin's loader may have none
        with phase("images"):
            if hasattr(tested, "prepare"):
                tested.prepare()
            for output, label in progress(outcomes_of_all(loader, self._scores), split, total=len(loader)):
                with phase("evaluation"):
                    self.evaluator.process(output, label)
                images += len(label)
        if not getattr(tested, "read", False):  # what is only read says nothing of the speed
            self.measures.add("test", images, time.perf_counter() - start)
        results = self.evaluator.evaluate()
        with phase("writing"):
            self.evaluator.save_confusion(self.output_dir)
        for name, value in results.items():
            self.write_scalar(f"{split}/{name}", value, self.epoch)
        self.notify("on_test_end", split, results)
        return next(iter(results.values()))

    def _scores(self, batch: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Scores and labels of a test batch."""
        with phase("evaluation"):
            input, label = self.parse_batch_test(batch)
            return self.model_inference(input), label

    def model_inference(self, input: Tensor) -> Tensor:
        """Images (B, 3, H, W) to scores (B, C)."""
        return self.model(input)

    def parse_batch_test(self, batch: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Images and labels of a batch, on the device."""
        return batch["img"].to(self.device), batch["label"].to(self.device)

    def _best_result_so_far(self) -> float:
        """Best validation result of an interrupted run, so that a worse epoch does not take its place."""
        paths = [Path(self.output_dir) / name / BEST for name in self.get_model_names()]
        if not all(path.is_file() for path in paths):
            return -np.inf
        try:
            values = [load_checkpoint(path).get("val_result") for path in paths]  # of each: a damaged one is none
        except DamagedFile as error:
            self.notice(
                f"{error} The best model is now chosen among the epochs that follow, and is the best of these alone."
            )
            return -np.inf
        return -np.inf if values[0] is None else float(values[0])


def match_first_process(trainer: SimpleTrainer) -> None:
    """Copy the position of the first process, which alone looks for checkpoints, to every process."""
    if processes() == 1:
        return
    names = trainer.get_model_names()
    position = trainer.position
    first = from_first(
        {
            "start_epoch": trainer.start_epoch,
            "best_result": float(trainer.best_result),
            "position": None if position is None else tuple(position),
            "models": {name: trainer.checkpoint_state(name, trainer.start_epoch) for name in names},
        }
    )
    if rank() != 0:
        for name, state in first["models"].items():
            trainer.restore_state(name, state)
        trainer.start_epoch, trainer.best_result = first["start_epoch"], first["best_result"]
        trainer.position = None if first["position"] is None else Position(*first["position"])
    broadcast_random_state()
