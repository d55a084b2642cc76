"""The published figures: read whole, in agreement with each other, with sources, and nothing made up."""

import csv
import statistics

import pytest

from reports import reference_results


@pytest.mark.parametrize("method", ["MMRL", "CLIP", "CoOp", "CoCoOp", "MaPLe", "PromptSRC", "TCP", "KgCoOp"])
def test_averages_and_h_follow_from_the_datasets(method):
    datasets = reference_results.datasets_of("base2new")
    assert len(datasets) == 11
    for metric in ("base", "novel"):
        values = [reference_results.figure("base2new", method, name, metric).value for name in datasets]
        given = reference_results.figure("base2new", method, "Average", metric).value
        assert statistics.fmean(values) == pytest.approx(given, abs=0.02)
    base, new, h = (reference_results.figure("base2new", method, "EuroSAT", m).value for m in ("base", "novel", "H"))
    assert statistics.harmonic_mean([base, new]) == pytest.approx(h, abs=0.02)


def test_registry_names_find_their_columns():
    assert reference_results.figure("base2new", "ZeroshotCLIP", "OxfordFlowers", "base").value == 72.08
    assert reference_results.figure("domain_generalization", "MMRL", "ImageNetV2", "acc").value == 64.47
    assert reference_results.figure("cross_dataset", "MMRL", "ImageNet", "acc").value == 72.03
    assert reference_results.figure("few_shot", "MMA", "Average", "acc", 16).value == 82.76


def test_what_the_files_lack_is_none():
    assert reference_results.figure("base2new", "MMRLpp", "EuroSAT", "novel") is None
    assert reference_results.figure("few_shot", "MMA", "EuroSAT", "acc", 16) is None
    assert reference_results.figure("few_shot", "MMA", "Average", "acc", 1) is None
    assert reference_results.figure("base2new", "MMRL", "Clothing", "base") is None


def test_every_figure_has_a_source():
    for name in (*reference_results.FILES.values(), reference_results.RERUNS):
        with open(reference_results.FOLDER / name, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert rows and all(row["source"].strip() and row["value"].strip() for row in rows)


def test_a_disagreement_names_both_sides_with_sources():
    note = reference_results.disagreement("MMRL", "EuroSAT", "novel")
    for part in ("80.17", "VACSR paper Table 9", "71.27 to 74.53", "77.20 (ReBaPL", "69.87 to 74.90", "issues/14"):
        assert part in note
    assert reference_results.disagreement("MMRL", "ImageNet", "base") == ""  # reruns agree
    assert reference_results.disagreement("KgCoOp", "EuroSAT", "novel") == ""  # there are none
    assert reference_results.disagreement("MMRLpp", "EuroSAT", "novel") == ""  # nothing published to disagree with


def test_an_average_that_does_not_follow_from_its_datasets_is_told():
    note = reference_results.disagreement("MMA", "Average", "novel")
    assert "76.80" in note and "76.94" in note
    assert reference_results.disagreement("MMRL", "Average", "novel") == ""


def test_efficiency_comes_in_our_units():
    assert reference_results.efficiency("MMRL", "ImageNet", "trainable_params").value == pytest.approx(4.99e6)
    assert reference_results.efficiency("MMRL", "ImageNet", "train_seconds").value == 156 * 60
    speed = reference_results.efficiency("MMRLpp", "DescribableTextures", "train_images_per_second")
    assert speed.value == pytest.approx(32 / 0.2677) and "RTX 3090" in speed.source
    assert reference_results.efficiency("CoOp", "ImageNet", "trainable_params") is None


def test_an_average_h_is_compared_with_its_own_kind():
    def kinds(method):
        return [bool(reference_results.figure("base2new", method, "Average", kind)) for kind in ("H", "mean H")]

    assert all(kinds(method) == [True, False] for method in ("MMRL", "CoOp", "MaPLe", "TCP"))
    assert all(kinds(method) == [False, True] for method in ("HPT", "RPO"))  # they print the mean of the datasets' H


def test_registered_names_find_figures_under_the_papers_names():
    assert reference_results.figure("base2new", "TwoStage", "EuroSAT", "novel").value > 0
    assert reference_results.figure("base2new", "PromptKD", "DescribableTextures", "base").value > 0
