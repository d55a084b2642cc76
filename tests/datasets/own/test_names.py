"""Names of classes: folders, classnames.txt, and what is refused."""

from __future__ import annotations

import pytest

from dassl.data.class_names import ClassNamesError, natural_key, read_names, spoken
from datasets.own.read import read_table
from datasets.own.table import OwnDataError

from .conftest import fill


def names(root):
    return list(read_table(root).names.values())


def test_numbers_are_in_natural_order(tmp_path, write):
    fill(tmp_path, **{str(number): 1 for number in range(1, 13)})
    write("classnames.txt", "".join(f"thing {letter}\n" for letter in "abcdefghijkl"))
    assert read_table(tmp_path).names == {str(n): f"thing {c}" for n, c in enumerate("abcdefghijkl", 1)}


def test_natural_order_of_mixed_names():
    assert sorted(["img12", "img2", "Img1", "img", "10", "9a", "9"], key=natural_key) == [
        "9", "9a", "10", "Img1", "img", "img2", "img12"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("folders", "text", "expected"),
    [
        ("African Asian", "African elephant\nAsian elephant\n", ["African elephant", "Asian elephant"]),
        ("a b", "b\tthe second\na\tthe first\n", ["the first", "the second"]),
        ("a b", "\ufeffthe first\r\n\r\nthe second\r\n", ["the first", "the second"]),
        ("n01440764 n01443537", "n01440764 tench\nn01443537 goldfish\n", ["tench", "goldfish"]),
        ("axolotl bat", "bat fruit bat\naxolotl red axolotl\n", ["red axolotl", "fruit bat"]),
        ("a b", "a\tsea lion\nb\tcat\nunused\tdog\n", ["sea lion", "cat"]),
    ],
)
def test_a_file_of_names(folders, text, expected, tmp_path, write):
    fill(tmp_path, **dict.fromkeys(folders.split(), 1))
    write("classnames.txt", text)
    assert names(tmp_path) == expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("axolotl\n", "1 lines for 2 class folders"),
        ("crane\ncrane\n", "'crane' and 'crane' (line 1; line 2)"),
        ("hot dog\nHot_Dog\n", "line 1; line 2"),
        ("axolotl\tx\nbat\tX\n", "line 1; line 2"),
        ("axolotl\tx\naxolotl\ty\nbat\tz\n", "lines 1 and 2"),
        ("axolotl\tx\nbat\t\n", "line 2"),
        ("axolotl\tx\n", "no line for 1 classes: bat"),
        ("axolotl red newt\nbat fruit bat\n", "two ways"),
        ("_\nbat\n", "line 1"),
        ("axolotl,red newt\nbat,fruit bat\n", "begins with a folder and ','"),
        ("bat: fruit bat\naxolotl: red newt\n", "begins with a folder and ':'"),
    ],
)
def test_a_list_in_doubt_is_refused_with_its_lines(text, told, tmp_path, write):
    fill(tmp_path, axolotl=1, bat=1)
    write("classnames.txt", text)
    with pytest.raises((OwnDataError, ClassNamesError)) as error:
        read_table(tmp_path)
    assert told in str(error.value) and "classnames.txt" in str(error.value)


@pytest.mark.parametrize(("one", "other"), [("Crane", "crane"), ("hot dog", "hot_dog"), ("cafe\u0301", "caf\u00e9")])
def test_folders_that_are_the_same_in_words(one, other, tmp_path):
    fill(tmp_path, **{one: 1, other: 1})
    with pytest.raises(ClassNamesError, match="the same in words"):
        read_table(tmp_path)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_other_encodings_are_refused_with_the_line(encoding, tmp_path, write):
    fill(tmp_path, a=1, b=1)
    file = write("classnames.txt", "tea\ncafé\n", encoding)
    for read in (lambda: read_table(tmp_path), lambda: read_names(file)):
        with pytest.raises(ClassNamesError, match=r"classnames\.txt(, line 2| is UTF-16).*UTF-8"):
            read()


def test_training_and_prediction_share_one_rule(write):
    with pytest.raises(ClassNamesError, match="line 1; line 2"):
        read_names(write("names.txt", "hot dog\nhot_dog\n"))
    assert spoken("Caf&eacute;_au  lait") == "café au lait"
