"""Batches for pre-training the tiny CLIP: pictures, captions, and which caption is true of which picture."""

from __future__ import annotations

import random
from collections import Counter
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from tools.emoji_classes import GROUPS
from tools.emoji_pairs import Emoji

TEMPLATES = (
    "a photo of a {}.",
    "a photo of a {}.",  # twice: the template that the dataset is tested with
    "a picture of {}.",
    "an emoji of {}.",
    "{}.",
    "a drawing of a {}.",
    "an icon: {}.",
)
EMOJI_TEMPLATES = (  # without photographs: what an emoji's own caption would say
    "an emoji of {}.",
    "{}.",
    "an icon: {}.",
    "{} emoji",
    "a symbol that shows {}.",
    "a cartoon {}.",
)
CLASS_TEMPLATES = ("a photo of a {}.", "a photo of a {}.", "a drawing of a {}.", "an emoji of a {}.")
MOST_OF_A_SUBGROUP = 60  # so that 259 flags do not fill the batches
LABEL_SHARE = 0.6  # of captions that give the emoji's name (or its class); the others give a name or a tag


class Batch(NamedTuple):
    """M meanings, two pictures and one caption of each.

    Attributes:
        pictures: (2M, 3, S, S) uint8.
        captions: M texts.
        true: (2M, M), whether a caption is true of a picture.
        emojis: (2M,), which emoji a picture is.
        classes: (2M,), its class, -1 where there is none.
    """

    pictures: Tensor
    captions: list[str]
    true: Tensor
    emojis: Tensor
    classes: Tensor


class Pairs:
    """Draws batches of some meanings, two pictures and one caption of each.

    Args:
        emojis, pictures: what `read_pairs` returns.

    Attributes:
        random: the generator of the draws.
        templates: what captions are made with; label_share: how many of them give the emoji's name for sure.
        classes: names of the classes that have pictures here, sorted.
    """

    def __init__(self, emojis: list[Emoji], pictures: np.ndarray):
        self.emojis, self.pictures = emojis, torch.from_numpy(pictures)
        self.random = random.Random()
        self.templates, self.label_share = TEMPLATES, LABEL_SHARE
        sizes = Counter(emoji.subgroup for emoji in emojis)
        self.weights = [min(1.0, MOST_OF_A_SUBGROUP / sizes[emoji.subgroup]) for emoji in emojis]
        self.classes = sorted({emoji.class_name for emoji in emojis if emoji.class_name})
        labels = [self.classes.index(e.class_name) if e.class_name else -1 for e in emojis]
        self.labels = torch.tensor(labels)
        self.said = [frozenset(emoji.phrases) for emoji in emojis]

    def draw(self, meanings: int, class_share: float) -> Batch:
        """A batch of M meanings; `class_share` of the captions give the name of the class."""
        chosen = self.random.choices(range(len(self.emojis)), self.weights, k=meanings)
        phrases = [self._phrase(self.emojis[i], class_share) for i in chosen]
        captions = [self.random.choice(self.templates).format(phrase) for phrase in phrases]
        rows = [row for i in chosen for row in self._two(self.emojis[i].pictures)]
        true = torch.tensor([[phrase in self.said[i] for phrase in phrases] for i in chosen])
        emojis = torch.tensor(chosen).repeat_interleave(2)
        return Batch(self.pictures[rows], captions, true.repeat_interleave(2, 0), emojis, self.labels[emojis])

    def class_prompts(self) -> list[str]:
        """The class names, in one template drawn for all of them."""
        template = self.random.choice(CLASS_TEMPLATES)
        return [template.format(name) for name in self.classes]

    def every_caption(self) -> list[str]:
        """All texts that `draw` and `class_prompts` can give, and prompts for classes without pictures."""
        phrases = sorted({phrase for emoji in self.emojis for phrase in emoji.phrases} | GROUPS.keys())
        templates = dict.fromkeys((*TEMPLATES, *EMOJI_TEMPLATES, *CLASS_TEMPLATES))
        return [template.format(phrase) for phrase in phrases for template in templates]

    def _phrase(self, emoji: Emoji, class_share: float) -> str:
        dice = self.random.random()
        if emoji.class_name and dice < class_share:
            return emoji.class_name
        return emoji.label if dice < self.label_share else self.random.choice(emoji.phrases)

    def _two(self, rows: list[int]) -> list[int]:
        return self.random.sample(rows, 2) if len(rows) > 1 else rows * 2
