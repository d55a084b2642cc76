"""The tables in each format: numbers, marks, notes, escapes."""

import csv
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import report

PROJECT = Path(report.__file__).parent


@pytest.fixture
def printed(make, capsys):
    def run(*arguments):
        status = report.main([str(make.root), *map(str, arguments)])
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return run


def test_terminal_and_markdown_show_deviation_seeds_published_difference(make, printed):
    make.base2new("MMRL", "EuroSAT", [95.0, 96.0, 97.0], [70.0, 72.0])
    _, table, _ = printed()
    _, markdown, _ = printed("--format", "markdown")
    for text in (table, markdown):
        assert re.search(r"96\.00 ± 0\.82 \(n=3\).*95\.60.*\+0\.40", text)
        assert re.search(r"71\.00 ± 1\.00 \(n=2\)\\?\* \\?\[1\\?\].*80\.17.*-9\.17", text)
        assert (
            "72.06–77.20" in text
            and "2 of 3 seeds" in text
            and "issues/14" in text
            and "harmonic mean of the two means" in text
        )
    heads = next(line for line in markdown.splitlines() if "base" in line and line.startswith("|"))
    assert [word.strip() for word in heads.strip("|").split("|")] == [
        *("Dataset", "Method"),
        *(head for name in ("base", "new", "H") for head in (name, "published", "reported by others", "difference")),
    ]


def test_nothing_published_means_no_columns_for_it(make, printed):
    make.base2new("MMRL", "Clothing", [50.0] * 3, [40.0] * 3)
    _, text, _ = printed("--format", "markdown")
    accuracies = text[: text.index("## Efficiency")]
    assert "published |" not in accuracies and "reported by others |" not in accuracies and "50.00" in accuracies


def test_csv_is_one_row_per_number_unrounded(make, printed):
    make.base2new("MMRL", "EuroSAT", [95.0, 96.0, 96.0], [70.0] * 3)
    _, text, _ = printed("--format", "csv")
    found = [row for row in csv.DictReader(io.StringIO(text)) if row["table"] == "base2new"]
    base = next(row for row in found if row["metric"] == "base")
    assert float(base["mean"]) == pytest.approx(287 / 3, abs=1e-12) and base["seeds"] == "3"
    assert (base["dataset"], base["method"], base["beside"], base["beside_what"]) == (
        "EuroSAT",
        "MMRL",
        "95.6",
        "published",
    )
    assert [row["metric"] for row in found] == ["base", "new", "H"]


def test_latex_is_balanced_and_escaped(make, printed):
    make.base2new("MMRL", "50%_of_{A}&B$", [95.0] * 3, [70.0] * 3)
    _, text, _ = printed("--format", "latex")
    assert r"50\%\_of\_\{A\}\&B\$" in text
    assert text.count(r"\begin{") == text.count(r"\end{") and text.count(r"\toprule") == text.count(r"\bottomrule")
    grid = re.search(r"\\begin\{tabular\}\{([lr]+)\}(.*?)\\end\{tabular\}", text, re.S)
    for line in grid[2].splitlines():
        if line.endswith(r"\\"):
            assert len(re.findall(r"(?<!\\)&", line)) == len(grid[1]) - 1
    plain = re.sub(r"\\.", "", text)
    assert plain.count("{") == plain.count("}") and plain.count("$") % 2 == 0


def test_markdown_names_cannot_leave_their_cell(make, printed):
    make.base2new("MMRL", "a|b<script>", [95.0] * 3, [70.0] * 3)
    _, text, _ = printed("--format", "markdown")
    assert "<script" not in text and r"a\|b" in text


def test_runs_that_are_not_complete_are_listed(make, printed):
    make.base2new("MMRL", "EuroSAT", [95.0], [70.0])
    make(dataset="DTD", status="failed")
    _, text, errors = printed()
    assert "CUDA out of memory" in errors and "base2new/base/DTD" in errors
    assert "(failed)" in text


def test_runs_of_no_protocol_are_named(make, printed):
    make.base2new("MMRL", "EuroSAT", [95.0], [70.0])
    make(dataset="DTD", part="all", protocol="")
    make(dataset="DTD", part="all", protocol="base2new", seed=3)
    _, text, errors = printed()
    assert errors.count("in no table") == 2 and "protocol none, all classes" in errors and "DTD" not in text


