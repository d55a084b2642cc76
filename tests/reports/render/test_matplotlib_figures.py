"""The plots for papers: files that open, and the message without matplotlib."""

import re
import statistics
import sys

import pytest
from PIL import Image

import report
from reports import build_charts
from reports.ablations import ablations
from reports.records import find_runs
from reports.render.label_placement import Box, place
from reports.render.matplotlib_figures import figure_of, file_name, gains, means_to_show
from runs.names import method_name
from runs.protocol import load_protocol, methods, protocols
from runs.sweep.plan import Request, expand


def study(make):
    make.base2new("MMRL", "EuroSAT", [95.0, 96.0, 97.0], [70.0, 72.0, 74.0])
    for layers in ([10, 11, 12], list(range(1, 6))):  # no numbers
        make.base2new("MMRL", "EuroSAT", [90.0], [70.0], swept={"TRAINER.MMRL.LAYERS": layers})
    for shots in (1, 2, 4):
        make("A $x$ method", part="all", protocol="few_shot", shots=shots, accuracy=50.0 + shots)


@pytest.mark.extras
def test_png_and_pdf_of_every_chart(make, tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="plots need the extra figures")
    study(make)
    assert report.main([str(make.root), "--figures", str(tmp_path / "figures")]) == 0
    made = sorted((tmp_path / "figures").iterdir())
    names = {file_name(chart) for chart in build_charts.charts(find_runs(make.root))}
    assert {path.stem for path in made} == names and len(made) == 2 * len(names) == 6
    assert capsys.readouterr().out.count("\n") == 6
    for path in made:
        if path.suffix == ".png":
            assert Image.open(path).size[0] >= 900
        else:
            assert path.read_bytes().startswith(b"%PDF")


