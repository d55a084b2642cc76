"""Facts about a CLIP that cannot be read from the names and shapes of its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn

from clip.block import QuickGELU
from clip.preprocess import MEAN, STD


@dataclass(frozen=True)
class Architecture:
    """Activation, heads and normalisation of a CLIP.

    Attributes:
        activation: that of the blocks' feed-forward halves, as they were trained.
        declared: arguments of `clip.CLIP` that are known. Shapes must agree with those that they show; the others
            (numbers of heads) are taken from here.
        mean, std: channel statistics that the training images were normalised with; None if unknown.
    """

    activation: type[nn.Module] = QuickGELU
    declared: Mapping[str, int | tuple[int, ...]] = field(default_factory=dict)
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


OF_A_FILE = Architecture()
"""A weights file by itself: OpenAI's conventions are assumed."""

OF_OPENAI = Architecture(mean=MEAN, std=STD)
"""OpenAI's releases, and the embedded models."""