def test_choosing(make, printed, tmp_path):
    for method in ("MMRL", "CoOp"):
        make.base2new(method, "EuroSAT", [95.0] * 3, [70.0] * 3)
    status, text, _ = printed("--methods", "CoOp", "--output", tmp_path / "made" / "table.txt")
    assert status == 0 and text.strip() == str(tmp_path / "made" / "table.txt")
    shown = (tmp_path / "made" / "table.txt").read_text()
    assert "CoOp" in shown and "MMRL" not in shown


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["--methods", "CoOb"], "--methods: no run has CoOb; there are MMRL"),
        (["--datasets", "imagenet"], "there are EuroSAT"),
        (["--preset", "fair"], "there are paper"),
    ],
)
def test_mistakes(make, printed, arguments, wanted):
    make()
    status, _, errors = printed(*arguments)
    assert status == 2 and wanted in errors


def test_it_needs_no_torch():
    code = "import sys, report, reports.render.html, reports.render.matplotlib_figures; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr


def test_a_folder_without_runs_is_a_mistake(tmp_path, capsys):
    assert report.main([str(tmp_path)]) == 2
    assert "run.json" in capsys.readouterr().err


def test_a_difference_that_rounds_to_nothing_has_no_sign(make, printed):
    make.base2new("MMRL", "EuroSAT", [95.599] * 3, [80.171] * 3)
    _, text, _ = printed()
    row = next(line for line in text.splitlines() if line.startswith("EuroSAT"))
    assert row.count(" 0.00") == 5 and "-0.00" not in row and "+0.00" not in row  # two deviations, three differences


def test_the_best_is_bold_where_there_is_bold(make, printed):
    make.base2new("MMRL", "Clothing", [95.0] * 3, [70.0] * 3)
    make.base2new("CoOp", "Clothing", [91.0] * 3, [72.0] * 3)
    _, markdown, _ = printed("--format", "markdown")
    _, latex, _ = printed("--format", "latex")
    _, plain, _ = printed()
    assert "**95.00 ± 0.00 (n=3)**" in markdown and "**91.00" not in markdown and "highest complete" in markdown
    assert r"\textbf{95.00}" in latex and r"\textbf{91.00}" not in latex
    assert "**" not in plain and "Bold" not in plain


def test_other_machines_are_mentioned_only_beside_their_results(make, printed):
    make("TipAdapter", "Clothing", efficiency={"device": "cpu"})
    _, text, _ = printed("--format", "markdown", "--cost-by-dataset")
    assert "of other machines" not in text
    make("MMRL", "ImageNet")
    _, text, _ = printed("--format", "markdown", "--cost-by-dataset")
    assert "of other machines" in text


def test_columns_are_the_same_in_every_format_and_layout(make, printed):
    make.base2new("MMRL", "EuroSAT", [95.0] * 3, [70.0] * 3)
    make.base2new("CoOp", "EuroSAT", [91.0] * 3, [60.0] * 3)
    for layout in ("paper", "records"):
        for form in ("table", "markdown", "latex"):
            for words in (["published,difference"], ["published", "difference"], ["reported"]):
                _, text, _ = printed("--format", form, "--layout", layout, "--columns", *words)
                text = text[text.index("EuroSAT") :].split("Efficiency")[0]
                assert "95.00" not in text and "(n=3)" not in text, (form, layout, "the own number was not asked for")
                there, missing = ("80.17", "77.20") if len(words) > 1 or "," in words[0] else ("77.20", "-10.17")
                grid = text.split("Accuracy in" if form != "latex" else r"\end{tabular}")[0]
                assert there in grid and missing not in grid, (form, layout, words)
    _, text, _ = printed("--format", "csv", "--columns", "published,difference")
    heads = text.splitlines()[0].split(",")
    assert {"beside", "difference"} < set(heads) and not {"mean", "deviation", "seeds", "reported_low"} & set(heads)


def test_columns_that_no_table_has_are_an_error(make, printed):
    make.base2new("MMRL", "Clothing", [95.0] * 3, [70.0] * 3, backbone="RN50")
    status, _, errors = printed("--columns", "reported")
    assert status == 2 and "--columns: no table has reported" in errors
    with pytest.raises(SystemExit):
        printed("--columns", "accuracy,sparkle")


