"""The table of docs/methods.md: a row for each method, and what a row says is there."""

import re
from pathlib import Path

import pytest

import trainers  # noqa: F401  (registers the methods)
from dassl.engine import TRAINER_REGISTRY
from trainers.base.trainer import ClipTrainer

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "methods.md").read_text(encoding="utf-8")
ROWS = {
    cells[0].strip("`"): cells
    for cells in (
        [cell.strip() for cell in line.split("|")[1:-1]] for line in PAGE.splitlines() if line.startswith("| `")
    )
}
OURS = {name for name in TRAINER_REGISTRY.registered_names() if issubclass(TRAINER_REGISTRY.get(name), ClipTrainer)}


def test_a_row_for_each_method():
    assert set(ROWS) == OURS


@pytest.mark.parametrize("name", [name for name in ROWS if (PROJECT / "configs" / "trainers" / name).is_dir()])
def test_configs_of_a_row_exist(name):
    files = set(re.findall(r"`([\w+]+)`", ROWS[name][5])) - OURS
    assert all((PROJECT / "configs" / "trainers" / name / f"{file}.yaml").is_file() for file in files)


@pytest.mark.parametrize("name", sorted(ROWS.keys() - {"ZeroshotCLIP2", "TipAdapterF"}))
def test_golden_checked_is_said_where_there_are_golden_numbers(name):
    there = (PROJECT / "tests" / "golden" / f"{name}_a.json").is_file()
    assert ROWS[name][6] == ("yes" if there else "no")
