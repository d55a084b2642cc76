"""The table of docs/methods.md: a row for each method, and what a row says is there."""

import re
from pathlib import Path

import pytest

import trainers  # noqa: F401  (registers the methods)
from dassl.engine import TRAINER_REGISTRY
from mmrl.commands import list_names
from runs import names
from trainers.base.trainer import ClipTrainer

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "methods.md").read_text(encoding="utf-8")
ROWS = {
    cells[0].strip("`"): cells
    for cells in (
        [cell.strip() for cell in line.split("|")[1:-1]] for line in PAGE.splitlines() if line.startswith("| `")
    )
}
BIBLIOGRAPHY = dict(re.findall(r"^@\w+\{(\w+),(.*?)^\}", names.BIBLIOGRAPHY.read_text(encoding="utf-8"), re.M | re.S))
"""BibTeX entries by key."""
YEAR = re.compile(r"\b(?:19|20)\d\d\b")
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


@pytest.mark.parametrize(("name", "line"), list(list_names.methods()))
def test_the_methods_file_the_page_and_the_bibliography_give_the_paper_the_same_year(name, line):
    (year,) = YEAR.findall(re.search(r"year = \{.*?\}", BIBLIOGRAPHY[names.citation(name)])[0])
    assert YEAR.findall(line)[-1] == year
    assert set(YEAR.findall(ROWS[name][1])) <= {year}


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md"])
def test_the_papers_that_a_readme_cites_are_in_the_bibliography(page):
    cited = dict(re.findall(r"^@\w+\{(\w+),(.*?)^\}", (PROJECT / page).read_text(encoding="utf-8"), re.M | re.S))
    assert cited
    for key, entry in cited.items():
        assert YEAR.findall(entry) == YEAR.findall(re.search(r"year = \{.*?\}", BIBLIOGRAPHY[key])[0])
