"""The plots for papers: files that open, and the message without matplotlib."""

import sys

import pytest
from PIL import Image

import report
from reports import charts
from reports.figures import file_name
from reports.records import find_runs


def study(make):
    make.base2new("MMRL", "EuroSAT", [95.0, 96.0, 97.0], [70.0, 72.0, 74.0])
    for layers in ([10, 11, 12], list(range(1, 6))):  # no numbers
        make.base2new("MMRL", "EuroSAT", [90.0], [70.0], swept={"TRAINER.MMRL.LAYERS": layers})
    for shots in (1, 2, 4):
        make("A $x$ method", part="all", protocol="few_shot", shots=shots, accuracy=50.0 + shots)


@pytest.mark.extras
def test_png_and_pdf_of_every_chart(make, tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="plots need requirements-figures.txt")
    study(make)
    assert report.main([str(make.root), "--figures", str(tmp_path / "figures")]) == 0
    made = sorted((tmp_path / "figures").iterdir())
    names = {file_name(chart) for chart in charts.charts(find_runs(make.root))}
    assert {path.stem for path in made} == names and len(made) == 2 * len(names) == 6
    assert capsys.readouterr().out.count("\n") == 6
    for path in made:
        if path.suffix == ".png":
            assert Image.open(path).size[0] >= 900
        else:
            assert path.read_bytes().startswith(b"%PDF")


def test_without_matplotlib_the_message_names_the_file_to_install(make, tmp_path, capsys, monkeypatch):
    study(make)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert report.main([str(make.root), "--figures", str(tmp_path / "figures")]) == 2
    assert "requirements-figures.txt" in capsys.readouterr().err and not (tmp_path / "figures").exists()


@pytest.mark.extras
def test_nothing_to_draw_is_said(make, tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="plots need requirements-figures.txt")
    make()
    assert report.main([str(make.root), "--figures", str(tmp_path)]) == 2
    assert "nothing to draw" in capsys.readouterr().err


def test_values_that_are_no_numbers_get_ticks(make):
    study(make)
    (chart,) = charts.ablations(find_runs(make.root))
    assert chart.ticks == ["1-5", "10-12"] and [point.x for point in chart.series[0].points] == [0.0, 1.0]


def test_the_run_that_sweeps_nothing_joins_the_curve_with_its_value(make):
    for rate in (0.1, 0.4):
        make.base2new("MMRL", "EuroSAT", [rate * 100], [50.0], swept={"OPTIM.LR": rate}, config={"OPTIM": {"LR": rate}})
    make.base2new("MMRL", "EuroSAT", [20.0], [50.0], config={"OPTIM": {"LR": 0.2}})
    make.base2new("CoOp", "EuroSAT", [77.0], [50.0], config={"OPTIM": {"LR": 0.2}})  # another method does not
    (chart,) = charts.ablations(find_runs(make.root))
    base = next(series for series in chart.series if series.label == "base")
    assert [(point.x, point.y) for point in base.points] == [(0.1, 10.0), (0.2, 20.0), (0.4, 40.0)]


def test_several_methods_share_a_chart_for_each_column(make):
    for method in ("MMRL", "CoOp"):
        for noise in (0.0, 0.4):
            make.base2new(method, "EuroSAT", [90 - noise], [70 - noise], swept={"DATASET.LABEL_NOISE": noise})
    found = charts.ablations(find_runs(make.root))
    assert [chart.name.split(", ")[-1] for chart in found] == [
        f"{c}: DATASET.LABEL_NOISE" for c in ("base", "new", "H")
    ]
    assert all([series.label for series in chart.series] == ["CoOp paper", "MMRL paper"] for chart in found)
    assert [(point.x, point.y) for point in found[1].series[0].points] == [(0.0, 70.0), (0.4, 69.6)]


def test_other_swept_keys_stay_fixed(make):
    for rate in (0.1, 0.2):
        for width in (32, 64):
            swept = {"OPTIM.LR": rate, "TRAINER.MMRL.REP_DIM": width}
            make.base2new("MMRL", "EuroSAT", [rate * width], [50.0], swept=swept)
    rates = next(c for c in charts.ablations(find_runs(make.root)) if c.x == "OPTIM.LR" and ", base:" in c.name)
    lines = {series.label: [point.y for point in series.points] for series in rates.series}
    assert lines == {
        "MMRL [REP_DIM=32] paper": [pytest.approx(3.2), pytest.approx(6.4)],
        "MMRL [REP_DIM=64] paper": [pytest.approx(6.4), pytest.approx(12.8)],
    }