def test_markdown_shows_what_was_drawn(make, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    study(make)
    page = tmp_path / "docs" / "page.md"
    words = ["--format", "markdown", "--output", page, "--figures", tmp_path / "docs" / "images"]
    assert report.main([str(make.root), *map(str, words)]) == 0
    text = page.read_text()
    shown = re.findall(r"!\[[^]]+\]\((\S+)\)", text)
    assert len(shown) == 3 and all((page.parent / path).suffix == ".png" for path in shown)
    assert all((page.parent / path).is_file() for path in shown) and "## Base-to-novel" in text


def test_without_matplotlib_the_message_names_the_file_to_install(make, tmp_path, capsys, monkeypatch):
    study(make)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert report.main([str(make.root), "--figures", str(tmp_path / "figures")]) == 2
    assert "'.[figures]'" in capsys.readouterr().err and not (tmp_path / "figures").exists()


@pytest.mark.extras
def test_nothing_to_draw_is_said(make, tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="plots need the extra figures")
    make()
    assert report.main([str(make.root), "--figures", str(tmp_path)]) == 2
    assert "nothing to draw" in capsys.readouterr().err


def test_values_that_are_no_numbers_get_ticks(make):
    study(make)
    (chart,) = ablations(find_runs(make.root))
    assert chart.ticks == ["1-5", "10-12"] and [point.x for point in chart.series[0].points] == [0.0, 1.0]


def test_the_run_that_sweeps_nothing_joins_the_curve_with_its_value(make):
    for rate in (0.1, 0.4):
        make.base2new("MMRL", "EuroSAT", [rate * 100], [50.0], swept={"OPTIM.LR": rate}, config={"OPTIM": {"LR": rate}})
    make.base2new("MMRL", "EuroSAT", [20.0], [50.0], config={"OPTIM": {"LR": 0.2}})
    make.base2new("CoOp", "EuroSAT", [77.0], [50.0], config={"OPTIM": {"LR": 0.2}})  # another method does not
    (chart,) = ablations(find_runs(make.root))
    base = next(series for series in chart.series if series.label == "base")
    assert [(point.x, point.y) for point in base.points] == [(0.1, 10.0), (0.2, 20.0), (0.4, 40.0)]


def test_several_methods_share_a_figure_with_a_panel_for_each_column(make):
    for method in ("MMRL", "CoOp"):
        for noise in (0.0, 0.4):
            make.base2new(method, "EuroSAT", [90 - noise], [70 - noise], swept={"DATASET.LABEL_NOISE": noise})
    found = ablations(find_runs(make.root))
    assert [(chart.group, chart.name) for chart in found] == [
        ("EuroSAT: fraction of wrong labels", column) for column in ("base", "new", "H")
    ]
    assert all([series.label for series in chart.series] == ["CoOp", "MMRL"] for chart in found)
    assert [(point.x, point.y) for point in found[1].series[0].points] == [(0.0, 70.0), (0.4, 69.6)]


def test_what_two_methods_call_the_same_is_one_figure(make):
    for method in ("MMRL", "MMRLpp"):
        for count in (1, 5):
            swept = {f"TRAINER.{method}.N_REP_TOKENS": count}
            make.base2new(method, "EuroSAT", [90.0 + count], [70.0], swept=swept)
    found = ablations(find_runs(make.root))
    assert {chart.group for chart in found} == {"EuroSAT: number of representation tokens"}
    assert [series.label for series in found[0].series] == ["MMRL", "MMRL++"]
    assert {chart.x for chart in found} == {"number of representation tokens"}


ABLATIONS = [name for name in protocols() if "set" in load_protocol(name)]


@pytest.mark.parametrize("name", ABLATIONS)
def test_every_ready_ablation_has_its_plot(make, name):
    """From the runs that the sweep would plan to points at all of the protocol's values."""
    data = load_protocol(name)
    for run in expand(Request(name, datasets=["clothing_64"], seeds=[1])):
        part = run.options["DATASET.SUBSAMPLE_CLASSES"]
        make(run.trainer, "Clothing", 50.0, part=part, swept=run.swept, backbone="photo-ViT-8")
    found = ablations(find_runs(make.root))
    assert {chart.x for chart in found} == {data["axis"]}
    values = next(iter(data["set"].values()))
    if len(data["methods"]) == 1:
        assert [[series.label for series in chart.series] for chart in found] == [["base", "new", "H"]]
    else:
        assert [chart.name for chart in found] == ["base", "new", "H"]
        assert all(
            {series.label for series in chart.series} == set(map(method_name, data["methods"])) for chart in found
        )
    for series in (series for chart in found for series in chart.series):
        xs = [point.x for point in series.points]
        assert xs == sorted(xs) and len(xs) == len(values)
        assert isinstance(values[0], list) or xs == sorted(values)


def test_runs_on_two_backbones_are_two_lines(make):
    for backbone, base in (("ViT-B/16", 90.0), ("RN50", 60.0)):
        for noise in (0.0, 0.4):
            swept = {"DATASET.LABEL_NOISE": noise}
            make.base2new("MMRL", "EuroSAT", [base - noise], [50.0], backbone=backbone, swept=swept)
    base = next(chart for chart in ablations(find_runs(make.root)) if chart.name == "base")
    assert {series.label: [point.y for point in series.points] for series in base.series} == {
        "MMRL RN50": [60.0, 59.6],
        "MMRL ViT-B/16": [90.0, 89.6],
    }


def test_other_swept_keys_stay_fixed(make):
    for rate in (0.1, 0.2):
        for width in (32, 64):
            swept = {"OPTIM.LR": rate, "TRAINER.MMRL.REP_DIM": width}
            make.base2new("MMRL", "EuroSAT", [rate * width], [50.0], swept=swept)
    rates = next(c for c in ablations(find_runs(make.root)) if c.x == "OPTIM.LR" and c.name == "base")
    lines = {series.label: [point.y for point in series.points] for series in rates.series}
    assert lines == {
        "MMRL [REP_DIM=32]": [pytest.approx(3.2), pytest.approx(6.4)],
        "MMRL [REP_DIM=64]": [pytest.approx(6.4), pytest.approx(12.8)],
    }


def test_a_method_looks_the_same_in_every_chart(make):
    for method in ("CoOp", "MMRL", "TCP"):
        make.base2new(method, "EuroSAT", [90.0], [70.0])
        for shots in (1, 2):
            make(method, part="all", protocol="few_shot", shots=shots)
    for noise in (0.0, 0.4):
        make.base2new("TCP", "EuroSAT", [90.0], [70.0], swept={"DATASET.LABEL_NOISE": noise})
        make.base2new("MMRL", "EuroSAT", [90.0], [70.0], swept={"DATASET.LABEL_NOISE": noise})
    make.base2new("MMRL", "EuroSAT", [80.0], [60.0], preset="fair")
    looks = {(s.label, s.style) for chart in build_charts.charts(find_runs(make.root)) for s in chart.series}
    assert {label for label, _ in looks} == {"CoOp", "MMRL", "TCP", "MMRL fair"}
    assert sorted(style for _, style in looks) == [0, 1, 2, 3], "one style per method, none twice"


def crowd(make):
    """More methods than there are colours, some with nearly the same result."""
    for i, method in enumerate(methods()):
        make.base2new(method, "EuroSAT", [80.0 + i % 3] * 3, [70.0 + i % 2] * 3)
        for shots in (1, 2):
            make(method, part="all", protocol="few_shot", shots=shots, accuracy=50.0 + i + shots)


def test_nothing_is_cut_off_however_many_methods(make):
    pytest.importorskip("matplotlib")
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    crowd(make)
    for chart in build_charts.charts(find_runs(make.root)):
        figure = figure_of([chart])
        FigureCanvasAgg(figure).draw()
        axes = figure.axes[0].get_window_extent()
        assert axes.width > 0.4 * figure.bbox.width and axes.height > 0.45 * figure.bbox.height
        (panel,), shown = figure.axes, sorted(map(method_name, methods()))
        of_legend = [text for legend in figure.legends for text in legend.get_texts()]
        names = [text for text in (*panel.texts, *of_legend) if text.get_text() in shown]
        assert sorted(text.get_text() for text in names) == shown
        for text in (*names, panel.title, panel.xaxis.label, panel.yaxis.label, *figure.texts):
            box = text.get_window_extent()
            assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1, text
            assert figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1, text


def test_names_meet_neither_points_nor_one_another():
    frame = Box(0, 0, 800, 600)
    centres = [(400 + 9 * i, 300 + 7 * (i % 3)) for i in range(9)]
    boxes = place(centres, [(60, 12)] * len(centres), frame, 5)
    for i, box in enumerate(boxes):
        assert frame.holds(box) and not any(box.meets(other) for other in boxes[:i])
        for j, (x, y) in enumerate(centres):
            assert i == j or not box.meets(Box(x - 5, y - 5, x + 5, y + 5))
    (alone,) = place([(400, 300)], [(60, 12)], frame, 5)
    assert alone.left > 400 and alone.distance(400, 300) < 10


def test_where_there_is_no_room_a_name_is_still_written():
    assert len(place([(5, 5)] * 40, [(60, 12)] * 40, Box(0, 0, 70, 30), 4)) == 40


@pytest.mark.parametrize(
    "rectangle", [(0, 100, 0, 100), (72.1, 73.9, 60.2, 60.9), (20.0, 49.0, 10.0, 20.0), (50, 50, 70, 70)]
)
def test_means_shown_lie_in_the_image(rectangle):
    left, right, low, high = rectangle
    found = means_to_show(*rectangle)
    first, last = (statistics.harmonic_mean(pair) for pair in ((left, low), (right, high)))
    assert len(found) <= 7 and all(first <= mean <= last for mean in found)
    assert found or last - first < 1


@pytest.mark.extras
def test_fonts_of_pdfs_are_true_type_and_a_grid_has_every_dataset(make, tmp_path):
    pytest.importorskip("matplotlib")
    for dataset in ("DTD", "EuroSAT", "UCF101"):
        make("ZeroshotCLIP", dataset, 40.0, part="all", protocol="few_shot", shots=1)
        for shots in (1, 2, 4):
            make("MMRL", dataset, 50.0 + shots, part="all", protocol="few_shot", shots=shots)
    for width, inches in (("single", 3.25), ("double", 6.875)):
        folder = tmp_path / width
        assert report.main([str(make.root), "--figures", str(folder), "--column-width", width]) == 0
        for path in folder.glob("*.pdf"):
            assert b"/Type3" not in path.read_bytes() and b"/FontFile2" in path.read_bytes()
        assert Image.open(folder / "few_shot_all.png").size[0] == pytest.approx(300 * inches, abs=1)
    curves = [chart for chart in build_charts.charts(find_runs(make.root)) if chart.kind == "few_shot"]
    assert [chart.group for chart in curves] == ["Average", "DTD", "EuroSAT", "UCF101"]
    for chart in curves:
        (star,) = (series for series in chart.series if series.star)
        assert (star.label, [(point.x, point.y) for point in star.points]) == ("CLIP", [(0.0, 40.0)])


def test_gains_are_of_the_two_best_averages(make):
    for i, method in enumerate(("CoOp", "MMRL", "TCP")):
        for dataset in ("DTD", "EuroSAT"):
            make.base2new(method, dataset, [80.0 + i], [70.0 + i])
    chart = gains(build_charts.charts(find_runs(make.root)))
    assert [series.label for series in chart.series] == ["TCP", "MMRL"]
    assert chart.ticks == ["Average", "DTD", "EuroSAT"] and [p.y for p in chart.series[0].points] == [0.0, -1.0, -2.0]
    assert chart.series[0].points[0].x == pytest.approx(2 * 82 * 72 / 154)


def test_methods_on_different_datasets_have_no_average_and_are_drawn_all_the_same(make, tmp_path):
    pytest.importorskip("matplotlib")
    for method, dataset in (("MMRL", "EuroSAT"), ("CoOp", "DTD")):
        for shots in (1, 2):
            make(method, dataset, part="all", protocol="few_shot", shots=shots)
    charts = build_charts.charts(find_runs(make.root))
    assert [chart.group for chart in charts if chart.kind == "few_shot"] == ["DTD", "EuroSAT"]
    assert report.main([str(make.root), "--figures", str(tmp_path / "figures")]) == 0


def test_long_names_lose_their_middle_and_many_points_get_a_legend(make):
    pytest.importorskip("matplotlib")
    long = "photos_of_everything_" * 10
    for i in range(15):
        make.base2new(f"{long}{i:02}", long, [60.0 + i], [50.0 + i])
    (scatter,) = [chart for chart in build_charts.charts(find_runs(make.root)) if chart.kind == "scatter"]
    (legend,) = figure_of([scatter], "single").legends
    names = [text.get_text() for text in legend.get_texts()]
    assert len(set(names)) == 15 and max(map(len, names)) == 30 and names[0].endswith("00") and "…" in names[0]
    assert not figure_of([scatter], "double").legends
