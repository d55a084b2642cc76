"""Exported files compute what the run does, say what they hold, and what cannot be exported is refused in words."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors import safe_open

from inference.commands import export
from inference.export import programs
from inference.export.programs import ExportError, as_torchscript, load_program, old_format
from inference.predictor import Predictor

KINDS = ["MMRL", "MaPLe", "MMA", "TipAdapter", "LinearProbe"]
KINDS += ["CLIPLoRA", "TwoStage", "GDACLIP", "ProLIP", "LPpp", "DePTCoOp"]
"""Methods that differ in what they compute on an image."""


@pytest.fixture
def names(tmp_path):
    file = tmp_path / "names.txt"
    file.write_text("teal\ngreen field\namber")
    return file


def images(count: int) -> torch.Tensor:
    return torch.randn(count, 3, 16, 16, generator=torch.Generator().manual_seed(3))


def exported(runs, name: str, form: str, tmp_path, capsys, *words) -> tuple:
    path = tmp_path / f"{name}{export.SUFFIXES[form]}"
    assert export.main([str(runs(name)), "--format", form, "--output", str(path), *map(str, words)]) == 0
    return path, capsys.readouterr().out


@pytest.mark.parametrize("form", ["torch", "torchscript"])
@pytest.mark.parametrize("name", KINDS)
def test_a_program_gives_the_runs_logits(name, form, runs, tmp_path, capsys):
    path, printed = exported(runs, name, form, tmp_path, capsys)
    assert "differ from the run's by" in printed
    predictor, compute = Predictor.load(runs(name), device="cpu"), load_program(path.read_bytes(), path.suffix)
    for count in (1, 4):
        torch.testing.assert_close(compute(images(count)), predictor.scores(images(count)), rtol=0, atol=1e-4)


def test_an_exported_update_costs_nothing(runs, tmp_path, capsys):
    """Low-rank updates are part of the weights: a program has the products of matrices that plain CLIP has."""
    products = []
    for name in ("CLIPLoRA", "ZeroshotCLIP"):
        path, _ = exported(runs, name, "torch", tmp_path, capsys)
        targets = [str(node.target) for node in torch.export.load(path).graph.nodes]
        products.append([name for name in targets if any(word in name for word in ("linear", "mm", "matmul"))])
    assert products[0] and products[0] == products[1]


@pytest.mark.parametrize("peft", ["ln", "bitfit", "lora"])
def test_two_stages_settle_in_the_weights(peft, runs):
    """Norms, biases or low-rank updates replace weights of a copy; the run's own method stays as it is."""
    predictor = Predictor.load(runs("TwoStage", "base", "TRAINER.TWOSTAGE.PEFT", peft), device="cpu")
    method, x = predictor.method, images(2)
    before = {name: value.clone() for name, value in method.clip.model.state_dict().items()}
    settled = method.settled()
    with torch.no_grad():
        expected, found = (one.logits(x, predictor.class_features, torch.tensor(True)) for one in (method, settled))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert [name for name, _ in settled.named_parameters()] == ["classifier"]
    assert all(torch.equal(value, before[name]) for name, value in method.clip.model.state_dict().items())
    moved = settled.clip.visual.state_dict().items()
    assert any(not torch.equal(value, before[f"visual.{name}"]) for name, value in moved)


def test_an_exported_update_takes_no_room(runs, tmp_path, capsys):
    """A program holds the updated weights in the place of CLIP's, as parameters that move to another device."""
    held = []
    for name in ("CLIPLoRA", "ZeroshotCLIP"):
        path, _ = exported(runs, name, "torchscript", tmp_path, capsys)
        program = load_program(path.read_bytes(), path.suffix)
        fixed = [node for node in program.inlined_graph.nodes() if node.kind() == "prim::Constant"]
        tensors = [node.t("value") for node in fixed if node.output().type().kind() == "TensorType"]
        held.append((sum(p.numel() for p in program.parameters()), max(t.numel() for t in tensors)))
    assert held[0] == held[1]


