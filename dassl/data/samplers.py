"""The order in which a loader visits a list. Everything random comes from torch's global generator."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence

import torch
from torch.utils.data import RandomSampler, Sampler, SequentialSampler
from yacs.config import CfgNode

from dassl.config.yaml_files import ConfigError
from dassl.data.datasets.base_dataset import Datum
from dassl.data.few_shot import group_by
from dassl.utils.names import check_availability


class _GroupSampler(Sampler[int]):
    """Batches in which every visited group has the same number of images. An epoch ends when one would not.

    How long that is depends on the draw, and a loader is asked for its length before it is iterated: ``len``
    draws the next epoch's order, which the next iteration then uses.

    Args:
        key: what a group has in common.
        per_group: images of each group in a batch.
        groups_per_batch: groups in a batch, drawn anew for each; None for all, in fixed order.
    """

    def __init__(
        self,
        data: Sequence[Datum],
        key: Callable[[Datum], Hashable],
        per_group: int,
        groups_per_batch: int | None,
    ):
        indices = group_by(range(len(data)), lambda i: key(data[i]))
        self.groups = [torch.tensor(group) for _, group in sorted(indices.items())]
        self.per_group = per_group
        self.groups_per_batch = groups_per_batch
        self._next: list[int] | None = None

    def __len__(self) -> int:
        if self._next is None:
            self._next = self._draw()
        return len(self._next)

    def __iter__(self) -> Iterator[int]:
        order, self._next = self._next, None
        return iter(self._draw() if order is None else order)

    def _draw(self) -> list[int]:
        """The order of one epoch."""
        left = [self._visits(group) for group in self.groups]
        order: list[int] = []
        while visited := self._pick([i for i, visits in enumerate(left) if visits]):
            for i in visited:
                order += left[i].pop()
        return order

    def _visits(self, group: torch.Tensor) -> list[list[int]]:
        """A group in random order, cut into as many full visits as it gives."""
        shuffled = group[torch.randperm(len(group))]
        return [part.tolist() for part in shuffled.split(self.per_group) if len(part) == self.per_group]

    def _pick(self, available: list[int]) -> list[int]:
        """The groups of the next batch, none when too few are left."""
        if self.groups_per_batch is None:
            return available if len(available) == len(self.groups) else []
        if len(available) < self.groups_per_batch:
            return []
        return [available[i] for i in torch.randperm(len(available))[: self.groups_per_batch].tolist()]


class RandomDomainSampler(_GroupSampler):
    """Batches of ``n_domain`` random domains (all, when below 1) with equally many images of each."""

    def __init__(self, data_source: Sequence[Datum], batch_size: int, n_domain: int):
        n_domains = len({item.domain for item in data_source})
        count = n_domain if n_domain > 0 else n_domains
        if count > n_domains or batch_size % count:
            raise ConfigError(
                f"RandomDomainSampler: a batch of {batch_size} cannot hold equally many images of {count} "
                f"domains (the data has {n_domains}). Change BATCH_SIZE or N_DOMAIN."
            )
        super().__init__(data_source, lambda item: item.domain, batch_size // count, count)


class SeqDomainSampler(_GroupSampler):
    """Batches with equally many images of every domain, domains in order."""

    def __init__(self, data_source: Sequence[Datum], batch_size: int):
        n_domains = len({item.domain for item in data_source})
        if batch_size % n_domains:
            raise ConfigError(
                f"SeqDomainSampler: a batch of {batch_size} cannot hold equally many images of {n_domains} "
                f"domains. Change BATCH_SIZE."
            )
        super().__init__(data_source, lambda item: item.domain, batch_size // n_domains, None)


class RandomClassSampler(_GroupSampler):
    """Batches of random classes with ``n_ins`` images of each; a class with fewer repeats some."""

    def __init__(self, data_source: Sequence[Datum], batch_size: int, n_ins: int):
        n_classes = len({item.label for item in data_source})
        if not 0 < n_ins <= batch_size:
            raise ConfigError(f"RandomClassSampler: N_INS is {n_ins}, expected 1 to {batch_size} (BATCH_SIZE).")
        super().__init__(data_source, lambda item: item.label, n_ins, min(batch_size // n_ins, n_classes))

    def _visits(self, group: torch.Tensor) -> list[list[int]]:
        missing = self.per_group - len(group)
        if missing > 0:
            group = torch.cat([group, group[torch.randint(len(group), (missing,))]])
        return super()._visits(group)


SAMPLERS: dict[str, Callable[..., Sampler]] = {
    "RandomSampler": lambda data, **_: RandomSampler(data),
    "SequentialSampler": lambda data, **_: SequentialSampler(data),
    "RandomDomainSampler": lambda data, size, n_domain, **_: RandomDomainSampler(data, size, n_domain),
    "SeqDomainSampler": lambda data, size, **_: SeqDomainSampler(data, size),
    "RandomClassSampler": lambda data, size, n_ins, **_: RandomClassSampler(data, size, n_ins),
}


def build_sampler(
    sampler_type: str,
    cfg: CfgNode | None = None,
    data_source: Sequence[Datum] | None = None,
    batch_size: int = 32,
    n_domain: int = 0,
    n_ins: int = 16,
) -> Sampler:
    """The sampler of that name over ``data_source``. ``cfg`` is not needed; plugins pass it.

    Raises:
        ValueError: unknown name (UnknownNameError), or a batch size that does not fit the domains or classes.
    """
    check_availability(sampler_type, SAMPLERS, kind="sampler")
    return SAMPLERS[sampler_type](data_source, size=batch_size, n_domain=n_domain, n_ins=n_ins)
