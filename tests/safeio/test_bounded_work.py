"""Small files that claim much, or would take time with the square of their size: read in few steps, or refused."""

from __future__ import annotations

import random

import pytest

from clip.tokenizer import LONGEST_SYMBOL, TextTooLong, default_tokenizer, tokenize
from datasets.own.entries import read_entries
from datasets.own.names import _other_marks
from datasets.own.read import read_table
from datasets.own.split_lists import _without_label
from datasets.own.table import OwnDataError
from safeio.archive_limits import Disproportion
from safeio.packed_images import parquet_file

LONG = 100_000
"""Spaces or letters in a line: their square is too many steps for a test that is not to hang."""


@pytest.fixture
def letters():
    dice = random.Random(0)
    return "".join(dice.choice("abcdefghijklmnopqrstuvwxyz\u00e9\u732b") for _ in range(LONG))


def test_a_word_without_end_is_refused_by_its_beginning(letters, monkeypatch):
    seen, merge = [], type(default_tokenizer())._merge

    def counted(self, symbols):
        seen.append(len(symbols))
        return merge(self, symbols)

    monkeypatch.setattr(type(default_tokenizer()), "_merge", counted)
    with pytest.raises(TextTooLong, match="at most 77") as error:
        tokenize(letters)
    assert max(seen) <= 78 * LONGEST_SYMBOL and len(str(error.value)) < 1000


def test_the_longest_symbol_is_what_the_vocabulary_has():
    assert max(len(symbol.removesuffix("</w>")) for symbol in default_tokenizer().encoder) == LONGEST_SYMBOL


@pytest.mark.parametrize("count", [50, 500, 3000])
def test_the_cut_text_is_the_whole_ones_beginning(letters, count):
    """Truncation gives the ids that the whole word has."""
    text = f"a photo of {letters[:count]} {letters[-40:]}"
    whole = default_tokenizer().encode(text)
    assert tokenize(text, truncate=True)[0, 1:76].tolist() == (whole + [49407] + [0] * 76)[:75]


@pytest.mark.parametrize("spaces", [" ", "\t", " \t", ", "])
@pytest.mark.parametrize("line", ["a.png{}", "{}a.png", "a{}b", "a.png{}1", "{}"])
def test_a_line_of_spaces(tmp_path, line, spaces):
    file = tmp_path / "train.txt"
    file.write_text(f"b.png 0\n{line.format(spaces * LONG)}\n")
    try:
        found = list(read_entries(file))
    except OwnDataError as error:
        assert "train.txt, line 2" in str(error) and len(str(error)) < 500
    else:
        assert found[0].cells == {"path": "b.png", "label": "0"}
        assert [entry.cells["path"] for entry in found[1:]] in ([], ["a.png"])
    assert _other_marks(["a.png"], [(1, line.format(spaces * LONG).strip())]) in ("", ",")
    assert len(_without_label(line.format(spaces * LONG))) >= 0


@pytest.mark.parametrize(
    ("line", "cells"),
    [
        ("cats/1.jpg 0", ("cats/1.jpg", "0")),
        ("my cats/1.jpg 0", ("my cats/1.jpg", "0")),
        ("a.png,big cat", ("a.png", "big cat")),
        (" a.png ;\t0 ", ("a.png", "0")),
        ("a b.png\tx, y", ("a b.png", "x, y")),
    ],
)
def test_a_line_of_a_list(tmp_path, line, cells):
    (tmp_path / "train.txt").write_text(f"{line}\n")
    assert [tuple(entry.cells.values()) for entry in read_entries(tmp_path / "train.txt")] == [cells]


def test_the_label_at_the_end_of_a_line():
    lines = {"a/b.png 3": "a/b.png", "a/b.png, 12": "a/b.png", "a/b.png": "a/b.png", "a/b12": "a/b12", "7": "7"}
    assert {line: _without_label(line) for line in lines} == lines


@pytest.mark.extras
def test_a_table_with_more_rows_than_bytes(tmp_path):
    """Runs of one value take a few bytes for billions of rows."""
    pyarrow = pytest.importorskip("pyarrow", reason="tables need pyarrow")
    from pyarrow import parquet

    rows = 2_000_000
    columns = {"image": pyarrow.nulls(rows, pyarrow.binary()), "label": pyarrow.array([0]).take([0] * rows)}
    file = tmp_path / "train.parquet"
    parquet.write_table(pyarrow.table(columns), file)
    assert file.stat().st_size < rows
    with pytest.raises(Disproportion, match="2,000,000 rows"):
        parquet_file(str(file))
    with pytest.raises(OwnDataError, match="rows, more than it has bytes"):
        read_table(tmp_path)
