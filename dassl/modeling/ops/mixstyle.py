"""Mixtures of feature statistics (Zhou et al., MixStyle, ICLR 2021)."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class MixStyle(nn.Module):
    """Give feature maps (B, C, H, W) mixed means and deviations of two images of the batch, in training, now and then.

    Args:
        p: probability that a batch is mixed; alpha: parameter of the Beta distribution of the weights.
        mix: `random`, or `crossdomain`: images of the batch's first half with those of its second.
    """

    def __init__(self, p: float = 0.5, alpha: float = 0.1, eps: float = 1e-6, mix: str = "random"):
        super().__init__()
        self.p, self.alpha, self.eps, self.mix = p, alpha, eps, mix
        self.beta = torch.distributions.Beta(alpha, alpha)
        self._activated = True

    def set_activation_status(self, status: bool = True) -> None:
        self._activated = status

    def update_mix_method(self, mix: str = "random") -> None:
        self.mix = mix

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self._activated or random.random() > self.p:
            return x
        mean = x.mean(dim=(2, 3), keepdim=True).detach()
        deviation = (x.var(dim=(2, 3), keepdim=True) + self.eps).sqrt().detach()
        weight = self.beta.sample((len(x), 1, 1, 1)).to(x.device)
        other = self.partners(len(x))
        new_mean = weight * mean + (1 - weight) * mean[other]
        new_deviation = weight * deviation + (1 - weight) * deviation[other]
        return (x - mean) / deviation * new_deviation + new_mean

    def partners(self, count: int) -> Tensor:
        """Return the image that each of `count` images is mixed with."""
        if self.mix == "random":
            return torch.randperm(count)
        if self.mix != "crossdomain":
            raise ValueError(f"MixStyle mixes at random or crossdomain, not {self.mix!r}")
        second, first = torch.arange(count - 1, -1, -1).chunk(2)
        return torch.cat([second[torch.randperm(len(second))], first[torch.randperm(len(first))]])


def activate_mixstyle(m: nn.Module) -> None:
    """Switch a MixStyle on; to be given to `Module.apply`."""
    if isinstance(m, MixStyle):
        m.set_activation_status(True)


def deactivate_mixstyle(m: nn.Module) -> None:
    """Switch a MixStyle off."""
    if isinstance(m, MixStyle):
        m.set_activation_status(False)


def random_mixstyle(m: nn.Module) -> None:
    """Let a MixStyle mix at random."""
    if isinstance(m, MixStyle):
        m.update_mix_method("random")


def crossdomain_mixstyle(m: nn.Module) -> None:
    """Let a MixStyle mix the batch's halves."""
    if isinstance(m, MixStyle):
        m.update_mix_method("crossdomain")


@contextmanager
def run_without_mixstyle(model: nn.Module) -> Iterator[None]:
    """Switch off every MixStyle of a model in a block."""
    try:
        model.apply(deactivate_mixstyle)
        yield
    finally:
        model.apply(activate_mixstyle)


@contextmanager
def run_with_mixstyle(model: nn.Module, mix: str | None = None) -> Iterator[None]:
    """Switch on every MixStyle of a model in a block, and off after it."""
    if mix is not None:
        model.apply(random_mixstyle if mix == "random" else crossdomain_mixstyle)
    try:
        model.apply(activate_mixstyle)
        yield
    finally:
        model.apply(deactivate_mixstyle)
