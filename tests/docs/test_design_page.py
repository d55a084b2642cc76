"""The table of seams in docs/design.md: which method files import each."""

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
ROWS = re.findall(r"^\| `(\w+)\.py`.*\| (`\w+`(?:, `\w+`)*) \|$", (PROJECT / "docs/design.md").read_text(), re.M)
FILES = {file.stem: file.read_text(encoding="utf-8") for file in (PROJECT / "trainers").glob("*.py")}


def test_there_are_rows():
    assert len(ROWS) > 5


@pytest.mark.parametrize(("seam", "users"), ROWS)
def test_users_of_a_seam(seam, users):
    importing = {name for name, text in FILES.items() if f"from trainers.base.{seam} import" in text}
    assert set(re.findall(r"\w+", users)) == importing
