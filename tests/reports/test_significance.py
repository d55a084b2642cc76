"""Paired comparisons against scipy and statsmodels, and verdicts of clear and of noisy differences."""

import numpy as np
import pytest
from scipy import stats

from reports.records import find_runs
from reports.significance import compare, holm, significance


def test_an_exact_permutation_test_by_hand():
    found = compare([3.0, 4.0, 5.0], [1.0, 1.0, 1.0])
    assert found["p"] == pytest.approx(2 / 8) and found["pairs"] == 3 and found["difference"] == 3.0
    interval = stats.ttest_rel([3.0, 4.0, 5.0], [1.0, 1.0, 1.0]).confidence_interval(0.95)
    assert (found["low"], found["high"]) == pytest.approx((interval.low, interval.high))


def test_it_agrees_with_the_t_test_on_many_normal_pairs():
    chance = np.random.default_rng(3)
    other = chance.normal(80, 5, 33)
    ours = other + chance.normal(0.3, 1.0, 33)
    assert compare(ours, other)["p"] == pytest.approx(stats.ttest_rel(ours, other).pvalue, abs=0.02)
    assert compare([2.0], [1.0])["p"] == 1.0 and compare([2.0], [1.0])["low"] is None
    assert compare(other, other)["p"] == 1.0 and compare(other, other)["low"] is None


def test_holm_is_statsmodels():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    p = list(np.random.default_rng(1).uniform(0, 0.2, 9))
    assert holm(p) == pytest.approx(list(multitest.multipletests(p, method="holm")[1]))


def test_a_gain_of_all_pairs_is_a_difference_and_a_scattered_one_is_noise(make):
    for i, dataset in enumerate(("DTD", "EuroSAT", "UCF101", "Food101")):
        make.base2new("CoOp", dataset, [70.0, 71.0, 72.0], [60.0] * 3)
        make.base2new("MMRL", dataset, [74.0, 75.0, 76.0], [60.0 + (-1) ** i * 2, 60.0 + (-1) ** i, 60.3])
    table = significance(find_runs(make.root))
    found = {labels: dict(zip(table.columns, cells, strict=True)) for labels, cells in table.rows}
    assert found["base", "CoOp", "difference"]["difference"].score.mean == 4.0
    assert found["base", "CoOp", "difference"]["pairs"].score.mean == 12
    assert ("base", "MMRL", "best") in found and ("new", "CoOp", "noise") in found
    assert table.labels == ("Result", "Method", "Verdict")


def test_of_three_pairs_no_gain_can_be_told_from_noise(make):
    """Three signs are alike in a quarter of all cases, however large the gain."""
    make.base2new("CoOp", "DTD", [10.0, 11.0, 12.0], [60.0, 50.0, 70.0])
    make.base2new("MMRL", "DTD", [90.0, 91.0, 92.0], [50.0, 60.0, 60.0])
    labels = [labels for labels, _ in significance(find_runs(make.root)).rows]
    assert ("base", "CoOp", "too few pairs") in labels
    assert {verdict for *_, verdict in labels} == {"best", "too few pairs"}


def test_one_method_is_compared_with_nothing(make):
    make.base2new("CoOp", "DTD", [70.0], [60.0])
    assert significance(find_runs(make.root)).rows == []
