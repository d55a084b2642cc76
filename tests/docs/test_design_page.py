"""The table of seams in docs/design.md, which method files import each, and the calls of a training step."""

import re
import sys
from importlib import import_module
from pathlib import Path
from types import CodeType, FrameType

import pytest
from short_runs import Runs

import train

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs/design.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `(\w+)\.py`.*\| (`\w+`(?:, `\w+`)*) \|$", PAGE, re.M)
STEP = PAGE[PAGE.index("The life of one training step") :]
CALLS = re.findall(r"^( {4,})(\w+\.\w+) +(\w+(?:/\w+)+\.py) ", STEP, re.M)
Call = tuple[int, str, str]
"""Depth among the listed functions, name, file."""
FILES = {file.stem: file.read_text(encoding="utf-8") for file in (PROJECT / "trainers").glob("*.py")}


def test_there_are_rows():
    assert len(ROWS) > 5


@pytest.mark.parametrize(("seam", "users"), ROWS)
def test_users_of_a_seam(seam, users):
    importing = {name for name, text in FILES.items() if f"from trainers.base.{seam} import" in text}
    assert set(re.findall(r"\w+", users)) == importing


def code_of(name: str, file: str) -> CodeType:
    """Return the code of a method, from the class in that very file."""
    kind, _, function = name.partition(".")
    return vars(vars(import_module(file.removesuffix(".py").replace("/", ".")))[kind])[function].__code__


def calls_of_a_run(words: list[str], wanted: dict[CodeType, tuple[str, str]]) -> list[Call]:
    """Train; return the calls of these functions in order, each with the number of them that were open."""
    found: list[Call] = []
    opened: list[CodeType] = []

    def watch(frame: FrameType, event: str, _: object) -> None:
        if frame.f_code in wanted and event == "call":
            found.append((len(opened), *wanted[frame.f_code]))
            opened.append(frame.f_code)
        elif frame.f_code in wanted and event == "return":
            opened.pop()

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        assert train.main(words) == 0
    finally:
        sys.setprofile(before)
    return found


def test_the_calls_of_a_training_step_are_those_of_a_run(tmp_path):
    written = [((len(spaces) - 4) // 2, name, file) for spaces, name, file in CALLS]
    step = ("DATASET.NUM_SHOTS", 1, "DATALOADER.TRAIN_X.BATCH_SIZE", 2, "TEST.NO_TEST", True)
    words = Runs(tmp_path).arguments("MMRL", "base", tmp_path / "run", *step)
    assert len(written) > 10
    assert calls_of_a_run(words, {code_of(name, file): (name, file) for _, name, file in written}) == written
