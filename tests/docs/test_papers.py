"""The papers: the same year in a method's file, in the bibliography and in the READMEs."""

import re
from pathlib import Path

import pytest

from mmrl.commands import list_names
from runs import names

PROJECT = Path(__file__).parents[2]
BIBLIOGRAPHY = dict(re.findall(r"^@\w+\{(\w+),(.*?)^\}", names.BIBLIOGRAPHY.read_text(encoding="utf-8"), re.M | re.S))
"""BibTeX entries by key."""
YEAR = re.compile(r"\b(?:19|20)\d\d\b")


@pytest.mark.parametrize(("name", "line"), list(list_names.methods()))
def test_the_methods_file_and_the_bibliography_give_the_paper_the_same_year(name, line):
    (year,) = YEAR.findall(re.search(r"year = \{.*?\}", BIBLIOGRAPHY[names.citation(name)])[0])
    assert YEAR.findall(line)[-1] == year


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md"])
def test_the_papers_that_a_readme_cites_are_in_the_bibliography(page):
    cited = dict(re.findall(r"^@\w+\{(\w+),(.*?)^\}", (PROJECT / page).read_text(encoding="utf-8"), re.M | re.S))
    assert cited
    for key, entry in cited.items():
        assert YEAR.findall(entry) == YEAR.findall(re.search(r"year = \{.*?\}", BIBLIOGRAPHY[key])[0])
