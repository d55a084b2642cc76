"""The benchmarks' commands: results of both computations, which agree, and the messages for mistakes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from benchmarks import cost, figure, identical, methods, step, warm
from benchmarks._synthetic_benchmarks import SIZES, benchmark, class_names, make
from benchmarks.table import totals
from dassl.config import get_cfg_default
from dassl.data.datasets import build_dataset
from runs.record import RunRecord
from runs.sweep.plan import Request, expand

PROJECT = Path(__file__).parents[2]
SMALL = ["--classes", "2", "--batch", "1", "--backbone", "ViT-B/32", "--device", "cpu"]


def test_a_step_of_both(tmp_path):
    """In a process of its own: a benchmark changes how memory is kept."""
    file = tmp_path / "results.json"
    words = [sys.executable, "benchmarks/step.py", *SMALL, "--repeats", "1", "--json", file]
    subprocess.run(words, cwd=PROJECT, check=True, capture_output=True)
    found = json.loads(file.read_text(encoding="utf-8"))
    assert found["method"] == "MMRL" and found["classes"] == 2
    assert found["loss_difference"] < 1e-5 and found["gradient_difference"] < 1e-4
    assert found["gflop_ratio"] == found["plain_gflop"] / found["product_gflop"] > 1
    for variant in ("plain", "product"):
        assert found[f"{variant}_ms"] > 0 and found[f"{variant}_peak_mib"] > 0


def test_a_step_that_reads_its_frozen_layers_learns_the_same(tmp_path):
    file = tmp_path / "results.json"
    words = [sys.executable, "benchmarks/frozen_layers.py", *SMALL, "--json", file]
    subprocess.run(words, cwd=PROJECT, check=True, capture_output=True)
    found = json.loads(file.read_text(encoding="utf-8"))
    assert found["identical"] and found["ratio"] > 0
    assert found["mib_of_a_view"] == pytest.approx((50 + 1) * 768 * 4 / 2**20)  # all rows, then the class row alone


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("--classes 0", "'0' is not a whole number from 1 on"),
        ("--batch many", "'many' is not a whole number from 1 on"),
        ("--device tpu", "invalid choice: 'tpu'"),
        ("--backbone RN50", "invalid choice: 'RN50'"),
        ("--json nowhere/results.json", "there is no folder nowhere"),
        ("--method MMLR", "Did you mean 'MMRL'"),
        ("--method TipAdapterF", "learns from the features of training images"),
        ("--method ZeroshotCLIP", "learns nothing: there is no step"),
        ("--method CLIPAdapter --side text", "no text side that learns"),
        ("--prec fp8", "expected one of fp32, fp16, bf16, amp"),
    ],
)
def test_mistakes(words, wanted, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["step.py", *SMALL, "--only", "product", *words.split()])
    monkeypatch.setattr(step, "prepare_cpu_memory", lambda: None)
    monkeypatch.setattr(step, "keep_freed_memory", lambda most: None)
    try:
        status = step.main()
    except SystemExit as end:
        status = end.code
    assert status and wanted in capsys.readouterr().err


def test_identical_names_a_revision_that_does_not_exist(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["identical.py", "no-such-revision"])
    assert identical.main() == 2
    assert "no-such-revision" in capsys.readouterr().err


def test_identical_says_which_runs_differ(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("sys.argv", ["identical.py", "HEAD", "--methods", "CoOp", "--seeds", "1", "2"])
    monkeypatch.setattr(identical, "learned", lambda project, method, seed: f"{project == PROJECT and seed == 2}")
    monkeypatch.setattr(identical, "git", lambda *words: None)
    monkeypatch.setattr(identical, "share_inputs", lambda before, after: None)
    assert identical.main() == 1
    lines = capsys.readouterr().out.splitlines()
    assert "seed 1: identical" in lines[0] and "seed 2: DIFFERENT" in lines[1] and lines[2].startswith("1 of 2 runs")


def test_identical_compares_code_on_the_same_inputs(capsys, tmp_path):
    """Another revision's CLIP is replaced; images that are the same, and a text about them, stay."""
    for side, weights in (("before", b"old"), ("after", b"new")):
        for folder, content in zip(identical.INPUTS, (weights, b"images"), strict=True):
            (tmp_path / side / folder).mkdir(parents=True)
            (tmp_path / side / folder / "file.npz").write_bytes(content)
            (tmp_path / side / folder / "README.md").write_text(side)
    identical.share_inputs(tmp_path / "before", tmp_path / "after")
    clip, images = (tmp_path / "before" / folder for folder in identical.INPUTS)
    assert (clip / "file.npz").read_bytes() == b"new" and (images / "README.md").read_text() == "before"
    assert capsys.readouterr().out.splitlines() == [
        "clip/embedded differs between the revisions: both train with that of the newer side"
    ]


