"""Names that are commands of some format, in every place that a name can stand, through every output of every command.

What a format would obey stays text: control characters in terminals, formulas in spreadsheets, markup in pages and
cards, macros in LaTeX, formulas in figures. Readers that nobody here wrote say so: html.parser, csv, PyYAML,
markdown-it, pdfLaTeX.
"""

from __future__ import annotations

import csv
import importlib.util
import io
import json
import re
import shutil
import subprocess
import sys
import unicodedata
import warnings
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml
from PIL import Image
from short_runs import Runs

import predict
import report
import sweep
import train
from inference.commands import export, visualize
from mmrl.__main__ import main as mmrl
from runs.record import RunRecord
from safeio.escape import for_line

NAMES = (
    "=cmd|' /C calc'!A0",
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(2)>",
    r"\input{/etc/passwd}",
    "a|b | **bold** [x](javascript:alert(3))",
    "$x_1$ and $$",
    "\x1b]0;owned\x07\x1b[31mred\x1b[0m",
    "abc\u202etxt.exe",
    "two\nlines\n- item",
    "`code` ``` &lt;b&gt;",
    "_hidden",
    "@SUM(A1)",
    "-1+1",
    "+1",
    "# heading --- 'x,,y' 50% ~tilde~ @someone",
    "\u2066isolate \x9b2J \u2028x \x00"[:-2],
)
"""Class names."""
SAFE_IN_PATHS = [name.replace("/", "⁄").replace("\\", "⧵").strip() for name in NAMES]
"""Names of files and folders: without separators, and as lists give them back."""
UNDECODABLE = "caf\udce9.png"
FORMULA = tuple("=+-@\t\r")


def controls(text: str) -> set[str]:
    """Characters that a terminal obeys or that turn the direction of writing."""
    kinds = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    return {one for one in set(text) - set("\n\t\u00ad\u200c\u200d") if unicodedata.category(one) in kinds}


@pytest.fixture(scope="module")
def short(tmp_path_factory) -> Runs:
    return Runs(tmp_path_factory.mktemp("short"))


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    """A folder named by commands, images named by commands, and a list that names their classes by commands."""
    folder = tmp_path_factory.mktemp("own") / f"{SAFE_IN_PATHS[1]} {SAFE_IN_PATHS[6]} $x_1$"
    folder.mkdir()
    rows = []
    for label, name in enumerate(NAMES):
        for i in range(4):
            file = UNDECODABLE if (label, i) == (0, 0) else f"{SAFE_IN_PATHS[label]} {i}.png"
            Image.new("RGB", (20, 24), (label * 15, i * 50, 99)).save(folder / file)
            rows.append({"path": file, "label": label, "classname": name, "split": "train" if i < 2 else "test"})
    (folder / "manifest.json").write_text(json.dumps(rows))
    return folder


@pytest.fixture(scope="module")
def run(short, images, tmp_path_factory) -> Path:
    """A finished run on them, in a folder named by commands; what it printed is in `said.txt` beside it."""
    output = tmp_path_factory.mktemp("output") / SAFE_IN_PATHS[2] / SAFE_IN_PATHS[7] / "seed1"
    words = short.arguments("MMRL", "all", output, "DATASET.NUM_SHOTS", "1", "TRAIN.TRACK", "()")
    words[words.index("--root") + 1] = str(images)
    said = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    before, sys.stdout = sys.stdout, said
    try:
        assert train.main([str(word) for word in words]) == 0
    finally:
        sys.stdout = before
    said.seek(0)
    (output.parent / "said.txt").write_text(said.read(), encoding="utf-8")
    return output


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """Records whose every text is a command: methods, datasets, settings, failures, machines."""
    root = tmp_path_factory.mktemp("study") / SAFE_IN_PATHS[1]
    known = {"protocol": "few_shot", "subsample_classes": "all", "test_classes": "seen", "preset": "paper"}
    for number, name in enumerate(NAMES):
        for method in (name, "MMRL"):
            for shots in (1, 4):
                fields = {**known, "method": method, "dataset": name, "shots": shots, "backbone": name}
                swept = {f"TRAINER.MMRL.{name}": [number, number + 5]} if method == "MMRL" else {}
                fields |= {"swept": swept, "seed": 1, "test_classes_reason": name, "code": name, "marks": [name]}
                record = RunRecord(root / str(number) / f"{method == name}{shots}", fields)
                record.complete({"accuracy": 50.0 + number}, efficiency={"device": name, "seconds": 3.0})
        RunRecord(root / str(number) / "failed", {**known, "method": "MMRL", "dataset": name}).failed(ValueError(name))
        for part in ("base", "new"):
            fields = {**known, "method": name, "dataset": name, "seed": 1, "shots": 16, "backbone": "ViT-B/16"}
            fields |= {"protocol": "base2new", "subsample_classes": part}
            folder = root / str(number) / part
            RunRecord(folder, fields).complete({"accuracy": 50.0 + number})
            counts = [[0, 0, 3], [0, 1, 2], [1, 1, 4]]
            (folder / "confusion.json").write_text(json.dumps({"classes": [name, f"{name}2"], "counts": counts}))
            (folder / "curve.json").write_text(json.dumps([{"epoch": 1, "loss": 1.0, name: 2.0}]))
    return root


