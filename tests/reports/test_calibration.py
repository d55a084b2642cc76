"""Calibration of base and new apart, from what runs measured; records without it say nothing."""

import json

import pytest

from reports.calibration import calibration, coverage_charts
from reports.records import find_runs


def measure(folder, ece, coverage):
    file = folder / "run.json"
    record = json.loads(file.read_text())
    record["calibration"] = {"ece": ece, "nll": 0.5, "brier": 0.25, "coverage": coverage}
    file.write_text(json.dumps(record))


def test_base_and_new_are_apart_and_averaged_over_datasets(make):
    for dataset, shift in (("DTD", 0.0), ("EuroSAT", 2.0)):
        for part, ece in (("base", 3.0), ("new", 8.0)):
            for seed in (1, 2, 3):
                measure(
                    make("MMRL", dataset, seed=seed, part=part), ece + shift + seed, [[0.5, 90.0], [1.0, 80.0 + seed]]
                )
    make("CoOp", "DTD")  # of before it was measured
    runs = find_runs(make.root)
    found = {
        labels: dict(zip(calibration(runs).columns, cells, strict=True)) for labels, cells in calibration(runs).rows
    }
    assert list(found) == [("Average", "MMRL"), ("DTD", "MMRL"), ("EuroSAT", "MMRL")]
    assert found["DTD", "MMRL"]["base ECE"].score.mean == 5.0 and found["Average", "MMRL"]["new ECE"].score.mean == 11.0
    charts = coverage_charts(runs)
    groups = [(chart.group, chart.name) for chart in charts]
    assert groups == [(group, part) for group in ("Average", "DTD", "EuroSAT") for part in ("base", "new")]
    assert [(p.x, p.y) for p in charts[0].series[0].points] == [(0.5, 90.0), (1.0, pytest.approx(82.0))]


def test_a_method_that_takes_no_part_in_new_classes_has_no_number_missing(make):
    measure(make("CLAP", "DTD", part="base"), 3.0, [[1.0, 80.0]])
    (row,) = calibration(find_runs(make.root)).rows
    assert {cell.score.incomplete for cell in row[1][3:]} == {"takes no part"}


def test_records_without_it_give_no_table(make):
    make.base2new("MMRL", "EuroSAT", [90.0], [70.0])
    assert calibration(find_runs(make.root)).rows == [] and coverage_charts(find_runs(make.root)) == []


def test_a_fitted_temperature_has_columns_and_is_no_other_setting(make):
    for part, ece in (("base", 6.0), ("new", 9.0)):
        file = make("MMRL", "DTD", part=part, swept={"TEST.FIT_TEMPERATURE": True}) / "run.json"
        record = json.loads(file.read_text())
        record["calibration"] = {"ece": ece, "nll": 0.5, "brier": 0.2, "temperature": 1.5, "scaled": {"ece": ece / 3}}
        file.write_text(json.dumps(record))
    (run, *_), table = find_runs(make.root), calibration(find_runs(make.root))
    assert not run.line.swept and not run.line.fixed
    ((_, cells),) = table.rows
    found = {head: cell.score.mean for head, cell in zip(table.columns, cells, strict=True)}
    assert found["base T"] == 1.5 and found["base ECE at T"] == 2.0 and found["new ECE at T"] == 3.0
    assert found["base NLL at T"] is None and "fitted on validation images" in table.caption