@pytest.mark.parametrize(
    ("name", "first"),
    [("imagenet", "tench"), ("dtd", "banded"), ("fgvc_aircraft", "tench"), ("caltech101", "face")],
)
def test_synthetic_benchmarks_are_read_as_the_real_ones(name, first, tmp_path):
    wanted = benchmark(name).scaled(0.01, shots=2)
    make(tmp_path, wanted)
    cfg = get_cfg_default()
    cfg.DATASET.NAME, cfg.DATASET.ROOT, cfg.DATASET.NUM_SHOTS = wanted.registered, str(tmp_path), 2
    cfg.SEED, cfg.DATASET.SUBSAMPLE_CLASSES = 1, "base"
    found = build_dataset(cfg)
    assert len(found.classnames) == wanted.classes // 2 and found.classnames[0] == first
    assert len(found.train_x) == 2 * wanted.classes // 2
    assert len(found.test) == pytest.approx(wanted.test / 2, abs=1)
    with Image.open(found.test[0].impath) as image:
        assert image.format == "JPEG" and image.size == SIZES.get(name, (500, 375))


def test_true_counts_and_names():
    whole = benchmark("stanford_cars").scaled(1.0, shots=16)
    assert whole == benchmark("stanford_cars") and (whole.classes, whole.test) == (196, 8041)
    assert len(class_names("stanford_cars", 196)) == 196 and len(class_names("sun397", 397)) == 397


def test_the_totals_of_a_table_hold_every_second(capsys):
    phases = {"start": [1.0, 0.5], "steps": [4.0, 6.0]}
    runs = {name: {"stage": name, "dataset": "DTD", "seed": 1, "phases": phases} for name in ("train", "test")}
    found = totals(runs, clock=12.0, processor=15.0)
    assert found["steps, processor s"] == 12.0 and found["steps, clock s"] == 8.0
    assert found["between runs, processor s"] == 2.0 and found["all, processor s"] == 15.0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["run", "start", "steps", "all"]
    assert lines[3].split("  ")[0] == "train DTD 1" and lines[3].endswith("6.50 (5.00)")
    found = totals(runs, clock=12.0, processor=15.0, imports=(1.5, 1.25))
    assert found["imports, once, processor s"] == 1.25 and found["between runs, processor s"] == 0.75


def test_seconds_of_every_method_leave_out_steps_that_are_not_all_on_record():
    common = {
        "protocol": "base2new",
        "status": "complete",
        "trainable_params": 8,
        "config": {"OPTIM": {"MAX_EPOCH": 5}},
    }

    def trained(method, steps, epochs=5, **more):
        phases = {"start": [9, 0.5], "steps": [9, steps], "evaluation": [9, 3.0]}
        return (
            common
            | {"method": method, "stage": "train", "phases": phases, "efficiency": {"train_epochs": epochs}}
            | more
        )

    continued = trained("MMRL", 4.0, epochs=2)
    test = common | {"method": "MMRL", "stage": "test", "phases": {"start": [9, 0.5], "evaluation": [9, 1.0]}}
    records = [trained("MMRL", 20.0), trained("MMRL", 30.0), continued, test, trained("CoOp", 4.0, epochs=1)]
    records += [trained("VPT", 1.0, status="failed"), trained("IVLP", 1.0, protocol="few_shot")]
    assert methods.table(records) == [["CoOp", None, 0.5, 3.0, None, None], ["MMRL", 25.0, 0.5, 3.0, 1.5, 30.0]]