class Page(HTMLParser):
    """Elements with attributes, and texts, of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.elements, self.texts, self.scripts, self.inside = [], [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.inside = tag

    def handle_endtag(self, tag):
        self.inside = ""

    def handle_data(self, data):
        (self.scripts if self.inside in ("script", "style") else self.texts).append(data)


def check_terminal(text: str) -> None:
    assert not controls(text)
    assert not [line for line in text.splitlines() if line.strip() in ("lines", "- item")]  # of the name with line ends


def check_csv(text: str) -> None:
    assert not controls(text.replace("\r", ""))
    rows = list(csv.reader(io.StringIO(text)))
    assert len({len(row) for row in rows}) == 1
    for cell in (cell for row in rows[1:] for cell in row):
        assert not cell.lstrip(" \u00a0").startswith(FORMULA) or re.fullmatch(r"[+-]?\d+(\.\d+)?", cell), cell


def check_markdown(text: str) -> str:
    """Return the page that a renderer of Markdown, with HTML and tables, makes of it."""
    assert not controls(text)
    renderer = pytest.importorskip("markdown_it", reason="markdown-it-py").MarkdownIt("commonmark", {"html": True})
    page = renderer.enable(["table", "strikethrough"]).render(text)
    found = Page(page)
    allowed = {"h1", "h2", "p", "ul", "ol", "li", "code", "pre", "hr", "em"} | {"strong", "u", "img"}
    allowed |= {"table", "thead", "tbody", "tr", "th", "td"}
    assert {tag for tag, _ in found.elements} <= allowed
    assert not any(name.startswith("on") for _, attributes in found.elements for name in attributes)
    assert "bold" not in re.findall(r"<strong>(.*?)</strong>", page)
    assert "$" not in re.sub(r"(`+).*?\1(?!`)", "", text, flags=re.S), "GitHub begins a formula"
    return page


def check_latex(text: str, folder: Path) -> None:
    assert not controls(text) and not re.search(r"\\(input|include|write18|def|catcode)\b", text)
    if shutil.which("pdflatex"):
        head = r"\documentclass{article}\usepackage{booktabs,graphicx}"
        file = folder / "t.tex"
        file.write_text(rf"{head}\begin{{document}}{text}\end{{document}}")
        words = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", file.name]
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, errors="replace")
        assert done.returncode == 0, done.stdout[-2000:]


def check_html(text: str) -> None:
    assert not controls(text)
    found = Page(text)
    assert len([tag for tag, _ in found.elements if tag == "script"]) == 2
    assert not {"img", "iframe", "a"} & {
        tag for tag, attributes in found.elements if attributes.get("href", " ")[0] != "#"
    }
    assert not any(name.startswith("on") for _, attributes in found.elements for name in attributes)
    assert not any(controls(text) for text in strings(json.loads(found.scripts[1])))


def strings(content):
    if isinstance(content, str):
        yield content
    elif isinstance(content, dict | list):
        for value in [*content, *content.values()] if isinstance(content, dict) else content:
            yield from strings(value)


CHECKS = {"table": check_terminal, "markdown": check_markdown, "csv": check_csv, "html": check_html}


def test_what_a_training_prints_and_logs(run):
    for file in (run.parent / "said.txt", *run.glob("log.txt*")):
        assert not controls(file.read_text(encoding="utf-8")), file


def test_predictions(run, images, tmp_path, capsys):
    assert predict.main([str(run), str(images), "--topk", "16", "--csv", str(tmp_path / "out.csv")]) == 0
    shown = capsys.readouterr()
    assert "<script>alert(1)" in shown.out and "two lines - item" in shown.out
    check_terminal(shown.out)
    check_terminal(shown.err)
    with open(tmp_path / "out.csv", encoding="utf-8", newline="") as file:
        text = file.read()
    check_csv(text)
    assert "caf\\udce9.png" in text
    assert predict.main([str(run), str(images), "--json"]) == 0
    out = capsys.readouterr().out
    assert out.isascii() and {c["class"] for c in json.loads(out)["classes"]} == {name.strip() for name in NAMES}


def test_predictions_where_the_terminal_takes_no_other_bytes(run, images):
    """A file name that is no UTF-8, and a stdout that refuses what it cannot encode."""
    for encoding in ("utf-8:strict", "ascii:strict", "latin-1:strict"):
        words = [sys.executable, "predict.py", str(run), str(images / UNDECODABLE)]
        env = {"PYTHONIOENCODING": encoding, "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
        done = subprocess.run(words, capture_output=True, env=env, cwd=Path(predict.__file__).parent)
        assert done.returncode == 0 and b"caf\\udce9.png" in done.stdout, done.stderr[-1000:]
        assert b"\x1b" not in done.stdout + done.stderr


@pytest.mark.parametrize("layout", ["records", "paper"])
@pytest.mark.parametrize("kind", report.FORMATS)
def test_reports(kind, layout, study, run, tmp_path, capsys):
    for root in (study, run.parents[2]):
        file = tmp_path / f"out-{root.name[:1].isalpha()}"
        words = [str(root), "--format", kind, "--layout", layout, "--out", str(file)]
        assert report.main([*words, *(["--cost-by-dataset", "--significance"] if layout == "records" else [])]) == 0
        shown = capsys.readouterr()
        assert not controls(shown.out + shown.err)
        with open(file, encoding="utf-8", newline="") as opened:
            text = opened.read()
        if kind == "latex":
            check_latex(text, tmp_path)
        else:
            CHECKS[kind](text)
        assert root != study or "Folder" in text or any(word in text for word in ("calc", "SUM")), text[:300]


def test_figures(study, tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="'.[figures]'")
    folder = tmp_path / "fig ) ![x](y)"
    words = [str(study), "--figures", str(folder), "--format", "markdown", "--out", str(tmp_path / "page.md")]
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*starts with '_'.*")
        warnings.filterwarnings("ignore", message="Glyph")
        assert report.main(words) == 0
    files = list(folder.iterdir())
    assert len(files) > 10 and all(file.stat().st_size > 1000 for file in files)
    page = check_markdown((tmp_path / "page.md").read_text())
    shown = [attributes["src"] for tag, attributes in Page(page).elements if tag == "img"]
    assert len(shown) == len([file for file in files if file.suffix == ".png"])


def test_text_in_a_figure_is_drawn_as_it_is():
    figure = pytest.importorskip("matplotlib.figure", reason="'.[figures]'").Figure()
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    from safeio.escape import for_figure

    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for name in NAMES:
        axes.plot([1, 2], label=for_figure(name))
        parsed, is_formula = axes.text(0, 0, for_figure(name))._preprocess_math(for_figure(name))
        if is_formula:
            assert name.startswith("_") and parsed == rf"$\_${name[1:]}"
        else:
            assert parsed == for_line(name)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")
        figure.canvas.draw()
    assert len(axes.get_legend_handles_labels()[1]) == len(NAMES)


def test_the_card_of_an_export(run, tmp_path, capsys):
    file = tmp_path / "`x` <b>$ .safetensors"
    assert export.main([str(run), "--format", "safetensors", "--output", str(file)]) == 0
    page = check_markdown(file.with_suffix(".md").read_text(encoding="utf-8"))
    assert "alert(1)" in page and "<code>`x` &lt;b&gt;$ .safetensors</code>" in page
    assert not {"img", "em"} & {tag for tag, _ in Page(page).elements}
    shown = capsys.readouterr()
    check_terminal(shown.out + shown.err)


def test_the_card_of_a_hub_folder(run, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    record = json.loads((copy / "run.json").read_text(encoding="utf-8"))
    record |= {"subsample_classes": NAMES[1], "metrics": {"accuracy": 50.0, NAMES[4]: 1.0, NAMES[1]: 2.0}}
    (copy / "run.json").write_text(json.dumps(record))
    assert export.main([str(copy), "--format", "hub-folder", "--output", str(tmp_path / "hub")]) == 0
    _, front, card = (tmp_path / "hub" / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    parsed = yaml.safe_load(front)
    assert parsed["tags"] == ["few-shot", "clip", "mmrl"] and parsed["model-index"][0]["name"] == "MMRL"
    assert "&lt;script&gt;alert(1)" in check_markdown(card)


def test_maps_of_attention_and_features(run, images, tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="'.[figures]'")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*starts with '_'.*")
        warnings.filterwarnings("ignore", message="Glyph")
        some = [str(images / f"{SAFE_IN_PATHS[i]} 0.png") for i in (1, 6, 8)]
        assert visualize.main([str(run), *some, "--output", str(tmp_path / "attention")]) == 0
        assert visualize.main([str(run), "--features", "--projection", "pca", "--output", str(tmp_path)]) == 0
    assert len(list((tmp_path / "attention").iterdir())) == 3
    shown = capsys.readouterr()
    check_terminal(shown.out + shown.err)


def test_a_look_at_the_data(images, tmp_path, capsys):
    sheet = tmp_path / "sheet.png"
    mmrl(["data", "check", "folder", "--root", str(images), "--deep", "--sheet", str(sheet)])
    shown = capsys.readouterr()
    check_terminal(shown.out + shown.err)
    assert "<script>alert(1)" in shown.out and sheet.stat().st_size > 1000


def test_the_console_of_a_sweep(short, images, tmp_path, capsys):
    words = ["few_shot", "--methods", "CoOp", "--datasets", "folder", "--root", images, "--seeds", 1, "--shots", 1]
    words += ["--name", NAMES[1], "--output", tmp_path / SAFE_IN_PATHS[6], "--workers", 1]
    words += [f"MODEL.BACKBONE.NAME={short.folder / 'clip.pt'}", "INPUT.SIZE=(16,16)", "OPTIM.MAX_EPOCH=1"]
    words += ["USE_CUDA=False", "DATALOADER.NUM_WORKERS=0", "TRAINER.COOP.PREC=fp32", "OPTIM.WARMUP_EPOCH=0"]
    assert sweep.main([str(word) for word in words]) == 0
    shown = capsys.readouterr()
    assert not controls(shown.out + shown.err)
    (console,) = tmp_path.rglob("console.txt")
    assert not controls(console.read_text(encoding="utf-8"))


@pytest.mark.parametrize("tracker", ["tensorboard", "wandb", "mlflow"])
def test_trackers(tracker, short, images, tmp_path, monkeypatch, capsys):
    if importlib.util.find_spec(tracker) is None:
        pytest.skip(f"'.[{tracker}]'")
    monkeypatch.chdir(tmp_path)  # where MLflow keeps artifacts
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    for name in (SAFE_IN_PATHS[1], f"{SAFE_IN_PATHS[6]} {SAFE_IN_PATHS[8]} {UNDECODABLE}"):
        options = ("DATASET.NUM_SHOTS", "1", "TRAIN.TRACK", f"('{tracker}',)")
        words = short.arguments("CoOp", "all", tmp_path / name, *options)
        words[words.index("--root") + 1] = str(images)
        status = train.main([str(word) for word in words])
        shown = capsys.readouterr()
        assert not controls(shown.out + shown.err) and "Traceback" not in shown.err
        refused = status == 1 and "error: wandb cannot use a folder of this name" in shown.err
        assert status == 0 or (tracker == "wandb" and name.endswith(UNDECODABLE) and refused), shown.err[-2000:]