@pytest.mark.parametrize("name", ["MMRL", "TipAdapter", "TwoStage", "GDACLIP", "DePTCoOp"])
def test_trained_and_new_classes_in_one_program(name, names, runs, tmp_path, capsys):
    path, _ = exported(runs, name, "torch", tmp_path, capsys, "--classes", names)
    expected = Predictor.load(runs(name), ["teal", "green field", "amber"], device="cpu").scores(images(2))
    torch.testing.assert_close(load_program(path.read_bytes(), path.suffix)(images(2)), expected, rtol=0, atol=1e-4)
    extra = {"about.json": ""}
    torch.export.load(path, extra_files=extra)
    about = json.loads(extra["about.json"])
    assert json.loads(about["classes"]) == ["teal", "green field", "amber"] and json.loads(about["size"]) == [16, 16]


@pytest.mark.extras
@pytest.mark.parametrize("name", ["MMRL", "VPT", "TipAdapter", "LinearProbe"])
def test_onnxruntime_gives_the_runs_logits(name, runs, tmp_path, capsys):
    onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX needs the extra export")
    pytest.importorskip("onnxscript", reason="ONNX needs the extra export")
    path, _ = exported(runs, name, "onnx", tmp_path, capsys)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    predictor = Predictor.load(runs(name), device="cpu")
    for count in (1, 4):
        (given,) = session.run(["logits"], {"images": images(count).numpy()})
        assert abs(given - predictor.scores(images(count)).numpy()).max() < 1e-4
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["classes"]) == list(predictor.classes)


def test_a_torchscript_says_what_it_holds(runs, names, tmp_path, capsys):
    path, _ = exported(runs, "MMRL", "torchscript", tmp_path, capsys, "--classes", names)
    extra = {"about.json": ""}
    with old_format():
        torch.jit.load(path, _extra_files=extra)
    about = json.loads(extra["about.json"])
    assert json.loads(about["rules"]) == ["class token", "fused", "fused"]


def test_a_program_that_computes_something_else_is_not_written(runs, tmp_path, monkeypatch):
    def another(predictor):
        return as_torchscript(Predictor.load(runs("ZeroshotCLIP"), device="cpu"))

    monkeypatch.setitem(programs.FORMATS, ".pt", another)
    (tmp_path / "mmrl.pt").write_text("of an earlier export")
    with pytest.raises(ExportError, match="differ by"):
        programs.write_program(Predictor.load(runs("MMRL"), device="cpu"), tmp_path / "mmrl.pt")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["of an earlier export"]


def test_learned_parameters_with_their_card(runs, tmp_path, capsys):
    path, _ = exported(runs, "CoCoOp", "safetensors", tmp_path, capsys)
    expected = Predictor.load(runs("CoCoOp"), device="cpu").method.state_dict()
    with safe_open(path, "pt") as file:
        about = file.metadata()
        assert set(file.keys()) == set(expected)
        assert all(torch.equal(file.get_tensor(name), value) for name, value in expected.items())
    assert (about["method"], about["dataset"]) == ("CoCoOp", "Folder")
    card = path.with_suffix(".md").read_text()
    assert json.loads(about["classes"]) == ["amber", "green_field"] and r"amber, green\_field" in card
    metrics = json.loads(about["metrics"])
    assert f"| accuracy | {metrics['accuracy']:.2f} |" in card and "## Licence" in card


@pytest.mark.parametrize(
    ("name", "words", "parts"),
    [
        ("CoCoOp", ["--format", "torch"], ["CoCoOp cannot be exported", "each image", "safetensors"]),
        ("CoCoOp", ["--format", "onnx"], ["CoCoOp cannot be exported"]),
        ("CoCoOp", ["--format", "torchscript"], ["CoCoOp cannot be exported"]),
        ("ZeroshotCLIP", ["--format", "safetensors"], ["ZeroshotCLIP learns nothing"]),
        ("MMRL", ["--format", "torch", "--output", "model.bin"], ["model.bin", ".pt2"]),
    ],
)
def test_what_cannot_be_exported(name, words, parts, runs, tmp_path, capsys, monkeypatch):
    output = [] if "--output" in words else ["--output", str(tmp_path / f"x{export.SUFFIXES[words[1]]}")]
    assert export.main([str(runs(name)), *words, *output]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and all(part in said for part in parts), said
    assert not any(tmp_path.iterdir())
