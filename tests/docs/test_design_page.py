"""The table of seams in docs/design.md, which method files import each, and the calls of a training step."""

import ast
import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs/design.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `(\w+)\.py`.*\| (`\w+`(?:, `\w+`)*) \|$", PAGE, re.M)
CALLS = re.findall(r"(\w+)\.(\w+) +(\w+(?:/\w+)+\.py) ", PAGE[PAGE.index("The life of one training step") :])
FILES = {file.stem: file.read_text(encoding="utf-8") for file in (PROJECT / "trainers").glob("*.py")}


def test_there_are_rows():
    assert len(ROWS) > 5


@pytest.mark.parametrize(("seam", "users"), ROWS)
def test_users_of_a_seam(seam, users):
    importing = {name for name, text in FILES.items() if f"from trainers.base.{seam} import" in text}
    assert set(re.findall(r"\w+", users)) == importing


def test_the_calls_of_a_training_step_are_where_the_page_says():
    """Each is a function of a class in the named file, which the file before it calls."""
    texts = [(PROJECT / file).read_text(encoding="utf-8") for _, _, file in CALLS]
    assert [f"{kind}.{name}" for kind, name, _ in CALLS] == [
        "TrainerX.run_epoch",
        "ClipTrainer.forward_backward",
        "StepComputer.losses",
    ]
    for (kind, name, _), text in zip(CALLS, texts, strict=True):
        (found,) = (node for node in ast.parse(text).body if isinstance(node, ast.ClassDef) and node.name == kind)
        assert name in {node.name for node in found.body if isinstance(node, ast.FunctionDef)}
    for (_, name, _), text in zip(CALLS[1:], texts, strict=False):
        assert f".{name}(" in text
