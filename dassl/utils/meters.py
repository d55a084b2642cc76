"""Running means of what training prints."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import torch


class AverageMeter:
    """Last value and mean of a scalar.

    Args:
        ema: exponential moving average (0.9 old, 0.1 new) instead of the plain mean.
    """

    def __init__(self, ema: bool = False):
        self.ema = ema
        self.reset()

    def reset(self) -> None:
        self.val = self.avg = self.sum = 0.0
        self.count = 0

    def update(self, val: float | torch.Tensor, n: int = 1) -> None:
        """Take in ``val``, seen ``n`` times."""
        val = val.item() if isinstance(val, torch.Tensor) else val
        first = self.count == 0
        self.val = val
        self.sum += val * n
        self.count += n
        if self.ema:
            self.avg = val if first else 0.9 * self.avg + 0.1 * val
        else:
            self.avg = self.sum / self.count


class MetricMeter:
    """A meter per name; ``str()`` gives ``loss 1.2345 (1.3456) acc 75.0000 (73.4375)``: last value, mean."""

    def __init__(self, delimiter: str = " "):
        self.meters: dict[str, AverageMeter] = defaultdict(AverageMeter)
        self.delimiter = delimiter

    def update(self, input_dict: Mapping[str, float | torch.Tensor] | None) -> None:
        """Take in one value per name; None means nothing to report.

        Raises:
            TypeError: not a dictionary (``forward_backward`` must return one).
        """
        if input_dict is None:
            return
        if not isinstance(input_dict, Mapping):
            raise TypeError(f"Expected a dictionary of scalars, got {type(input_dict).__name__}")
        for name, value in input_dict.items():
            self.meters[name].update(value)

    def totals(self) -> dict[str, tuple[float, int]]:
        """Return name -> sum and count."""
        return {name: (float(meter.sum), meter.count) for name, meter in self.meters.items()}

    def go_on_from(self, totals: Mapping[str, tuple[float, int]]) -> None:
        """Put the meters where `totals` found them; the last value is then the mean."""
        for name, (total, count) in totals.items():
            if count > 0:
                self.meters[name].update(total / count, count)

    def __str__(self) -> str:
        return self.delimiter.join(f"{name} {m.val:.4f} ({m.avg:.4f})" for name, m in self.meters.items())