def test_cost_of_a_table():
    parts = {"images_per_second": [100, 200], "step_ms": {"MMRL": [[4, 100, 10.0], [4, 300, 20.0], [32, 500, 40.0]]}}
    found = cost.cost(expand(Request("base2new", ["MMRL"], ["stanford_cars", "imagenet"], seeds=[1, 2])), parts)
    steps = 10 * 16 * 98 // 4, 5 * 16 * 500 // 32  # of each seed: published epochs and batches, 16 images of a class
    images = 4002 + 4039 + 50000
    assert (found["runs"], found["steps"], found["tested images"]) == (8, 2 * sum(steps), 2 * images)
    assert found["training, s"] == pytest.approx(2 * (steps[0] * 0.01 + steps[1] * 0.04))
    assert found["testing, s"] == pytest.approx(images / 100 + images / 200)
    assert found["a dataset and seed, s"] == pytest.approx((found["training, s"] + found["testing, s"]) / 4)
    assert cost.step_ms(parts["step_ms"]["MMRL"], 4, 200) == 15.0
    without = cost.cost(expand(Request("base2new", ["MMRL"], ["imagenet"], seeds=[1])), parts | {"step_ms": {}})
    assert without["training, s"] is None and without["table, h"] is None and without["testing, s"] > 0


def test_runs_of_a_warm_process_are_compared(tmp_path):
    warm.make_images(tmp_path / "images")
    done = {}

    def do(arguments, folder):
        done[folder] = arguments
        content = {"config": {}, "origins": {}, "classes": [], "trainable_params": 0, "calibration": {}}
        seed = arguments[arguments.index("--seed") + 1]
        RunRecord(folder, {}).complete({}, parameters_sha256=seed, **content)
        return 0

    found = warm.done(12, tmp_path / "images", tmp_path / "runs", do)
    assert [record["parameters_sha256"] for record in found] == ["1"] * 10 + ["2"] * 2
    assert [words[words.index("--trainer") + 1] for words in done.values()] == [*warm.METHODS, *warm.METHODS[:2]]
    with pytest.raises(FileNotFoundError, match=r"console.txt"):  # it failed, and said nothing
        warm.done(1, tmp_path / "images", tmp_path / "none", lambda arguments, folder: 1)


def test_the_figure_of_a_step_is_drawn_from_the_measured_parts(tmp_path):
    figure.main(tmp_path / "step_cost.png")
    with Image.open(tmp_path / "step_cost.png") as drawn:
        assert drawn.size[0] > 3 * drawn.size[1] and len(drawn.convert("RGB").getcolors(maxcolors=2**20)) > 10


def test_drawn_ratios_are_those_of_the_page():
    """The page's tables and the figure are of the same measurements."""
    page = (PROJECT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    parts = json.loads(figure.PARTS.read_text(encoding="utf-8"))
    for classes, plain, here in parts["two cores"]["plain_and_here"]["step_ms"]:
        assert f"MMRL, {classes} classes, batch 4 | {plain:,} | {here:,} |" in page
    for classes, plain, here in parts["two cores"]["plain_and_here"]["memory_mib"]:
        assert f"MMRL, {classes} classes, batch 4 | {plain:,} | {here:,} |" in page
    for classes, plain, here in parts["NVIDIA H200"]["plain_and_here"]["step_ms"]:
        assert f"MMRL, {classes} classes, batch 4 | {plain} | {here} |" in page
