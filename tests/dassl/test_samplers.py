"""Return the content of a batch."""

from collections import Counter
from types import SimpleNamespace

import pytest
import torch
from torch.utils.data import DataLoader, RandomSampler

from dassl.data.samplers import build_sampler

DATA = [SimpleNamespace(label=i % 5, domain=(i * i) % 3) for i in range(60)]  # domains: 0 x 20, 1 x 40
DOMAINS = [SimpleNamespace(label=0, domain=i % 3) for i in range(32)]  # 11, 11 and 10 images


def batches(sampler, size):
    order = list(sampler)
    assert len(order) % size == 0
    return [order[i : i + size] for i in range(0, len(order), size)]


def test_random_order_is_torch_s():
    torch.manual_seed(3)
    expected = list(RandomSampler(DATA))
    torch.manual_seed(3)
    assert list(build_sampler("RandomSampler", data_source=DATA)) == expected
    assert list(build_sampler("SequentialSampler", data_source=DATA)) == list(range(60))


def test_sequential_domains_all_in_order():
    torch.manual_seed(0)
    sampler = build_sampler("SeqDomainSampler", data_source=DOMAINS, batch_size=6)
    assert len(sampler) == 30
    order = batches(sampler, 6)
    assert all([DOMAINS[i].domain for i in batch] == [0, 0, 1, 1, 2, 2] for batch in order)
    assert len({i for batch in order for i in batch}) == 30  # no repetition


@pytest.mark.parametrize(("n_domain", "visited"), [(2, 2), (0, 3), (3, 3)])
def test_random_domains_have_equal_shares(n_domain, visited):
    torch.manual_seed(0)
    sampler = build_sampler("RandomDomainSampler", data_source=DOMAINS, batch_size=6, n_domain=n_domain)
    seen = Counter()
    for batch in batches(sampler, 6):
        domains = Counter(DOMAINS[i].domain for i in batch)
        assert len(domains) == visited and set(domains.values()) == {6 // visited}
        seen.update(batch)
    assert seen and max(seen.values()) == 1


def test_random_classes_repeat_only_in_small_classes():
    torch.manual_seed(0)
    data = [*DATA, SimpleNamespace(label=7, domain=0)]
    sampler = build_sampler("RandomClassSampler", data_source=data, batch_size=12, n_ins=4)
    small = 0
    for batch in batches(sampler, 12):
        labels = Counter(data[i].label for i in batch)
        assert len(labels) == 3 and set(labels.values()) == {4}
        small += labels[7] > 0
        repeated = [i for i, count in Counter(batch).items() if count > 1]
        assert all(data[i].label == 7 for i in repeated)
    assert small <= 1


def test_a_loader_s_length_is_what_it_gives():
    torch.manual_seed(0)
    labels = [0] * 9 + [1] * 30 + [2] * 5 + [3] * 14
    data = [SimpleNamespace(label=label, domain=label) for label in labels]
    for name, sizes in (("RandomClassSampler", {"n_ins": 3}), ("RandomDomainSampler", {"n_domain": 2})):
        sampler = build_sampler(name, data_source=data, batch_size=6, **sizes)
        loader = DataLoader(list(range(len(data))), batch_size=6, sampler=sampler, drop_last=True)
        announced_and_given = [(len(loader), sum(1 for _ in loader)) for _ in range(20)]
        assert all(announced == given > 0 for announced, given in announced_and_given)
        assert len(set(announced_and_given)) > 1  # it does depend on the draw


def test_seed_decides():
    orders = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        sampler = build_sampler("RandomClassSampler", data_source=DATA, batch_size=12, n_ins=4)
        orders.append([*sampler, *sampler])
    assert orders[0] == orders[1] != orders[2]


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("RandomSmpler", {}, "RandomSampler"),
        ("SeqDomainSampler", {"batch_size": 7}, "BATCH_SIZE"),
        ("RandomDomainSampler", {"batch_size": 6, "n_domain": 4}, "4 domains"),
        ("RandomClassSampler", {"batch_size": 4, "n_ins": 5}, "N_INS"),
    ],
)
def test_sizes_that_do_not_fit(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        build_sampler(name, data_source=DOMAINS, **arguments)
