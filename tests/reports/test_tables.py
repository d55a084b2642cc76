"""Tables: the runs of each cell, the published results beside it, and the runs that are not compared or averaged."""

import json

import pytest

import report
from reports.efficiency import efficiency
from reports.paper_layout import as_paper
from reports.records import find_runs
from reports.reference_results import datasets_of
from reports.render.latex import as_latex
from reports.table_types import best_cells
from reports.tables import accuracy_tables, presets_side_by_side

REGISTRY = {"Flowers102": "OxfordFlowers", "DTD": "DescribableTextures"}


def table(make, name="base2new", seeds=None):
    (found,) = (one for one in accuracy_tables(find_runs(make.root), seeds) if one.name == name)
    return found


def rows(table):
    return {labels: dict(zip(table.columns, cells, strict=True)) for labels, cells in table.rows}


def test_base_new_and_h_beside_the_published(make):
    make.base2new("MMRL", "EuroSAT", [95.0, 96.0, 97.0], [70.0, 72.0, 74.0])
    cells = rows(table(make))["EuroSAT", "MMRL"]
    assert (cells["base"].score.mean, cells["new"].score.mean) == (96.0, 72.0)
    assert cells["H"].score.mean == pytest.approx(2 * 96 * 72 / (96 + 72)) and cells["H"].score.deviation is None
    assert (cells["base"].beside, cells["new"].beside, cells["H"].beside) == (95.60, 80.17, 87.21)
    assert cells["new"].difference == pytest.approx(72 - 80.17) and "VACSR" in cells["new"].source
    assert "issues/14" in cells["new"].notes[0] and not cells["base"].notes


def test_the_average_is_compared_only_over_the_papers_datasets(make):
    for name in datasets_of("base2new")[:-1]:
        make.base2new("CoOp", REGISTRY.get(name, name), [80.0] * 3, [60.0] * 3)
    average = rows(table(make))["Average", "CoOp"]
    assert average["base"].score.mean == 80.0 and average["base"].beside is None
    make.base2new("CoOp", datasets_of("base2new")[-1], [91.0] * 3, [60.0] * 3)
    average = rows(table(make))["Average", "CoOp"]
    assert average["base"].score.mean == 81.0 and average["base"].beside == 82.69
    assert average["H"].score.mean == pytest.approx(2 * 81 * 60 / 141)


def test_a_dataset_that_one_method_lacks_leaves_it_without_average(make):
    make.base2new("CoOp", "DTD", [80.0] * 3, [60.0] * 3)
    make.base2new("CoOp", "EuroSAT", [80.0] * 3, [60.0] * 3)
    make.base2new("MMRL", "DTD", [90.0] * 3, [70.0] * 3)
    found = rows(table(make))
    assert found["Average", "CoOp"]["base"].score.mean == 80.0
    assert found["Average", "MMRL"]["base"].score.mean is None
    assert found["Average", "MMRL"]["base"].score.incomplete == "1 of 2 datasets"


@pytest.mark.parametrize("other", [{"backbone": "RN50"}, {"preset": "fair"}, {"swept": {"OPTIM.LR": 0.1}}])
def test_other_backbones_presets_and_swept_values_are_rows_of_their_own(make, other):
    make.base2new("MMRL", "EuroSAT", [90.0] * 3, [70.0] * 3)
    make.base2new("MMRL", "EuroSAT", [50.0] * 3, [40.0] * 3, **other)
    tables = accuracy_tables(find_runs(make.root))
    means = [cells[0].score.mean for one in tables for _, cells in one.rows]
    assert sorted(means) == [50.0, 90.0]
    beside = {cells[0].score.mean: cells[0].beside for one in tables for _, cells in one.rows}
    assert beside[90.0] == 95.60 and beside[50.0] == (95.60 if "preset" in other else None)


def test_seeds_can_be_other_than_the_protocols(make):
    make.base2new("MMRL", "EuroSAT", [90.0], [70.0])
    assert rows(table(make))["EuroSAT", "MMRL"]["base"].score.incomplete == "1 of 3 seeds"
    assert rows(table(make, seeds=(1,)))["EuroSAT", "MMRL"]["base"].score.incomplete == ""


def test_records_from_before_protocol_and_preset_are_read(make):
    for part, task in (("base", "B2N"), ("new", "B2N"), ("all", "FS")):
        make(part=part, protocol=None, task=task, preset=None, swept=None)
    assert rows(table(make))["EuroSAT", "MMRL"]["H"].score.mean == 50.0
    assert rows(table(make, "few_shot"))["EuroSAT", "MMRL"]["16-shot"].score.mean == 50.0


