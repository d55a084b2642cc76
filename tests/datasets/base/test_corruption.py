"""Label noise and class imbalance: what is promised of counts, seeds and nesting."""

import random
from collections import Counter
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dassl.data.datasets import Datum
from datasets.base.corruption import _deranged, corrupt, imbalanced, mislabelled
from datasets.base.splits import Split
from datasets.clothing_64 import Clothing


def images(*sizes: int) -> list[Datum]:
    """Class 0 has sizes[0] images, and so on."""
    return [
        Datum.listed(f"{label}/{index}", label, 0, f"c{label}") for label, n in enumerate(sizes) for index in range(n)
    ]


def sizes(items: list[Datum]) -> Counter:
    return Counter(item.label for item in items)


def config(noise=0.0, imbalance=1.0, seed=1, shots=16, classes="all"):
    dataset = SimpleNamespace(
        LABEL_NOISE=noise, IMBALANCE=imbalance, NUM_SHOTS=shots, SUBSAMPLE_CLASSES=classes, ROOT=""
    )
    return SimpleNamespace(DATASET=dataset, SEED=seed)


@given(st.lists(st.integers(0, 5), max_size=30), st.integers(0, 99))
def test_no_label_stays_unless_one_class_is_more_than_half(labels, seed):
    mixed = _deranged(labels, random.Random(seed))
    assert Counter(mixed) == Counter(labels)
    most = max(Counter(labels).values(), default=0)
    assert sum(a == b for a, b in zip(labels, mixed, strict=True)) == max(0, 2 * most - len(labels))


@given(st.integers(2, 8), st.integers(1, 6), st.floats(0, 0.5), st.integers(0, 99))
def test_class_sizes_and_images_stay(classes, shots, fraction, seed):
    clean = images(*[shots] * classes)
    noisy = mislabelled(clean, fraction, random.Random(seed))
    assert sum(a.label != b.label for a, b in zip(clean, noisy, strict=True)) <= round(fraction * len(clean))
    assert sizes(noisy) == sizes(clean)
    assert [a.impath for a in clean] == [b.impath for b in noisy]
    assert all(item.classname == f"c{item.label}" for item in noisy)


def test_noise_is_spread_over_classes_and_grows_by_addition():
    clean = images(*[16] * 20)
    wrong = {}
    for fraction in (0.1, 0.2, 0.4):
        noisy = mislabelled(clean, fraction, random.Random("one"))
        wrong[fraction] = {a.impath for a, b in zip(clean, noisy, strict=True) if a.label != b.label}
        assert len(wrong[fraction]) == round(fraction * len(clean))
        pairs = Counter((a.label, b.label) for a, b in zip(clean, noisy, strict=True) if a.label != b.label)
        assert max(pairs.values()) <= 6
    assert wrong[0.1] < wrong[0.2] < wrong[0.4]


def test_the_tail_is_exponential_and_never_empty():
    kept = sizes(imbalanced(images(*[16] * 5), 16, random.Random(1)))
    assert sorted(kept.values()) == [1, 2, 4, 8, 16]
    assert min(sizes(imbalanced(images(*[1] * 5), 16, random.Random(1))).values()) == 1
    clean = images(*[16] * 5)
    weak, strong = (imbalanced(clean, ratio, random.Random(1)) for ratio in (2, 16))
    assert {i.impath for i in strong} < {i.impath for i in weak} and sizes(imbalanced(clean, 1, random.Random(1)))[
        0
    ] == 16


def test_the_seed_decides_and_testing_stays_clean(capsys):
    clean = Clothing(config())
    noisy, again, other = (Clothing(config(0.3, 4, seed)) for seed in (1, 1, 2))

    def listed(items):
        return [(item.impath, item.label) for item in items]

    assert listed(noisy.train_x) == listed(again.train_x) != listed(other.train_x)
    assert listed(noisy.test) == listed(clean.test) and listed(noisy.val) == listed(clean.val)
    assert noisy.classnames == clean.classnames
    assert {item.impath for item in noisy.train_x} < {item.impath for item in clean.train_x}
    assert "Label noise 0.3" in capsys.readouterr().out


def test_noise_stays_within_the_half_that_is_trained_on():
    base = Clothing(config(0.4, classes="base"))
    assert {item.label for item in base.train_x} == set(range(5)) and len(base.train_x) == 5 * 16


@pytest.mark.parametrize(("given_", "word"), [({"noise": 1.0}, "LABEL_NOISE"), ({"imbalance": 0.5}, "IMBALANCE")])
def test_values_out_of_range_are_refused(given_, word):
    with pytest.raises(ValueError, match=word):
        corrupt(Split(images(2, 2), [], []), config(**given_))
