"""The part of a page between two markers, tables, and files that are written or only compared."""

import pytest

from tools import pages

PAGE = "# A\n\n<!-- one -->\n\nold\n\n<!-- end -->\n\nB\n\n<!-- two -->\n<!-- end -->\n"


def test_blocks_are_replaced_and_the_rest_stays():
    page = pages.with_blocks(PAGE, {"one": [r"| \1 |"], "two": ["b"]})
    assert page == ("# A\n\n<!-- one -->\n\n| \\1 |\n\n<!-- end -->\n\nB\n\n<!-- two -->\n\nb\n\n<!-- end -->\n")
    assert pages.with_blocks(page, {"two": ["b"]}) == page


def test_a_page_without_the_block_is_refused():
    with pytest.raises(ValueError, match="0 blocks <!-- three -->"):
        pages.with_blocks(PAGE, {"three": []})


def test_a_bar_in_a_cell_does_not_end_it():
    assert list(pages.table(("a", "b"), [("1|2", "3")])) == ["| a | b |", "|---|---|", r"| 1\|2 | 3 |"]


def test_files_are_written_or_only_compared(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pages, "PROJECT", tmp_path)
    file = tmp_path / "page.md"
    assert pages.update({file: "new"}, "tools.x", check=True) == 1 and not file.exists()
    assert capsys.readouterr().out == "not up to date, run python -m tools.x:\n  page.md\n"
    assert pages.update({file: "new"}, "tools.x", check=False) == 0 and file.read_text() == "new"
    assert pages.update({file: "new"}, "tools.x", check=True) == 0