def test_cross_dataset_averages_targets_only(make):
    make(dataset="ImageNet", accuracy=72.0, part="source", protocol="cross_dataset")
    for name, value in (("DTD", 40.0), ("EuroSAT", 60.0)):
        make(dataset=name, accuracy=value, part="target", protocol="cross_dataset")
    for name, value in (("ImageNetA", 50.0), ("ImageNetR", 76.0)):
        make(dataset=name, accuracy=value, part="target", protocol="domain_generalization")
    across = rows(table(make, "cross_dataset"))
    assert across["Average", "MMRL"]["accuracy"].score.mean == 50.0
    assert across["ImageNet", "MMRL"]["accuracy"].beside == 72.03
    other = rows(table(make, "domain_generalization"))
    assert other["Average", "MMRL"]["accuracy"].score.mean == 63.0
    assert {labels[0] for labels in other} == {"Average", "ImageNet", "ImageNet-A", "ImageNet-R"}


def test_classifiers_of_the_sources_classes_are_in_the_table_of_domain_generalization(make):
    """They score the target's images by the rule for seen classes."""
    make("TaskRes", "ImageNet", 72.0, part="source", protocol="cross_dataset")
    for name, value in (("ImageNetA", 50.0), ("ImageNetR", 76.0)):
        make("TaskRes", name, value, part="target", protocol="domain_generalization", test_classes="seen")
    found = rows(table(make, "domain_generalization"))
    assert [found[name, "TaskRes"]["accuracy"].score.mean for name in ("ImageNet-A", "ImageNet-R", "Average")] == [
        50.0,
        76.0,
        63.0,
    ]
    assert "cross_dataset" not in [one.name for one in accuracy_tables(find_runs(make.root))]


def test_few_shot_has_a_column_for_each_number(make):
    for shots in (1, 4, 16):
        make("MMA", "DTD", 50.0 + shots, part="all", protocol="few_shot", shots=shots)
    found = table(make, "few_shot")
    assert found.columns == ("1-shot", "4-shot", "16-shot")
    assert [cell.score.mean for cell in found.rows[0][1]] == [51.0, 54.0, 66.0]


def test_other_numbers_of_shots_are_not_averaged_in(make):
    make(accuracy=90.0, seed=1)
    make(accuracy=60.0, seed=2, shots=4)
    plain, swept = accuracy_tables(find_runs(make.root))
    assert plain.rows[0][1][0].score.mean == 90.0 and swept.rows[0][1][0].score.mean == 60.0
    assert "DATASET.NUM_SHOTS=4" in swept.rows[0][0]


def test_swept_settings_have_the_papers_symbols(make):
    for key, value, symbols in (
        ("TRAINER.MMRL.ALPHA", 0.1, {"TRAINER.MMRL.ALPHA": "α"}),
        ("TRAINER.MMRL.ALPHA", 0.3, {"TRAINER.MMRL.ALPHA": "α"}),
        ("TRAINER.MMRL.REP_DIM", 8, None),
    ):
        make(swept={key: value}, symbols=symbols)
    (table,) = accuracy_tables(find_runs(make.root))
    assert {labels[-1] for labels, _ in table.rows} == {"α=0.1", "α=0.3", "REP_DIM=8"}
    assert table.caption.endswith("Settings: α: ALPHA.")
    assert next(name for name, _ in as_paper(table).blocks[0].rows) == "MMRL α=0.1"
    latex = as_latex([table], "paper")
    assert r"MMRL $\alpha$=0.1 " in latex and r"MMRL REP\_DIM=8 " in latex


def test_presets_side_by_side(make):
    make.base2new("MMRL", "EuroSAT", [90.0] * 3, [70.0] * 3)
    assert presets_side_by_side(table(make)) is None
    make.base2new("MMRL", "EuroSAT", [94.0] * 3, [70.0] * 3, preset="fair")
    found = presets_side_by_side(table(make))
    (labels, cells), *more = found.rows
    assert labels == ("EuroSAT", "MMRL") and not more and found.beside == "paper"
    assert (cells[0].score.mean, cells[0].beside, cells[0].difference) == (94.0, 90.0, 4.0)


def test_efficiency_beside_the_published_and_old_records_empty(make):
    measured = {"device": "X", "train_seconds": 100.0, "train_images_per_second": 20.0, "test_images_per_second": 80.0}
    measured |= {"peak_memory_mib": 900.0, "train_epochs": 10, "runs_in_process": 1}
    for seed in (1, 2, 3):
        make("MMRL", "ImageNet", seed=seed, efficiency=measured)
        make("CoOp", "ImageNet", seed=seed)
    found = rows(efficiency(find_runs(make.root)))
    mine = found["base-to-novel", "16", "X", "ImageNet", "MMRL"]
    assert mine["training seconds"].score.mean == 100.0 and mine["training seconds"].beside == 9360.0
    assert mine["trainable parameters"].difference == pytest.approx(4_992_256 - 4.99e6)
    old = found["base-to-novel", "16", "", "ImageNet", "CoOp"]
    assert old["training seconds"].score.mean is None and not old["training seconds"].score.incomplete
    assert old["trainable parameters"].score.mean == 4_992_256