ODD = (None, float("nan"), -1, "x", [], {}, [1], True)


@pytest.mark.parametrize("value", ODD, ids=repr)
@pytest.mark.parametrize("form", ["table", "latex", "csv", "html"])
def test_odd_values_in_records_stop_no_report(make, printed, form, value):
    make.base2new("MMRL", "EuroSAT", [95.0] * 3, [70.0] * 3)
    make.base2new("CoOp", "EuroSAT", [90.0] * 3, [60.0] * 3)
    whole = json.loads((make(seed=9) / "run.json").read_text())
    fields = [(key,) for key in whole if key not in ("method", "dataset", "status")]
    fields += [("metrics", "accuracy"), ("timing", "ended"), ("timing", "seconds"), ("config", "OPTIM", "MAX_EPOCH")]
    fields += [("efficiency", name) for name in ("device", "train_seconds", "runs_in_process", "train_epochs")]
    fields += [("calibration", name) for name in ("ece", "coverage")]
    for number, (*above, key) in enumerate(fields):
        record = json.loads(json.dumps(whole | {"efficiency": {"device": "cpu"}, "calibration": {"ece": 1.0}}))
        node = record
        for name in above:
            node = node[name]
        node[key] = value
        folder = make.root / "odd" / str(number)
        folder.mkdir(parents=True)
        (folder / "run.json").write_text(json.dumps(record))
    status, text, errors = printed("--format", form, "--significance")
    assert status == 0 and "Traceback" not in errors
    if value != -1:
        assert "left out" in errors and "odd" in errors, "what is missing in the tables is said"
    assert form == "html" or "nan" not in re.sub(r"[a-zA-Z]nan|nan[a-zA-Z]", "", text)


@pytest.mark.parametrize("form", ["table", "markdown", "latex", "html"])
@pytest.mark.parametrize("layout", ["records", "paper"])
def test_every_format_says_which_prediction_rule_was_used(form, layout, make, capsys):
    for part, value in (("base", 80.0), ("new", 70.0)):
        make("MMRL", "EuroSAT", value, 1, part, test_classes_reason="protocol base2new.yaml")
    assert report.main([str(make.root), "--format", form, "--layout", layout]) == 0
    text = capsys.readouterr().out
    text = (make.root / "report.html").read_text() if form == "html" else text
    rule = "Prediction rule: seen for base, unseen for new (protocol base2new.yaml)."
    assert rule in " ".join(text.split())


@pytest.mark.parametrize("form", ["table", "markdown", "latex", "html"])
def test_a_run_without_a_protocol_is_in_a_table_with_its_rule(form, make, capsys):
    reason = "no protocol: a run that trains is tested on the classes it trained on"
    make("MMRL", "EuroSAT", 62.5, 1, "all", protocol="", task="B2N", test_classes_reason=reason)
    assert report.main([str(make.root), "--format", form]) == 0
    said = capsys.readouterr()
    text = (make.root / "report.html").read_text() if form == "html" else said.out
    assert f"Prediction rule: seen for all ({reason})." in " ".join(text.split())
    assert "62.5" in text and "in no table" not in said.err


@pytest.mark.parametrize("form", ["table", "markdown", "latex", "html"])
def test_different_test_images_are_said(form, make, capsys):
    for seed, mark in enumerate("aab", 1):
        make("MMRL", "DTD", 50.0, seed, images={"test": {"count": 5, "sha256": mark}})
        make("MMRL", "EuroSAT", 50.0, seed, images={"test": {"count": 5, "sha256": "c"}})
    assert report.main([str(make.root), "--format", form]) == 0
    text = (make.root / "report.html").read_text() if form == "html" else capsys.readouterr().out
    assert "Warning: runs on DTD were tested on different images." in " ".join(text.split())


def test_a_run_that_was_not_tested_is_said_to_be_so(make, printed):
    make("MMRL", "EuroSAT", 50.0)
    folder = make("CoOp", "EuroSAT", 50.0)
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(record | {"metrics": {}}))
    assert "left out, it was not tested (TEST.NO_TEST)" in printed()[2]
