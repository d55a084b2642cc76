"""Epochs batch by batch: TrainerX on labelled data, TrainerXU with unlabelled data beside it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

from torch import Tensor
from torch.utils.data import DataLoader

from dassl.engine.simple import SimpleTrainer
from dassl.utils.meters import AverageMeter, MetricMeter
from dassl.utils.names import check_availability
from dassl.utils.progress import print_line, progress

COUNT_ITER = ("train_x", "train_u", "smaller_one")


class _BatchTrainer(SimpleTrainer):
    """The loop over ``num_batches`` batches, with its log lines.

    During a step ``batch_idx`` is the position in the epoch, from 0. ``forward_backward`` calls ``update_lr``
    itself after the last one.
    """

    def run_batches(self, batches: Iterable[tuple], num_batches: int) -> None:
        """Call ``forward_backward(*batch)`` for each batch and report what it returns."""
        self.set_model_mode("train")
        self.num_batches = num_batches
        metrics, batch_time, data_time = MetricMeter(), AverageMeter(), AverageMeter()
        frequency = self.cfg.TRAIN.PRINT_FREQ
        bar = progress(batches, f"epoch {self.epoch + 1}/{self.max_epoch}", total=num_batches)
        start = time.time()
        for self.batch_idx, batch in enumerate(bar):
            data_time.update(time.time() - start)
            metrics.update(self.forward_backward(*batch))
            batch_time.update(time.time() - start)
            if (self.batch_idx + 1) % frequency == 0 or num_batches < frequency:
                print_line(self._log_line(metrics, batch_time, data_time))
            self._write_curves(metrics)
            start = time.time()

    def _log_line(self, metrics: MetricMeter, batch_time: AverageMeter, data_time: AverageMeter) -> str:
        """``epoch [2/20] batch [20/25] time 0.542 (0.576) data 0.000 (0.033) loss 1.2345 (1.3456) ...``"""
        batches_left = self.num_batches * (self.max_epoch - self.epoch) - self.batch_idx - 1
        parts = [
            f"epoch [{self.epoch + 1}/{self.max_epoch}]",
            f"batch [{self.batch_idx + 1}/{self.num_batches}]",
            f"time {batch_time.val:.3f} ({batch_time.avg:.3f})",
            f"data {data_time.val:.3f} ({data_time.avg:.3f})",
            str(metrics),
            f"lr {self.get_current_lr():.4e}",
            f"eta {timedelta(seconds=int(batch_time.avg * batches_left))}",
        ]
        return " ".join(part for part in parts if part)

    def _write_curves(self, metrics: MetricMeter) -> None:
        step = self.epoch * self.num_batches + self.batch_idx
        for name, meter in metrics.meters.items():
            self.write_scalar(f"train/{name}", meter.avg, step)
        self.write_scalar("train/lr", self.get_current_lr(), step)


class TrainerX(_BatchTrainer):
    """Trains on labelled data. A method adds ``build_model`` and ``forward_backward(batch)``."""

    def run_epoch(self) -> None:
        self.run_batches(((batch,) for batch in self.train_loader_x), len(self.train_loader_x))

    def parse_batch_train(self, batch: dict[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
        """Pictures, labels and domains of a batch, on the device."""
        return tuple(batch[key].to(self.device) for key in ("img", "label", "domain"))


class TrainerXU(_BatchTrainer):
    """Trains on labelled and unlabelled data. A method adds ``forward_backward(batch_x, batch_u)``.

    ``cfg.TRAIN.COUNT_ITER`` says which loader's length is an epoch; the other one starts again when it is
    through.
    """

    def run_epoch(self) -> None:
        if self.train_loader_u is None:
            raise ValueError(
                f"{type(self).__name__} needs unlabelled data; {self.cfg.DATASET.NAME} has none (train_u)"
            )
        count = self.cfg.TRAIN.COUNT_ITER
        check_availability(count, COUNT_ITER, kind="TRAIN.COUNT_ITER")
        x, u = len(self.train_loader_x), len(self.train_loader_u)
        num_batches = {"train_x": x, "train_u": u, "smaller_one": min(x, u)}[count]
        pairs = zip(
            range(num_batches), _endless(self.train_loader_x), _endless(self.train_loader_u), strict=False
        )
        self.run_batches(((batch_x, batch_u) for _, batch_x, batch_u in pairs), num_batches)

    def parse_batch_train(
        self, batch_x: dict[str, Any], batch_u: dict[str, Any]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Labelled pictures, their labels, and unlabelled pictures, on the device."""
        return tuple(tensor.to(self.device) for tensor in (batch_x["img"], batch_x["label"], batch_u["img"]))


def _endless(loader: DataLoader) -> Iterator[dict[str, Any]]:
    while True:
        yield from loader
