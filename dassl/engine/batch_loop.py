"""Epochs over batches: TrainerX for labelled data, TrainerXU for labelled and unlabelled data."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from itertools import islice
from typing import Any

from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm
from yacs.config import CfgNode

from dassl.config import ConfigError
from dassl.data.loader import WorkerLost
from dassl.engine.measurements import add_to_curve
from dassl.engine.resume import save_position
from dassl.engine.simple import SimpleTrainer
from dassl.engine.stop import Stopped
from dassl.utils.environment import random_state, restore_random_state
from dassl.utils.logger import Logger
from dassl.utils.meters import AverageMeter, MetricMeter
from dassl.utils.names import check_availability
from dassl.utils.phases import phase
from safeio.errors import NoNumber
from safeio.progress import NowAndThen, is_terminal, print_line, progress
from safeio.unpickle import CheckpointError


class _BatchTrainer(SimpleTrainer):
    """Loop over ``num_batches`` batches of an epoch, with its log lines.

    During a step ``batch_idx`` is the position in the epoch, from 0. ``forward_backward`` calls ``update_lr``
    itself after the last one.
    """

    _bar: tqdm | None = None

    def __init__(self, cfg: CfgNode):
        super().__init__(cfg)
        self._console = NowAndThen()

    def run_batches(self, batches: Iterable[tuple], num_batches: int) -> None:
        """Call ``forward_backward(*batch)`` for each batch and report what it returns."""
        self.set_model_mode("train")
        self.num_batches = num_batches
        metrics, batch_time, data_time = MetricMeter(), AverageMeter(), AverageMeter()
        frequency, done = self.cfg.TRAIN.PRINT_FREQ, self.position.batches if self.position else 0
        epoch_start = self.position.epoch_start if self.position else random_state()
        metrics.go_on_from(self.position.means if self.position else {})
        images, lr = 0, self.get_current_lr()
        bar, remaining = self._training_bar(done), self._remaining(batches)
        start = time.perf_counter()
        with phase("images"), self.stop.held(), self._saving_if_a_worker_is_lost(epoch_start, metrics, lambda: done):
            for self.batch_idx, batch in remaining:
                data_time.update(time.perf_counter() - start)
                metrics.update(self._step(batch, metrics))
                batch_time.update(time.perf_counter() - start)
                done, self.unsaved_steps = self.batch_idx + 1, self.unsaved_steps + 1
                images += _images_in(batch[0])
                bar.set_postfix_str(str(metrics), refresh=False)
                bar.update()
                if done % frequency == 0 or num_batches == done < frequency:
                    self._log(self._log_line(metrics, batch_time, data_time))
                self._write_curves(metrics)
                if done < num_batches:
                    self.save_or_stop(self.epoch, done, epoch_start, metrics)
                start = time.perf_counter()
        if done < num_batches:  # the loader broke off because it was asked to stop
            self.save_or_stop(self.epoch, done, epoch_start, metrics)
        if self.epoch + 1 == self.max_epoch:
            self._end_bar()
        self.measures.add("train", images, batch_time.sum)
        means = {name: meter.avg for name, meter in metrics.meters.items()}
        add_to_curve(self.output_dir, self.epoch + 1, {**means, "lr": lr})
        self.notify("on_epoch_end", self.epoch + 1, {**means, "lr": lr})

    def train(self) -> None:
        try:
            super().train()
        finally:
            self._end_bar()

    def _training_bar(self, done: int) -> tqdm:
        """Return the progress bar of the whole training, with `done` batches of the present epoch done."""
        if self._bar is None:
            total = self.num_batches * self.max_epoch
            self._bar = progress(None, "", total, self.num_batches * self.epoch + done, live_only=True)
        self._bar.set_description_str(f"epoch {self.epoch + 1}/{self.max_epoch}")
        return self._bar

    def _end_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _log(self, line: str) -> None:
        """Write a line to the log; print it only every now and then, and not where a progress bar shows the same."""
        log = sys.stdout
        if not isinstance(log, Logger) or log.file is None:
            print_line(line)
            return
        log.write_to_file(f"{line}\n")
        if not is_terminal(log.console) and self._console.due():
            log.console.write(f"{line}  (every line: {log.file.name})\n")
            log.console.flush()

    @contextmanager
    def _saving_if_a_worker_is_lost(
        self, epoch_start: dict[str, Any], metrics: MetricMeter, done: Callable[[], int]
    ) -> Iterator[None]:
        """Save the position if a process of the loader dies."""
        try:
            yield
        except WorkerLost:
            if done() < self.num_batches:
                save_position(self, self.epoch, done(), epoch_start, metrics.totals())
            raise

    def _step(self, batch: tuple, so_far: MetricMeter) -> dict[str, Any] | None:
        """Run one training step. The error for an infinite or NaN loss names the images and the last losses."""
        try:
            with phase("steps"):
                return self.forward_backward(*batch)
        except FloatingPointError as error:
            files = [path for part in batch if isinstance(part, dict) for path in part.get("impath", [])]
            raise NoNumber(
                f"{error} Epoch {self.epoch + 1}, batch {self.batch_idx + 1}. Last finite values (and means): "
                f"{str(so_far) or 'none yet'}. Images of the batch: {', '.join(files)}. A lower OPTIM.LR or another "
                f"precision may help; TRAIN.SKIP_NONFINITE True leaves such steps out and counts them."
            ) from error

    def _remaining(self, batches: Iterable[tuple]) -> Iterator[tuple[int, tuple]]:
        """Yield number and batch of the remaining batches; earlier ones are drawn to advance the random generators."""
        position, self.position = self.position, None
        if position is not None:
            restore_random_state(position.epoch_start)
        iterator, first = iter(batches), position.batches if position else 0
        for _ in range(first):
            if next(iterator, None) is None:
                raise CheckpointError(
                    f"The run was {first} batches into an epoch that has fewer now: these are not the data it began "
                    f"with. Restore them, or train anew with another OUTPUT_DIR (--output-dir)."
                )
        if first:  # else the loader has not started: it draws from the generators as they were
            restore_random_state(position.now)
        yield from enumerate(self.stop.until_stopped(iterator), start=first)

    def after_epoch(self) -> None:
        super().after_epoch()
        if self.epoch + 1 < self.max_epoch:
            if self.cfg.TRAIN.CHECKPOINT_STEPS:  # after each epoch, however few its steps
                self.unsaved_steps = max(self.unsaved_steps, self.cfg.TRAIN.CHECKPOINT_STEPS)
            self.save_or_stop(self.epoch + 1, 0, random_state(), MetricMeter())
        elif self.stop.signum:
            raise Stopped(self.stop.signum)

    def save_or_stop(self, epoch: int, batches: int, epoch_start: dict[str, Any], metrics: MetricMeter) -> None:
        """Save the position after TRAIN.CHECKPOINT_STEPS steps or a signal; after a signal, end the run."""
        interval, signum = self.cfg.TRAIN.CHECKPOINT_STEPS, self.stop.signum
        if signum or 0 < interval <= self.unsaved_steps:
            with phase("writing"):
                save_position(self, epoch, batches, epoch_start, metrics.totals())
            self.unsaved_steps = 0
        if signum:
            raise Stopped(signum)

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
        self.run_batches(zip_lazily(self.train_loader_x), len(self.train_loader_x))

    def parse_batch_train(self, batch: dict[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
        """Images, labels and domains of a batch, on the device."""
        return tuple(batch[key].to(self.device) for key in ("img", "label", "domain"))


class TrainerXU(_BatchTrainer):
    """Trains on labelled and unlabelled data. A method adds ``forward_backward(batch_x, batch_u)``.

    ``cfg.TRAIN.COUNT_ITER`` says which loader's length is an epoch; the other one starts again at its end.
    """

    def run_epoch(self) -> None:
        if self.train_loader_u is None:
            raise ConfigError(
                f"{type(self).__name__} needs unlabelled images, and {self.cfg.DATASET.NAME} gives none (train_u): "
                f"DATASET.UNLABELLED True takes the training split of a dataset of this project without its labels"
            )
        count = self.cfg.TRAIN.COUNT_ITER
        x, u = len(self.train_loader_x), len(self.train_loader_u)
        lengths = {"train_x": x, "train_u": u, "smaller_one": min(x, u)}
        check_availability(count, lengths, kind="TRAIN.COUNT_ITER")
        num_batches = lengths[count]
        pairs = zip_lazily(_endless(self.train_loader_x), _endless(self.train_loader_u))
        self.run_batches(islice(pairs, num_batches), num_batches)

    def parse_batch_train(self, batch_x: dict[str, Any], batch_u: dict[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
        """Labelled images, their labels, and unlabelled images, on the device."""
        return tuple(tensor.to(self.device) for tensor in (batch_x["img"], batch_x["label"], batch_u["img"]))


def _images_in(batch: Any) -> int:
    """Return the number of images in a batch; a plugin's own loader may give pairs instead of a dictionary."""
    return len(batch["label"] if isinstance(batch, Mapping) else batch[0])


def zip_lazily(*loaders: Iterable) -> Iterator[tuple]:
    """Yield the loaders' batches side by side, like zip. Loaders start, and draw random numbers, only when the first
    batch is asked for, so that a resumed epoch can set the generators before."""
    yield from zip(*loaders, strict=False)


def _endless(loader: DataLoader) -> Iterator[dict[str, Any]]:
    while True:
        yield from loader
