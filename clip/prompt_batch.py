"""A batch of class prompts as one shared prefix and per-class suffixes.

Under a causal mask a position depends only on the positions before it. So the prompts' common beginning is the same
computation for every class, and tokens after the end token change nothing: neither is stored per class.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

MOST_BUCKETS = {"cpu": 8, "gpu": 4}
"""Suffixes are grouped by length: more groups pad less, but each costs a few more small operations per block, which
on a GPU take longer than some padding."""


class Bucket(NamedTuple):
    """Suffixes of about the same length, stored one after the other.

    Attributes:
        classes: (Cb,) indices of the classes, in the caller's order of classes.
        rows: where the bucket's Cb * length rows lie among all suffix rows.
        length: rows per suffix; a shorter one is padded after its end token, where nothing reads.
        ends: (Cb,) row of the end token within its suffix.
    """

    classes: Tensor
    rows: slice
    length: int
    ends: Tensor


class PromptBatch:
    """C tokenised prompts, split for the prefix-sharing text encoder.

    Args:
        ids: (C, T) token ids, each row start token, words, end token (the highest id), padding.
        prefix: number P of leading positions to treat as shared; by default as many as all prompts have in
            common. A smaller number is always exact; a larger one is refused.
        slots: (C, T), which row of a learned context stands in a token's place, -1 where the token stays;
            by default there is no context.
        device: where the prompts are to be encoded; by default where the ids are.

    Attributes:
        ids, slots: (C, T); ends: (C,) position of each end token; prefix: P >= 1.
        buckets: the suffixes by length; order: (C,) class at each place of the buckets laid end to end.
        suffix_ids, suffix_slots, suffix_positions: (R,) of every suffix row.
    """

    def __init__(
        self,
        ids: Tensor,
        prefix: int | None = None,
        slots: Tensor | None = None,
        device: torch.device | str | None = None,
    ):
        if ids.ndim != 2 or not len(ids):
            raise ValueError(
                f"prompts must be a (classes, positions) table of one class or more, not {tuple(ids.shape)}"
            )
        self.ids = ids.long()
        self.slots = torch.full_like(self.ids, -1) if slots is None else slots.long()
        self.ends = self.ids.argmax(dim=1)
        common = self._common_prefix()
        self.prefix = common if prefix is None else prefix
        if not 1 <= self.prefix <= common:
            raise ValueError(f"a prefix of {prefix} positions is not shared: the prompts have {common} in common")
        device = torch.device(device or self.ids.device)
        self.buckets = self._make_buckets(MOST_BUCKETS["cpu" if device.type == "cpu" else "gpu"])
        self.order = torch.cat([bucket.classes for bucket in self.buckets])
        positions = [self._bucket_positions(bucket) for bucket in self.buckets]
        classes = [bucket.classes[:, None].expand(-1, bucket.length) for bucket in self.buckets]
        self.suffix_positions = torch.cat([p.flatten() for p in positions])
        rows = torch.cat([c.flatten() for c in classes])
        self.suffix_ids = self.ids[rows, self.suffix_positions]
        self.suffix_slots = self.slots[rows, self.suffix_positions]
        self._move(device)

    def __len__(self) -> int:
        return len(self.ids)

    def _common_prefix(self) -> int:
        """Leading positions equal in all prompts, the end token left to the suffix."""
        equal = ((self.ids == self.ids[:1]) & (self.slots == self.slots[:1])).all(dim=0)
        common = int(equal.long().cumprod(0).sum())
        return max(1, min(common, int(self.ends.min())))

    def _move(self, device: torch.device) -> None:
        for name in ("ids", "slots", "ends", "order", "suffix_positions", "suffix_ids", "suffix_slots"):
            setattr(self, name, getattr(self, name).to(device))
        self.buckets = [b._replace(classes=b.classes.to(device), ends=b.ends.to(device)) for b in self.buckets]

    def _make_buckets(self, most: int) -> list[Bucket]:
        lengths = self.ends - self.prefix + 1
        order = torch.argsort(lengths, stable=True)
        sizes = list(zip(*(t.tolist() for t in lengths.unique(return_counts=True)), strict=True))  # (length, classes)
        while len(sizes) > most:  # merge where it pads the fewest rows
            padding = [(longer - length) * n for (length, n), (longer, _) in pairwise(sizes)]
            i = padding.index(min(padding))
            sizes[i : i + 2] = [(sizes[i + 1][0], sizes[i][1] + sizes[i + 1][1])]
        buckets, row, place = [], 0, 0
        for length, count in sizes:
            classes = order[place : place + count]
            rows = slice(row, row + count * length)
            buckets.append(Bucket(classes, rows, length, self.ends[classes] - self.prefix))
            row, place = rows.stop, place + count
        return buckets

    def _bucket_positions(self, bucket: Bucket) -> Tensor:
        """(Cb, length) positions of a bucket's rows; those after the end token repeat it."""
        offsets = torch.arange(bucket.length, device=self.ids.device)
        return self.prefix + torch.minimum(offsets[None, :], bucket.ends[:, None])
