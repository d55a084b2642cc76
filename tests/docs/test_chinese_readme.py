"""README.zh-CN.md says what README.md says: same sections, commands, names, links and figures."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
ENGLISH, CHINESE = ((PROJECT / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh-CN.md"))
PARTS = {
    "levels of the headings": r"^(#+) ",
    "commands": r"^    (\S.*)$",
    "code": r"`([^`\n]+)`",
    "links": r"\]\(([^)]+)\)",
    "figures": r"\d[\d,]*[.,]\d+",
    "rows of tables": r"^(\|)",
    "entries of lists": r"^(-|\d\.) ",
}


def found(part: str, text: str) -> Counter:
    """Count each thing of that kind, except the links from one page to the other."""
    plain = re.sub(r"^\[(?:English|中文)\].*$", "", text, flags=re.M)
    return Counter(re.findall(PARTS[part], plain, re.M))


@pytest.mark.parametrize("part", PARTS)
def test_both_have_the_same(part):
    english, chinese = found(part, ENGLISH), found(part, CHINESE)
    assert english and english == chinese, f"only in README.md: {english - chinese}; only here: {chinese - english}"
