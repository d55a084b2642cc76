"""docs/results.md has the tables that docs/demonstration.csv gives."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from safeio.atomic import atomic_write_json
from tools import results_page


def test_the_page_is_what_the_data_gives(capsys):
    assert results_page.main(["--check"]) == 0, capsys.readouterr().out


def test_the_interval_is_students():
    numbers = {"1": 53.8, "2": 58.6, "3": 57.8}
    low, high = stats.t.interval(0.95, 2, np.mean([*numbers.values()]), stats.sem([*numbers.values()]))
    assert results_page.interval(numbers) == pytest.approx((high - low) / 2)
    assert results_page.cell(numbers) == f"{(high + low) / 2:.1f} ± {(high - low) / 2:.1f}"


@pytest.mark.parametrize(
    ("of_method", "arrow"),
    [((30.0, 31.0, 30.5), " ↑"), ((10.0, 11.0, 10.5), " ↓"), ((15.0, 25.0, 20.5), "")],
)
def test_an_arrow_marks_a_difference_that_the_seeds_agree_on(of_method, arrow):
    numbers = dict(zip("123", of_method, strict=True))
    shown = results_page.cell(numbers, dict.fromkeys("123", 20.0))
    assert shown == results_page.cell(numbers) + arrow


def test_one_seed_has_no_interval():
    assert results_page.cell({"1": 20.0}, {"1": 10.0}) == "20.0"
    assert results_page.cell({}) == ""


def record(folder, **fields):
    common = {"status": "complete", "protocol": "base2new", "dataset": "Caltech101Small", "shots": 16}
    numbers = {"trainable_params": 768}
    folder.mkdir(parents=True)
    atomic_write_json(folder / "run.json", common | numbers | fields)


def test_complete_runs_become_rows_and_a_table(tmp_path):
    for seed in (1, 2):
        for part, accuracy in (("base", 60.0 + seed), ("new", 30.0)):
            whole = {"method": "CoOp", "seed": seed, "subsample_classes": part, "metrics": {"accuracy": accuracy}}
            record(tmp_path / f"{part}{seed}", **whole)
    record(tmp_path / "running", method="MMRL", seed=1, subsample_classes="base", status="running")
    rows = results_page.taken(tmp_path)
    assert len(rows) == 4
    results_page.write(rows, tmp_path / "rows.csv")
    assert results_page.read(tmp_path / "rows.csv") == rows
    *_, coop = results_page.base2new(rows)
    assert coop == "| CoOp | 61.5 ± 6.4 | 30.0 ± 0.0 | 40.3 ± 1.4 |  | 768 |"


def test_each_method_has_its_distance_to_mmrl_seed_by_seed(tmp_path):
    accuracies = {"MMRL": ((60.0, 40.0), (70.0, 50.0)), "CoOp": ((60.0, 30.0), (70.0, 50.0))}
    for method, of_seeds in accuracies.items():
        for seed, both in enumerate(of_seeds, start=1):
            for part, accuracy in zip(("base", "new"), both, strict=True):
                about = {"method": method, "seed": seed, "subsample_classes": part, "metrics": {"accuracy": accuracy}}
                record(tmp_path / f"{method}{part}{seed}", **about)
    head, _, coop, mmrl = results_page.base2new(results_page.taken(tmp_path))
    assert head == "| method | base | new | H | H of MMRL − H | parameters |"
    low, high = stats.t.interval(0.95, 1, 4.0, stats.sem([8.0, 0.0]))
    assert f"| 4.0 ± {(high - low) / 2:.1f} |" in coop and "|  |" in mmrl


def test_seeds_that_all_differ_by_the_same_number_have_no_arrow():
    assert results_page.cell(dict.fromkeys("123", 30.0), dict.fromkeys("123", 20.0)) == "30.0 ± 0.0"


def test_ablations_have_a_row_for_each_value_and_leave_the_tables_alone(tmp_path):
    for method, key in (("MMRL", "TRAINER.MMRL.REP_LAYERS"), ("MMRLpp", "TRAINER.MMRLpp.REP_LAYERS")):
        for layers, gain in (([4, 5, 6], 10.0), ([10, 11], 4.0), ([12], 0.0)):
            for part, seed in ((part, seed) for part in ("base", "new") for seed in (1, 2)):
                whole = {"method": method, "seed": seed, "subsample_classes": part, "swept": {key: layers}}
                folder = tmp_path / method / str(layers[0]) / f"{part}{seed}"
                record(folder, **whole, metrics={"accuracy": 40.0 + gain + (part == "base") * seed})
    rows = results_page.taken(tmp_path)
    assert len(rows) == 2 * 3 * 4
    results_page.write(rows, tmp_path / "rows.csv")
    assert results_page.read(tmp_path / "rows.csv") == rows
    head, _, *lines = results_page.ablation("REP_LAYERS", "layers")(rows)
    assert head == "| layers | MMRL base | MMRL new | MMRL H | MMRL++ base | MMRL++ new | MMRL++ H |"
    assert [line.split(" | ")[0] for line in lines] == ["| 4-6", "| 10-11", "| 12"]
    assert lines[1].startswith("| 10-11 | 45.5 ± 6.4 | 44.0 ± 0.0 | 44.7 ± 3.1 | 45.5")
    assert not [*results_page.base2new(rows)][2:]
    assert not [*results_page.ablation("N_REP_TOKENS", "tokens")(rows)][2:]


def test_a_folder_without_runs_is_named(capsys, tmp_path):
    assert results_page.main([str(tmp_path)]) == 2
    assert f"below {tmp_path}" in capsys.readouterr().err


def test_targets_have_their_average_and_the_source_beside_them(tmp_path):
    """A classifier of the source's classes is in the table of its targets, and in no other."""
    for seed in (1, 2):
        whole = {"seed": seed, "subsample_classes": "all"}
        for method, rule in (("MMRL", "unseen"), ("TaskRes", "seen")):
            trained = {"method": method, "protocol": "cross_dataset", "test_classes": "seen", "stage": "train"}
            record(tmp_path / f"{method}{seed}", **whole, **trained, metrics={"accuracy": 60.0})
            for target, accuracy in (("ImageNetA", 20.0 + seed), ("ImageNetR", 30.0)):
                tested = {"method": method, "protocol": "domain_generalization", "test_classes": rule}
                tested["dataset"] = target
                record(tmp_path / f"{method}{target}{seed}", **whole, **tested, metrics={"accuracy": accuracy})
        tested = {"method": "MMRL", "protocol": "cross_dataset", "test_classes": "unseen", "dataset": "EuroSAT"}
        record(tmp_path / f"other{seed}", **whole, **tested, metrics={"accuracy": 50.0})
    rows = results_page.taken(tmp_path)
    head, _, *lines = results_page.targets("domain_generalization")(rows)
    assert head == "| method | Caltech101 (64 px) | ImageNet-A | ImageNet-R | average of targets |"
    cells = "60.0 ± 0.0 | 21.5 ± 6.4 | 30.0 ± 0.0 | 25.8 ± 3.2 |"
    assert lines == [f"| MMRL | {cells}", f"| TaskRes | {cells}"]
    head, _, *lines = results_page.targets("cross_dataset")(rows)
    assert head == "| method | Caltech101 (64 px) | EuroSAT |" and lines == ["| MMRL | 60.0 ± 0.0 | 50.0 ± 0.0 |"]
