"""Class folders, splits and wrapper folders that people have: each is read as meant, or refused with what to do."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from dassl.data.class_names import ClassNamesError
from datasets.own.divide import divide, rule_of
from datasets.own.read import read_table
from datasets.own.report import describe
from datasets.own.split_words import splits_of
from datasets.own.table import OwnDataError
from safeio.file_names import own_data_name

from .conftest import fill, image


def counts(root, **words):
    """Class names, and images by split."""
    table = read_table(root, **words)
    return list(table.names.values()), dict(Counter(row.split for row in table.rows))


def refused(root) -> str:
    with pytest.raises((OwnDataError, ClassNamesError)) as error:
        read_table(root)
    return str(error.value)


@pytest.mark.parametrize(
    ("folders", "parts"),
    [
        (("Training", "Testing"), {"train": 4, "test": 2}),
        (("Train", "Val", "Test"), {"train": 4, "val": 2, "test": 2}),
        (("training_set", "test_set"), {"train": 4, "test": 2}),
        (("train", "testing"), {"train": 4, "test": 2}),
        (("train", "eval"), {"train": 4, "test": 2}),
        (("train", "eval", "test"), {"train": 4, "val": 2, "test": 2}),
        (("train", "dev"), {"train": 4, "val": 2}),
        (("TRAIN", "Validation"), {"train": 4, "val": 2}),
        (("seg_train", "seg_test"), {"train": 4, "test": 2}),
        (("train2017", "val2017"), {"train": 4, "val": 2}),
        (("Trainset", "ValidSet"), {"train": 4, "val": 2}),
    ],
)
@pytest.mark.parametrize("wrapper", ["", "archive", "a/b/data"])
def test_splits_in_any_case_and_by_the_usual_words(folders, parts, wrapper, tmp_path):
    for folder, count in zip(folders, (2, 1, 1), strict=False):
        fill(tmp_path / wrapper / folder, cat=count, dog=count)
    assert counts(tmp_path) == (["cat", "dog"], parts)


@pytest.mark.parametrize("wrapper", ["dataset", "images", "archive/pictures", "x/y/z"])
def test_wrapper_folders_are_entered_and_said(wrapper, tmp_path, write):
    fill(tmp_path / wrapper, cat=2, dog=2)
    write("readme.md", "hello")
    table = read_table(tmp_path)
    assert list(table.names) == ["cat", "dog"]
    assert any(rule.startswith("wrapper folder") for rule in table.rules)


def test_a_part_may_have_a_wrapper_of_its_own(tmp_path):
    fill(tmp_path / "train" / "train", cat=2, dog=2)
    fill(tmp_path / "test" / "images", cat=1, dog=1)
    assert counts(tmp_path) == (["cat", "dog"], {"train": 4, "test": 2})


def test_parts_inside_the_class_folders(tmp_path):
    for name in ("cat", "dog"):
        fill(tmp_path / name, train=2, test=1)
    assert counts(tmp_path) == (["cat", "dog"], {"train": 4, "test": 2})


def test_a_class_may_be_called_train(tmp_path):
    fill(tmp_path, bus=2, car=2, train=2)
    assert counts(tmp_path) == (["bus", "car", "train"], {"": 6})


def test_words_that_are_no_parts():
    assert splits_of(["test_tube", "trainer", "devil", "set", "data", "trains", "contest"]) == {}


@pytest.mark.parametrize(
    ("made", "wanted"),
    [
        ({"cat": 3}, "one class only, 'cat'"),
        ({"wrapper/cat": 3}, "one class only"),
        ({"train": 2, "test": 2}, "no class folder"),
        ({"train/cat": 2, "train/dog": 2, "test": 2}, "--root {root}/train"),
        ({"train/cat": 2, "train/dog": 2, "extra/cat": 1}, "extra"),
        ({"val/cat": 2, "val/dog": 2, "test/cat": 1, "test/dog": 1}, "nothing to train on"),
        ({"train/cat": 2, "train/dog": 2, "Train/cat": 1, "Train/dog": 1}, "both mean the split"),
        ({"amazon/cat": 2, "amazon/dog": 2, "dslr/cat": 1, "dslr/dog": 1}, "--root {root}/amazon"),
        ({"set1/train/a": 1, "set1/test/a": 1, "set2/train/a": 1, "set2/test/a": 1}, "several datasets"),
        ({"base/cat": 2, "base/dog": 2, "novel/owl": 1, "novel/elk": 1}, "DATASET.ALLOW nested"),
        ({"cat": 2, "dogs/poodle": 2, "dogs/boxer": 1}, "--root {root}/dogs"),
        ({"train/dog/a": 1, "train/dog/b": 1, "train/cat": 1, "test/dog": 1, "test/cat": 1}, "train/dog"),
        ({"train/cat": 2, "train/dog": 2, "query/cat": 1, "gallery/dog": 1}, "gallery, query"),
        ({"train/cat": 2, "train/dog": 2, "test/cat": 1, "test/dog": 1, "test/owl": 1}, "owl"),
        ({"train/cat": 2, "train/dog": 2, "train/owl": 1, "test/cat": 1, "test/dog": 1}, "owl"),
        ({"train/cat": 2, "train/dog": 2, "test/Cat": 1, "test/dog": 1}, "Cat"),
    ],
)
def test_what_is_in_doubt_is_refused_with_a_proposal(made, wanted, tmp_path):
    for place, count in made.items():
        fill((tmp_path / place).parent, **{place.rpartition("/")[2]: count})
    message = refused(tmp_path)
    assert wanted.format(root=tmp_path) in message and str(tmp_path) in message


def test_switches_allow_what_is_meant(tmp_path):
    fill(tmp_path / "train", cat=2, dog=2, owl=2)
    fill(tmp_path / "test", cat=1, dog=1, elk=1)
    assert counts(tmp_path, allow=["partial"]) == (["cat", "dog", "owl"], {"train": 6, "test": 2})
    fill(tmp_path / "train" / "cat", house=1, wild=1)
    assert counts(tmp_path, allow=["partial", "nested"])[1] == {"train": 8, "test": 2}
    with pytest.raises(OwnDataError, match="partial"):
        read_table(tmp_path, ["partially"])


def test_tiny_imagenet_as_downloaded(tmp_path, write):
    for folder in ("n01443537", "n01629819"):
        fill(tmp_path / "train" / folder, images=3)
        write(f"train/{folder}/{folder}_boxes.txt", "0.png\t1\t2\t3\t4\n")
    fill(tmp_path / "val", images=4)
    lines = [f"{i}.png\t{['n01443537', 'n01629819'][i % 2]}\t0\t0\t9\t9" for i in range(4)]
    write("val/val_annotations.txt", "\n".join(lines))
    fill(tmp_path / "test", images=2)
    write("wnids.txt", "n01629819\nn01443537\n")
    write("words.txt", "n00001740\tentity\nn01443537\tgoldfish, Carassius auratus\nn01629819\tsalamander\n")
    assert counts(tmp_path) == (["goldfish", "salamander"], {"train": 6, "val": 4})
    table = read_table(tmp_path)
    assert "test/ (2 images)" in table.warnings[0]
    split = divide(table)
    assert len(split.test) == 4 and {d.impath for d in split.val} == {d.impath for d in split.test}


@pytest.mark.parametrize("ending", [".jfif", ".jpe", ".avif", ".jp2", ".JPEG", ".webp", ".tga"])
def test_what_pillow_reads_is_an_image(ending, tmp_path):
    fill(tmp_path, cat=2)
    for number in range(2):
        name = f"{number}.jpg" if ending in (".jfif", ".jpe") else f"{number}{ending.lower()}"
        image(tmp_path / "dog" / name, number)
        (tmp_path / "dog" / name).rename(tmp_path / "dog" / f"{number}{ending}")
    assert counts(tmp_path) == (["cat", "dog"], {"": 4})


@pytest.mark.parametrize("ending", [".heic", ".eps", ".svg", ".CR2"])
def test_a_class_of_files_that_are_not_read_does_not_vanish(ending, tmp_path, write):
    fill(tmp_path, cat=2, dog=2)
    write(f"owl/1{ending}", "?")
    if ending == ".heic" and pytest.importorskip("safeio.images").is_image_name("x.heic"):
        pytest.skip("HEIC is read here")
    assert "'owl' would vanish" in refused(tmp_path)


def test_a_class_of_images_without_an_ending_does_not_vanish(tmp_path):
    fill(tmp_path, cat=2, dog=2)
    for file in (tmp_path / "dog").iterdir():
        file.rename(file.with_suffix(""))
    assert "only files ending in (none): the class 'dog' would vanish" in refused(tmp_path)


def test_folders_and_a_list_that_contradict_one_another(tmp_path, write):
    fill(tmp_path, monday=4, friday=4)
    text = "path,label\n" + "".join(f"monday/{n}.png,{'ab'[n % 2]}\n" for n in range(4))
    write("labels.csv", text)
    assert "'monday' by its folder and 'b' by the list" in refused(tmp_path)
    assert list(read_table(tmp_path / "labels.csv").names) == ["a", "b"]
    write("labels.csv", text.replace(",a", ",1").replace(",b", ",1"))  # the folders' classes under other names
    assert list(read_table(tmp_path).names) == ["friday", "monday"]


def test_hidden_and_left_over_folders_do_not_exist(tmp_path, write):
    fill(tmp_path, cat=2, dog=2)
    fill(tmp_path / "cat", **{".ipynb_checkpoints": 1})
    fill(tmp_path, **{"__MACOSX": 1, ".git": 1})
    write("cat/._0.png", "resource")
    write("dog/Thumbs.db", "x")
    assert counts(tmp_path) == (["cat", "dog"], {"": 4})


def test_the_report_shows_everything(tmp_path, write):
    fill(tmp_path / "train", cat=3, dog=3)
    fill(tmp_path / "test", cat=1, dog=1)
    write("labels.csv", "path,label\ntrain/cat/0.png,cat\n")
    write("annotations.json", "{}")
    write("train/cat/notes.docx", "x")
    image(tmp_path / "train" / "cover.png")
    table = read_table(tmp_path)
    text = describe(table, divide(table), rule_of(table))
    for wanted in (
        "train/ is train",
        "2 classes, 8 images: train 6, val 0, test 2",
        "train/cat/0.png",
        "1 .docx",
        "labels.csv",
        f"--root {tmp_path}/labels.csv",
        "annotations.json",
        "left out, 1 images",
        "as given",
    ):
        assert wanted in text, text


def test_nothing_of_a_training_part_is_set_aside_unless_asked(tmp_path):
    fill(tmp_path / "train", cat=16, dog=16)
    fill(tmp_path / "test", cat=2, dog=2)
    table = read_table(tmp_path)
    assert [len(part) for part in divide(table)] == [32, 0, 4]
    assert [len(part) for part in divide(table, 0.25)] == [24, 8, 4]
    assert "set aside" in rule_of(table, 0.25) and "set aside" not in rule_of(table)


def test_own_data_goes_by_its_folders_name(tmp_path):
    assert own_data_name(tmp_path / "my birds (2024)") == "my_birds_2024"
    assert own_data_name(tmp_path / "birds" / "labels.csv") == "labels"
    assert own_data_name(tmp_path, "Vögel") == "Vögel"


def test_a_hub_name_says_how_to_download(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "hf download zh-plus/tiny-imagenet --repo-type dataset" in refused("zh-plus/tiny-imagenet")


def test_an_archive_is_to_be_unpacked(tmp_path, write):
    write("data/images.zip", "PK")
    assert "Unpack images.zip" in refused(tmp_path / "data")
    assert "Unpack it" in refused(tmp_path / "data" / "images.zip")


def listed(root, suffix: str = "", folder: str = ""):
    """Lines of the first two images of each class, and of the others."""
    paths = sorted(path.relative_to(root) for path in root.rglob("*.png"))
    lines = [f"{folder}{path.with_suffix('') if not folder else path}{suffix}" for path in paths]
    first = [line for line, path in zip(lines, paths, strict=True) if path.stem in "01"]
    return "\n".join(first), "\n".join(line for line in lines if line not in first)


@pytest.mark.parametrize(("suffix", "folder"), [("", ""), (" 0", ""), ("", "images/"), (",1", "data/images/")])
@pytest.mark.parametrize("place", ["meta/", "", "images/"])
def test_lists_of_parts_beside_class_folders(suffix, folder, place, tmp_path, write):
    fill(tmp_path / "images", apple_pie=3, baby_back_ribs=3)
    for part, text in zip(("train", "test"), listed(tmp_path / "images", suffix, folder), strict=True):
        write(f"{place}{part}.txt", text)
    assert counts(tmp_path) == (["apple_pie", "baby_back_ribs"], {"train": 4, "test": 2})
    table = read_table(tmp_path)
    assert "splits: train.txt lists the 4 images of train" in table.rules and not table.ignored


def test_lists_of_parts_with_an_image_in_both_are_refused(tmp_path, write):
    fill(tmp_path / "images", cat=3, dog=3)
    train, test = listed(tmp_path / "images")
    write("train.txt", train)
    write("test.txt", f"{test}\n{train}")
    assert "4 images are in the lists of two splits" in refused(tmp_path)
    write("test.txt", test.splitlines()[0])
    write("val.txt", "")
    assert "1 classes are in train but not in test: dog" in refused(tmp_path)
    write("test.txt", "no image\n" + test)  # another kind of list
    table = read_table(tmp_path)
    assert not table.splits and any("train.txt" in name for name in table.ignored)


def test_cub_as_downloaded(tmp_path, write):
    top = tmp_path / "CUB_200_2011"
    fill(top / "images", **{"001.Black_footed_Albatross": 3, "002.Laysan_Albatross": 3})
    paths = sorted(path.relative_to(top / "images") for path in top.rglob("*.png"))
    for name, text in {
        "classes.txt": "1 001.Black_footed_Albatross\n2 002.Laysan_Albatross\n",
        "images.txt": "".join(f"{number} {path}\n" for number, path in enumerate(paths, 1)),
        "image_class_labels.txt": "".join(f"{number} {1 + (number > 3)}\n" for number in range(1, 7)),
        "train_test_split.txt": "".join(f"{number} {int(number % 3 > 0)}\n" for number in range(1, 7)),
    }.items():
        write(f"CUB_200_2011/{name}", text)
    write("attributes.txt", "1 has_bill_shape::curved\n")
    table = read_table(tmp_path)
    assert Counter(row.split for row in table.rows) == {"train": 4, "test": 2}
    assert "begin with numbers" in table.rules[-1] and "classes.txt" in table.rules[-1]
    assert [name.split("/")[-1] for name in table.ignored] == ["attributes.txt", "image_class_labels.txt", "images.txt"]


@pytest.mark.parametrize("by", ["column", "file"])
def test_a_list_that_alone_names_the_parts_of_class_folders_is_read(by, tmp_path, write):
    fill(tmp_path, cat=3, dog=3)
    rows = [(f"{name}/{n}.png", name, "test" if n == 2 else "train") for name in ("cat", "dog") for n in range(3)]
    if by == "column":
        write("list.csv", "path,label,split\n" + "".join(",".join(row) + "\n" for row in rows))
    else:
        for part in ("train", "test"):
            lines = "".join(f"{path},{label}\n" for path, label, own in rows if own == part)
            write(f"{part}.csv", "path,label\n" + lines)
    assert counts(tmp_path) == (["cat", "dog"], {"train": 4, "test": 2})


@pytest.mark.parametrize("place", ["test.csv", "test/labels.csv", "y_test.csv", "Test.json"])
@pytest.mark.parametrize("above", ["", "test/"])
def test_a_list_labels_a_part_without_class_folders(place, above, tmp_path, write):
    fill(tmp_path / "train", cat=3, dog=3)
    fill(tmp_path, test=4)
    rows = [(f"{above}{n}.png", ["cat", "dog"][n % 2]) for n in range(4)]
    if place.endswith("json"):
        write(place, json.dumps(dict(rows)))
    else:
        write(place, "filename,label\n" + "".join(f"{path},{label}\n" for path, label in rows))
    assert counts(tmp_path) == (["cat", "dog"], {"test": 4, "train": 6})
    write(place, (tmp_path / place).read_text().replace("dog", "wolf"))
    assert "with wolf, but the classes to train on are the folders cat, dog" in refused(tmp_path)


def test_links_to_one_image_and_links_to_nothing(tmp_path):
    fill(tmp_path / "own", cat=2, dog=2)
    (tmp_path / "own" / "kitten").symlink_to(tmp_path / "own" / "cat")
    assert "2 images" in refused(tmp_path / "own") and "duplicates" in refused(tmp_path / "own")
    (tmp_path / "own" / "kitten").unlink()
    (tmp_path / "own" / "dog" / "2.png").symlink_to(tmp_path / "own" / "cat" / "0.png")
    assert "dog/2.png is " in refused(tmp_path / "own")
    (tmp_path / "own" / "dog" / "2.png").unlink()
    (tmp_path / "own" / "owl").symlink_to(tmp_path / "nowhere")
    (tmp_path / "own" / "dog" / "3.png").symlink_to(tmp_path / "nowhere.png")
    assert "2 links lead to nothing" in refused(tmp_path / "own")


def test_a_test_part_that_is_a_link_to_training_images_is_a_leak(tmp_path):
    fill(tmp_path / "train", cat=2, dog=2)
    (tmp_path / "test").symlink_to(tmp_path / "train")
    assert "leaks" in refused(tmp_path)


@pytest.mark.parametrize(
    ("made", "packed", "message"),
    [
        ({"train/cat": 2, "train/dog": 2}, "test.zip", "test.zip packed"),
        ({"train/cat": 2, "train/dog": 2}, "Validation.tar.gz", "Validation.tar.gz packed"),
        ({"cat": 2, "dog": 2}, "owl/owl.zip", "'owl' would vanish"),
        ({"cat": 2, "dog": 2}, "owl/photos.tar.xz", "'owl' would vanish"),
    ],
)
def test_what_is_packed_does_not_vanish(made, packed, message, tmp_path, write):
    for place, count in made.items():
        fill((tmp_path / place).parent, **{place.rpartition("/")[2]: count})
    write(packed, "PK")
    assert message in refused(tmp_path)


@pytest.mark.parametrize("name", ["owl.zip", "cat/owl.7z", "data.parquet", "shard-0.tar"])
def test_packed_files_beside_class_folders_are_named(name, tmp_path, write):
    fill(tmp_path, cat=2, dog=2)
    write(name, "PK")
    assert any(f"images may be in {name}" in warning for warning in read_table(tmp_path).warnings)


def test_folders_inside_class_folders_are_said(tmp_path):
    fill(tmp_path, cat=2, dog=2)
    fill(tmp_path / "cat", thumbs=1)
    assert read_table(tmp_path).warnings == ["folders inside class folders count as the class: cat/thumbs/ (1 images)"]
    fill(tmp_path / "other" / "cat", images=2)  # the same in each class, as in Tiny-ImageNet
    fill(tmp_path / "other" / "dog", images=2)
    assert not read_table(tmp_path / "other").warnings


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ({"": 3}, "3 images lie directly in it"),
        ({"cat": 2, "dog": 2, "test": 2}, "holds the splits test and besides them cat, dog"),
        ({"images": 2, "masks": 2}, "kinds of files"),
        ({"JPEGImages": 2, "SegmentationClass": 2}, "kinds of files"),
        ({"tops/shirt": 2, "legs/trousers": 2}, "are the outer folders the classes"),
    ],
)
def test_folders_that_are_no_classes_are_refused(made, message, tmp_path):
    for place, count in made.items():
        fill((tmp_path / place).parent, **{place.rpartition("/")[2]: count})
    if "" in made:
        for number in range(3):
            image(tmp_path / f"cat_{number}.png", number)
    assert message in refused(tmp_path)


@pytest.mark.parametrize("word", ["class", "object_", "label", "Image"])
def test_numbered_folders_are_classes(word, tmp_path):
    fill(tmp_path, **{f"{word} {number}": 2 for number in range(3)})
    assert {row.label for row in read_table(tmp_path).rows} == {f"{word} {number}" for number in range(3)}


@pytest.mark.parametrize("beside", ["labels/0.txt", "Annotations/0.xml"])
def test_object_detection_is_named(beside, tmp_path, write):
    fill(tmp_path / "train", images=2)
    fill(tmp_path / "val", images=2)
    write(f"train/{beside}", "0 .5 .5 .1 .1")
    write("data.yaml", "names: [cat, dog]")
    assert "object detection" in refused(tmp_path)


def test_what_systems_leave_is_no_class(tmp_path):
    fill(tmp_path, cat=2, dog=2, **{"$RECYCLE.BIN": 1, "#recycle": 1, "System Volume Information": 1})
    fill(tmp_path / "cat", **{"@eaDir": 1})
    assert counts(tmp_path) == (["cat", "dog"], {"": 4})
