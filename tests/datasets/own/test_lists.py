"""Lists of images in csv, tsv, json and json lines, and Hugging Face's metadata files."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from pathlib import Path

import pytest

from dassl.data.class_names import ClassNamesError
from datasets.own.divide import divide
from datasets.own.read import read_table
from datasets.own.table import OwnDataError

from .conftest import fill

ROWS = [(f"x/{number}.png", "ab"[number % 2], ("train", "test")[number // 4]) for number in range(8)]


def as_csv(rows, head="path,label,split", mark=","):
    return "\n".join([head.replace(",", mark), *(mark.join(row) for row in rows)]) + "\n"


def as_json(rows, keys=("path", "label", "split")):
    return [dict(zip(keys, row, strict=False)) for row in rows]


@pytest.fixture
def images(tmp_path):
    fill(tmp_path, x=8)
    return tmp_path


def assert_read(table):
    found = {(Path(row.path).name, row.label, row.split) for row in table.rows}
    assert found == {(Path(path).name, label, part) for path, label, part in ROWS}


@pytest.mark.parametrize(
    "head",
    [
        "path,label,split",
        "file_name,Class,PART",
        "Image Path,category,Subset",
        "filepath,classname,set",
        "IMAGE,target,phase",
    ],
)
@pytest.mark.parametrize(("ending", "mark"), [(".csv", ","), (".csv", ";"), (".tsv", "\t")])
def test_any_usual_head_in_any_case(head, ending, mark, images, write):
    write(f"list{ending}", "\ufeff" + as_csv(ROWS, head, mark).replace("\n", "\r\n"))
    assert_read(read_table(images / f"list{ending}"))
    assert_read(read_table(images))  # beside a folder of images without classes


@pytest.mark.parametrize("words", [("Training", "Testing"), ("TRAIN", "eval"), ("train", "holdout")])
def test_parts_by_the_usual_words(words, images, write):
    write("manifest.csv", as_csv([(p, label, words[part == "test"]) for p, label, part in ROWS]))
    assert_read(read_table(images))


@pytest.mark.parametrize(
    "content",
    [
        as_json(ROWS),
        {"images": as_json(ROWS)},
        {part: [[p, "ab".index(label), label] for p, label, own in ROWS if own == part] for part in ("train", "test")},
        {part: as_json([row for row in ROWS if row[2] == part], ("image", "class")) for part in ("train", "test")},
    ],
)
def test_json(content, images, write):
    write("manifest.json", json.dumps(content))
    table = read_table(images)
    assert Counter(row.split for row in table.rows) == {"train": 4, "test": 4}
    assert list(table.names.values()) == ["a", "b"]


def test_json_of_paths_and_of_coco(images, write):
    write("manifest.json", json.dumps({path: label for path, label, _ in ROWS}))
    assert list(read_table(images).names) == ["a", "b"]
    coco = {
        "images": [{"id": n, "file_name": path} for n, (path, _, _) in enumerate(ROWS)],
        "annotations": [{"image_id": n, "category_id": 7 + n % 2} for n in range(8)],
        "categories": [{"id": 7, "name": "sea lion"}, {"id": 8, "name": "cat"}],
    }
    write("manifest.json", json.dumps(coco))
    assert list(read_table(images).names.values()) == ["sea lion", "cat"]


def test_json_lines(images, write):
    write("data.jsonl", "\n".join(map(json.dumps, as_json(ROWS))))
    assert_read(read_table(images / "data.jsonl"))


def test_a_list_for_each_part(images, write):
    for part in ("train", "test"):
        write(f"{part}.csv", as_csv([row[:2] for row in ROWS if row[2] == part], "filename,label"))
    assert_read(read_table(images))


@pytest.mark.parametrize(
    "path",
    ["{root}/{name}", "C:\\data\\mine\\{windows}", "/home/somebody/data/{name}", "x\\{base}", "{stem}", "{base}"],
)
def test_paths_of_all_kinds(path, images, write):
    rows = []
    for name, label, part in ROWS:
        base = name[2:]
        kinds = {"windows": name.replace("/", "\\"), "base": base, "stem": base[:-4], "root": images, "name": name}
        rows.append((path.format(**kinds), label, part))
    write("manifest.csv", as_csv(rows))
    assert_read(read_table(images))


def test_absolute_paths_outside_the_root(images, write, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    write("manifest.csv", as_csv([(f"{images}/{path}", label, part) for path, label, part in ROWS]))
    (images / "manifest.csv").rename(elsewhere / "manifest.csv")
    table = read_table(elsewhere / "manifest.csv")
    assert_read(table)
    assert len(divide(table).train) == 4


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            "path,label,split\nx/0.png,a,train\nx/1.png,b,train\nx/0.png,a,test\nx/2.png,b,test\n",
            "line 2.*line 4.*leaks",
        ),
        ("path,label\nx/0.png,a\nx/1.png,b\nx/0.png,a\n", "line 2.*line 4.*duplicates"),
        ("path,label\nx/0.png,a\nx/1.png,b\n./x/0.png,b\n", "line 2.*line 4.*duplicates"),
        ("path,label,classname\nx/0.png,1,a\nx/1.png,2,b\nx/2.png,1,c\n", "label '1' has 2 names.*line 2.*line 4"),
        ("path,classname\nx/0.png,cat\nx/1.png,cat \n", "'cat' and 'cat '.*line 2.*line 3"),
        ("path,classname\nx/0.png,hot dog\nx/1.png,hot_dog\n", "line 2.*line 3"),
        ("path,label,classname\nx/0.png,1,Cat\nx/1.png,2,cat\n", "line 2.*line 3"),
        ("path,label,split\nx/0.png,a,exam\n", "line 2.*train, val, test"),
        ("path,label\nx/0.png,a\n,b\n", "line 3"),
        ("path,label\nx/0.png,a\nx/1.png,\n", "line 3"),
        ("when,label\n2019,a\n", "headings.*found when, label"),
        ("path,label\nx/0.png,a\nx/9.png,b\nx/10.png,b\n", "2 of 3 images are missing.*line 3"),
        ("path,label\nx/0.jpg,a\nx/1.jpg,b\n", "2 of 2 images are missing.*2 of them.*ending .png"),
    ],
)
def test_what_is_in_doubt_is_refused_with_its_lines(text, wanted, images, write):
    write("manifest.csv", text)
    with pytest.raises((OwnDataError, ClassNamesError, FileNotFoundError), match=f"(?s){wanted}"):
        read_table(images)


def test_leaks_and_doubles_may_be_allowed(images, write):
    write("manifest.csv", as_csv([*ROWS, ROWS[0], ("x/0.png", "a", "test")]))
    assert len(read_table(images, ["leaks", "duplicates"]).rows) == 10


def test_another_encoding_is_refused_with_its_line(images, write):
    write("manifest.csv", "path,label\nx/0.png,tea\nx/1.png,café\n", "latin-1")
    with pytest.raises(ClassNamesError, match=r"manifest\.csv, line 3.*UTF-8"):
        read_table(images)


def test_names_beside_a_list_of_numbers(images, write):
    write("manifest.csv", "path,label\n" + "".join(f"x/{n}.png,{10 - n % 2}\n" for n in range(8)))
    write("classnames.txt", "sea lion\ncat\n")
    assert read_table(images).names == {"9": "sea lion", "10": "cat"}


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
@pytest.mark.parametrize("place", ["beside the images", "at the root"])
def test_metadata_of_an_imagefolder(ending, place, tmp_path, write):
    fill(tmp_path, train=4, test=2)
    for part, count in (("train", 4), ("test", 2)):
        above = f"{part}/" if place == "at the root" else ""
        rows = [(f"{above}{n}.png", "ab"[n % 2]) for n in range(count)]
        if ending == "csv":
            text = as_csv(rows, "file_name,label")
        else:
            text = "\n".join(json.dumps(row) for row in as_json(rows, ("file_name", "label")))
        file = tmp_path / ("" if place == "at the root" else part) / f"metadata.{ending}"
        if file.is_file():
            text = file.read_text() + "\n" + text.removeprefix("file_name,label\n")
        write(str(file.relative_to(tmp_path)), text)
    table = read_table(tmp_path)
    assert Counter(row.split for row in table.rows) == {"train": 4, "test": 2} and list(table.names) == ["a", "b"]


def test_metadata_of_captions_leaves_the_class_folders(tmp_path, write):
    fill(tmp_path, cat=2, dog=2)
    write("metadata.csv", "file_name,text\ncat/0.png,a cat on a mat\n")
    table = read_table(tmp_path)
    assert list(table.names) == ["cat", "dog"] and "metadata.csv" in table.ignored[0]


def binary(rows, heads=("image", "a", "b")):
    return (
        ",".join(heads)
        + "\n"
        + "".join(f"{path},{int(label == 'a')},{int(label == 'b')}.0\n" for path, label, _ in rows)
    )


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("list.csv", "".join(f"{path},{label}\n" for path, label, _ in ROWS)),
        ("list.csv", "".join(f"{label};{path}\n" for path, label, _ in ROWS)),
        ("list.csv", 'path;label;"p,q,r,s"\n' + "".join(f"{path};{label};1\n" for path, label, _ in ROWS)),
        ("list.csv", "name,label\n" + "".join(f"{path},{label}\n" for path, label, _ in ROWS)),
        ("list.csv", "Datei,label\n" + "".join(f"{path},{label}\n" for path, label, _ in ROWS)),
        ("list.csv", "path, label\n" + "".join(f"{path}, {label}\n" for path, label, _ in ROWS)),
        ("list.csv", binary(ROWS)),
        ("train.txt", "".join(f"{path} {label}\n" for path, label, _ in ROWS)),
        ("list.txt", "".join(f"{path}\t{label}\n" for path, label, _ in ROWS)),
        ("list.json", json.dumps({name: [path for path, label, _ in ROWS if label == name] for name in "ab"})),
        ("list.json", json.dumps([list(row[:2]) for row in ROWS])),
        ("list.json", "\n".join(map(json.dumps, as_json(ROWS, ("path", "label"))))),
        ("list.jsonl", json.dumps(as_json(ROWS, ("path", "label")))),
        ("list.jsonl", "\n".join(json.dumps({"path": path, "label": [label]}) for path, label, _ in ROWS)),
    ],
)
def test_lists_without_the_usual_form(file, text, images, write):
    write(file, text)
    for root in (images, images / file):
        table = read_table(root)
        assert {(Path(row.path).name, table.names[row.label]) for row in table.rows} == {
            (Path(path).name, label) for path, label, _ in ROWS
        }


@pytest.mark.parametrize(
    ("head", "train", "test"),
    [("is_train", "1", "0"), ("isTrain", "True", "False"), ("is test", "no", "yes"), ("data set", "train", "test")],
)
def test_parts_by_a_column_of_another_kind(head, train, test, images, write):
    write(
        "list.csv",
        as_csv([(p, label, test if part == "test" else train) for p, label, part in ROWS], f"path,label,{head}"),
    )
    assert_read(read_table(images))


def test_parts_of_json_in_objects(images, write):
    parts = {part: {path: label for path, label, own in ROWS if own == part} for part in ("train", "test")}
    write("manifest.json", json.dumps(parts))
    assert_read(read_table(images))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x/0.png,a,train\nx/1.png,b,test\n", "no line of headings"),
        ("path,label,label\nx/0.png,a,1\n", "two columns are called 'label'"),
        ("path,label\nx/0.png,a, blue\nx/1.png,b\n", "line 2: 3 values for 2 headings"),
        ("path,label\nx/0.png,a\nx/1.png,nan\n", "line 3: expected path and label"),
        ("path,label\nx/0.png,1\nx/1.png,2\nx/2.png,01\n", "'01' and '1' are the same number|'1' and '01'"),
        ("path,label\nx/0.png,a\nx/1.png,b\nx/2.png,a|b\n", r"'a\|b' seems to be several"),
        ("path,label\nx/0.png,a|c\nx/1.png,b|c\nx/2.png,a|b\n", "seems to be several"),
        ("path,label\nhttp://x.org/0.png,a\nhttp://x.org/1.png,b\n", "line 2.*address on the network"),
    ],
)
def test_cells_that_were_read_as_something_else_are_refused(text, message, images, write):
    write("list.csv", text)
    with pytest.raises((OwnDataError, FileNotFoundError), match=f"(?s){message}"):
        read_table(images / "list.csv")


@pytest.mark.parametrize("label", [["a", "b"], {"name": "a"}])
def test_several_labels_of_an_image_are_refused(label, images, write):
    write("list.jsonl", "\n".join(json.dumps({"path": path, "label": label}) for path, _, _ in ROWS))
    with pytest.raises(OwnDataError, match="line 1: one label for each image is needed"):
        read_table(images / "list.jsonl")


@pytest.mark.parametrize("text", ["path;label\nx/0.png,a\n", "path,label\nx/0.png,a,b,c\n", "note\nhello\n"])
def test_a_list_that_is_not_read_is_named_with_the_reason(text, images, write):
    write("list.csv", text)
    with pytest.raises(OwnDataError, match=r"one class only.*list\.csv labels no images: "):
        read_table(images)


def test_whole_numbers_with_a_point_are_labels(images, write):
    rows = [(path, f"{'ab'.index(label)}{'.0' * (n > 3)}") for n, (path, label, _) in enumerate(ROWS)]
    write("list.csv", as_csv(rows, "path,label"))
    assert list(read_table(images).names) == ["0", "1"]


def test_what_a_list_leaves_out_is_said(images, write):
    write("list.csv", as_csv(ROWS[:6], "path,label,when"))
    table = read_table(images)
    assert any("2 images are in no list" in warning for warning in table.warnings)
    assert "split from 'when'" in table.rules[0]  # which holds nothing but words for splits


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("labels_map.json", {"0": "cat", "1": "dog"}),
        ("class_to_idx.json", {"cat": 0, "dog": 1}),
        ("label_num_to_disease_map.json", {"0": "cat", "1": "dog"}),
        ("label_map.csv", "id,name\n0,cat\n1,dog\n"),
    ],
)
def test_names_of_numbers_beside_a_list(file, content, images, write):
    write("list.csv", as_csv([(path, str("ab".index(label))) for path, label, _ in ROWS], "path,label"))
    write(file, content if isinstance(content, str) else json.dumps(content))
    assert read_table(images).names == {"0": "cat", "1": "dog"}


def test_accents_may_be_stored_in_another_way_than_on_disk(tmp_path, write):
    stored, listed = unicodedata.normalize("NFD", "Käfer"), unicodedata.normalize("NFC", "Käfer")
    fill(tmp_path, **{stored: 3, "cat": 3})
    rows = [(f"{name}/{n}.png", name) for name in (listed, "cat") for n in range(3)]
    write("list.csv", as_csv(rows, "path,label"))
    assert len(read_table(tmp_path / "list.csv").rows) == 6
    (tmp_path / "list.csv").unlink()
    write("classnames.txt", f"cat\ta cat\n{listed}\ta beetle\n")
    assert set(read_table(tmp_path).names.values()) == {"a beetle", "a cat"}
    fill(tmp_path, **{listed: 3})
    (tmp_path / "classnames.txt").unlink()
    with pytest.raises(ClassNamesError, match="how accents are stored"):
        read_table(tmp_path)
