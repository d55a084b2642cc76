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
    ("text", "wanted"),
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
def test_a_list_in_doubt_is_refused_with_its_lines(text, wanted, tmp_path, write):
    fill(tmp_path, axolotl=1, bat=1)
    write("classnames.txt", text)
    with pytest.raises((OwnDataError, ClassNamesError)) as error:
        read_table(tmp_path)
    assert wanted in str(error.value) and "classnames.txt" in str(error.value)


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


WORDNET = "n01440764 n01443537 n02012849"


@pytest.mark.parametrize(
    ("folders", "file", "text", "expected"),
    [
        ("001.Ani 002.Auk", "classes.txt", "1 001.Ani\n2 002.Auk\n", ["001.Ani", "002.Auk"]),  # CUB
        ("apple_pie pizza", "meta/classes.txt", "apple_pie\npizza\n", ["apple_pie", "pizza"]),  # Food-101
        ("apple_pie pizza", "meta/labels.txt", "Apple pie\nPizza\n", ["apple_pie", "pizza"]),
        ("cat dog", "classes.txt", "dog\ncat\n", ["cat", "dog"]),  # in another order
        ("cat dog", "labels.txt", "0 cat\n1 dog\n", ["cat", "dog"]),
        ("cat dog", "class_indices.json", '{"cat": 0, "dog": 1}', ["cat", "dog"]),
        ("cat dog", "classes.json", '["dog", "cat"]', ["cat", "dog"]),
        ("1 2 10", "cat_to_name.json", '{"10": "globe thistle", "1": "primrose", "2": "poppy"}',
         ["primrose", "poppy", "globe thistle"]),  # the flowers of many courses
        ("0 1 2", "labels.txt", "zebra\nant\nmule\n", ["zebra", "ant", "mule"]),
        ("0 1", "signnames.csv", "ClassId,SignName\n1,Stop\n0,Speed limit\n", ["Speed limit", "Stop"]),  # GTSRB
        (WORDNET, "LOC_synset_mapping.txt", "n01440764 tench, Tinca tinca\nn01443537 goldfish\nn02012849 crane\nn1 x\n",
         ["tench", "goldfish", "crane"]),
        (WORDNET, "imagenet_class_index.json",
         '{"0": ["n01440764", "tench"], "1": ["n01443537", "goldfish"], "2": ["n02012849", "crane"]}',
         ["tench", "goldfish", "crane"]),
        ("n01440764 n02012849", "words.txt", "n02012849\tcrane, bird\nn01440764\tcrane, hoist\n",
         ["crane, hoist", "crane, bird"]),
    ],
)  # fmt: skip
def test_the_usual_lists_of_names(folders, file, text, expected, tmp_path, write):
    fill(tmp_path / "images", **dict.fromkeys(folders.split(), 1))
    write(file, text)
    table = read_table(tmp_path)
    assert list(table.names.values()) == expected
    assert any(file.rpartition("/")[2] in rule for rule in table.rules) and not table.ignored


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("classes.txt", "African elephant\nAsian elephant\n"),  # pairs, or names in order: it does not say
        ("labels.txt", "one\ntwo\nthree\n"),
        ("class_names.txt", "African\n"),
        ("labels.json", '{"African": {"count": 3}}'),
        ("labels.txt", "caf\u00e9\n"),
        ("names.txt", "0 African\n"),
    ],
)
def test_a_list_that_may_mean_another_thing_is_named_and_not_used(file, text, tmp_path, write):
    fill(tmp_path, African=1, Asian=1)
    write(file, text, "latin-1")
    table = read_table(tmp_path)
    assert list(table.names.values()) == ["African", "Asian"]
    assert file in table.ignored[0] and "classnames.txt" in table.ignored[0]


def test_a_list_that_names_goes_before_one_that_repeats(tmp_path, write):
    fill(tmp_path, **{"1": 1, "2": 1})
    write("classes.txt", "1\n2\n")
    write("label_map.txt", "2\tauk\n1\tani\n")
    assert names(tmp_path) == ["ani", "auk"]


@pytest.mark.parametrize("text", ["dog\ncat\n", "Dog\r\nCAT\r\n"])
def test_folders_listed_in_another_order_keep_their_names(text, tmp_path, write):
    fill(tmp_path, cat=1, dog=1)
    write("classnames.txt", text)
    assert names(tmp_path) == ["cat", "dog"]


def test_a_name_that_is_another_folders_is_refused(tmp_path, write):
    fill(tmp_path, cat=1, dog=1, owl=1)
    write("classnames.txt", "dog\ncat\nbarn owl\n")
    with pytest.raises(OwnDataError, match="line 1: 'dog' would name the folder 'cat', but there is a folder 'dog'"):
        read_table(tmp_path)


@pytest.mark.parametrize("folders", ["001.ak47 002.american-flag", "n02085620-Chihuahua n02085782-Japanese_spaniel"])
def test_numbers_before_names_are_said(folders, tmp_path):
    fill(tmp_path, **dict.fromkeys(folders.split(), 1))
    assert "begin with numbers" in read_table(tmp_path).rules[-1]