@pytest.mark.parametrize(
    ("change", "wanted"), [({"runs_in_process": 3}, "3 seeds"), ({"train_epochs": 4}, "interruption")]
)
def test_seconds_that_are_not_one_undisturbed_runs_have_a_note(make, change, wanted):
    make(efficiency={"device": "X", "train_seconds": 1.0, "train_epochs": 10, "runs_in_process": 1, **change})
    ((_, cells),) = efficiency(find_runs(make.root)).rows
    by_column = dict(zip(efficiency(find_runs(make.root)).columns, cells, strict=True))
    assert wanted in by_column["training seconds"].score.notes[0]
    assert not by_column["trainable parameters"].score.notes


@pytest.mark.parametrize(
    "damage", [{"seed": None}, {"shots": "many"}, {"swept": [1]}, {"metrics": 3}, {"method": 7}, None]
)
def test_a_damaged_record_is_left_out_and_named(make, damage, capsys):
    make(seed=1)
    folder = make(seed=2)
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(record | damage) if damage else json.dumps(record)[:99])
    assert report.main([str(make.root)]) == 0
    shown = capsys.readouterr()
    assert str(folder) in shown.err and "(n=1)" in shown.out


def test_there_must_be_runs(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder"):
        find_runs(tmp_path / "nowhere")
    (tmp_path / "run.json").write_text('{"method": 3}')
    with pytest.raises(FileNotFoundError, match=r"None of the run\.json below .* can be read"):
        find_runs(tmp_path)
    (tmp_path / "run.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"No run\.json"):
        find_runs(tmp_path)


def test_the_best_of_a_dataset_is_complete_and_ties_count(make):
    for method, base in (("CoOp", [80.0] * 3), ("MMRL", [80.001] * 3), ("TCP", [99.0])):
        make.base2new(method, "EuroSAT", base, [60.0] * 3)
    make.base2new("MMRL", "DTD", [70.0] * 3, [60.0] * 3)  # alone in its dataset
    found = table(make)
    best = {(found.rows[i][0], found.columns[j]) for i, j in best_cells(found)}
    assert {labels for labels, column in best if column == "base"} == {("EuroSAT", "CoOp"), ("EuroSAT", "MMRL")}
    assert not {labels for labels, _ in best if labels[0] == "DTD"}
    assert best_cells(efficiency(find_runs(make.root))) == set()


def test_a_probe_of_its_own_classes_takes_no_part_in_the_new_ones(make):
    for seed in (1, 2, 3):
        make("LinearProbe", accuracy=46.0, seed=seed)
        make("CoOp", accuracy=46.0, seed=seed)
    cells = rows(table(make))
    assert cells["EuroSAT", "Linear probe"]["new"].score.incomplete == "takes no part"
    assert cells["EuroSAT", "CoOp"]["new"].score.incomplete == "not run"
    assert not cells["EuroSAT", "Linear probe"]["base"].score.incomplete


def test_the_time_of_all_runs_is_told_by_protocol(make):
    seconds = iter([3000.0, 4000.0, 90.0, 700.0])
    for fields in (
        {},
        {"part": "new"},
        {"swept": {"DATASET.LABEL_NOISE": 0.1}},
        {"part": "all", "protocol": "few_shot"},
    ):
        file = make(**fields) / "run.json"
        record = json.loads(file.read_text())
        record["timing"]["seconds"] = next(seconds)
        file.write_text(json.dumps(record))
    make(status="running", seed=2)
    make(part="all", protocol="few_shot", seed=2, copied_from="elsewhere")
    caption = efficiency(find_runs(make.root)).caption
    assert "base2new 2 runs in 1 h 57 min" in caption
    assert "DATASET.LABEL_NOISE swept 1 runs in 90 s" in caption and "few shot 1 runs in 12 min" in caption


def test_sources_alone_are_shown_once(make):
    for seed in (1, 2, 3):
        make("CoOp", "Clothing", 60.0, seed, "source", protocol="cross_dataset")
    assert [one.name for one in accuracy_tables(find_runs(make.root))] == ["cross_dataset"]
    for seed in (1, 2, 3):
        make("CoOp", "Caltech101Pencil", 50.0, seed, "target", protocol="domain_generalization")
    (only,) = accuracy_tables(find_runs(make.root))
    assert only.name == "domain_generalization" and {labels[0] for labels, _ in only.rows} == {
        "Clothing (64 px)",
        "Pencil (64 px)",
    }
