"""Randomly generated layouts are read exactly as meant, or refused with a message."""

from __future__ import annotations

import io
import json
import tarfile
import tempfile
from pathlib import Path

import pytest

from datasets.own.read import read_table
from safeio.errors import UserError

hypothesis = pytest.importorskip("hypothesis")
st = hypothesis.strategies

PLAIN = ["cat", "dog", "hot dog", "great_white_shark", "Café", "n01440764", "n02102040", "7", "12", "猫"]
"""Class names that leave nothing in doubt."""
HARD = ["train", "test", "dev", "val", "images", "eval", "data", "labels", "Cat", "00", "new", "a.b", "1,2", "x\ty"]
"""Class names that mean something else in some place."""
TRAIN = ["train", "Training", "TRAIN", "train_set", "seg_train", "trainset", "Train Data", "train2017"]
TEST = ["test", "Testing", "TEST", "test_set", "seg_test", "testset", "Test Images", "eval", "holdout"]
VAL = ["val", "Valid", "validation", "DEV", "val_split", "ValSet"]
WRAPPERS = ["", "archive", "my dataset", "a/b/c", "images", "dataset/images"]
FOLDERS = ["splits of classes", "classes of splits", "classes"]
LISTS = [".csv", ".tsv", ".json", ".jsonl", "metadata.csv", "lists", "shards"]
HEADS = [("path", "label", "split"), ("file_name", "Class", "PART"), ("Image Path", "category", "Subset")]
DISTURBED = ["nothing", "notes", "hidden", "lost class", "extra folder", "twice", "leak", "loose image", "deep",
             "caption"]  # fmt: skip

Truth = list[tuple[str, str, str]]
"""Images: the file's name, which no other image has, the class and the split."""


@st.composite
def layouts(draw, names, disturbed):
    """Draw classes, splits, a layout, a wrapper folder and a disturbance."""
    classes = draw(st.lists(st.sampled_from(names), min_size=2, max_size=4, unique=True))
    words = {"train": draw(st.sampled_from(TRAIN)), "test": draw(st.sampled_from(TEST))}
    if draw(st.booleans()):
        words["val"] = draw(st.sampled_from(VAL))
    if draw(st.integers(0, 3)) == 0:
        words = {}
    kind = draw(st.sampled_from(FOLDERS[:2] + LISTS if words else ["classes", *LISTS[:5]]))
    return classes, words, kind, draw(st.sampled_from(WRAPPERS)), draw(st.sampled_from(HEADS)), disturbed and draw(
        st.sampled_from(DISTURBED)
    )  # fmt: skip


def truth_of(classes, words) -> Truth:
    parts = list(words) or [""]
    return [(f"{p}{c}{n}.png", name, p) for p in parts for c, name in enumerate(classes) for n in range(2)]


def write(root: Path, truth: Truth, words, kind: str, head) -> None:
    """Write images, whose bytes are never looked at here, in a layout."""
    rows = []
    for file, name, part in truth:
        place = {
            "splits of classes": f"{words.get(part)}/{name}",
            "classes of splits": f"{name}/{words.get(part)}",
            "classes": name,
        }.get(kind, "pool")
        if kind != "shards":
            path = root / place / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")
        rows.append(dict(zip(head, (f"{place}/{file}", name, words.get(part, "")), strict=True)))
    if kind in ("classes", "splits of classes", "classes of splits"):
        return
    if kind == "shards":
        return write_shards(root, truth, words)
    groups = {"manifest": rows}
    if kind == "lists":
        groups = {word: [row for row in rows if row[head[2]] == word] for word in words.values()}
    for stem, lines in groups.items():
        write_list(root, "metadata" if kind == "metadata.csv" else stem, "." + kind.rpartition(".")[2], lines)
    return None


def write_list(root: Path, stem: str, ending: str, rows: list[dict]) -> None:
    if ending == ".json":
        text = json.dumps(rows)
    elif ending == ".jsonl":
        text = "\n".join(map(json.dumps, rows))
    else:
        mark = "\t" if ending == ".tsv" else ","
        lines = [list(rows[0]), *(row.values() for row in rows)]
        text = "\n".join(mark.join(f'"{cell}"' for cell in line) for line in lines)
        ending = ".csv" if ending == ".lists" else ending
    (root / f"{stem}{ending}").write_text(text, encoding="utf-8")


def write_shards(root: Path, truth: Truth, words) -> None:
    root.mkdir(parents=True, exist_ok=True)
    for part, word in words.items():
        with tarfile.open(root / f"{word}-000000.tar", "w") as shard:
            for file, name, own in truth:
                for member, data in ((file, b"x"), (f"{file[:-4]}.cls", name.encode())) if own == part else ():
                    info = tarfile.TarInfo(member)
                    info.size = len(data)
                    shard.addfile(info, io.BytesIO(data))


def disturb(root: Path, truth: Truth, how: str) -> Truth:
    """Change a layout as people's folders are changed, and return what should be read."""
    images = sorted(root.rglob("*.png"))
    if how == "notes":
        (root / "README.txt").write_text("about")
        (root / "extra").mkdir(exist_ok=True)
        (root / "extra" / "config.json").write_text('{"a": 1}')
    elif how == "hidden":
        for folder in {path.parent for path in images} | {root}:
            (folder / ".ipynb_checkpoints").mkdir(exist_ok=True)
            (folder / ".ipynb_checkpoints" / "x.png").write_bytes(b"x")
    elif how == "caption":
        (root / "captions.csv").write_text("file,caption\na.png,an image\n")
    elif images and how == "lost class":
        gone = [file for file, name, part in truth if (name, part) == (truth[-1][1], truth[-1][2])]
        for path in images:
            if path.name in gone:
                path.unlink()
        return [row for row in truth if row[0] not in gone]
    elif images and how == "extra folder":
        (images[0].parent.parent / "more").mkdir(exist_ok=True)
        (images[0].parent.parent / "more" / "more.png").write_bytes(b"x")
        return truth if "pool" in images[0].parts else [*truth, ("more.png", "more", "")]
    elif images and how == "loose image":
        (root / "cover.png").write_bytes(b"x")
    elif images and how == "deep":
        for folder in ("one", "two"):
            (images[0].parent / folder).mkdir(exist_ok=True)
            (images[0].parent / folder / f"{folder}.png").write_bytes(b"x")
            same = next(row for row in truth if row[0] == images[0].name)
            if "pool" not in images[0].parts:  # a list does not name them
                truth = [*truth, (f"{folder}.png", *same[1:])]
    elif how in ("twice", "leak"):
        file = root / "manifest.csv"
        if file.is_file():
            lines = file.read_text(encoding="utf-8").splitlines()
            file.write_text("\n".join([*lines, lines[-1 if how == "twice" else 1]]), encoding="utf-8")
            return [*truth, ("", "", "")]  # can only be refused
    return truth


def found_in(root: Path) -> Truth:
    table = read_table(root)
    files = [row.path.replace("::", "/").rpartition("/")[2] for row in table.rows]
    return sorted((file, table.names[row.label], row.split) for file, row in zip(files, table.rows, strict=True))


@hypothesis.settings(max_examples=150, deadline=None, derandomize=True)
@hypothesis.given(layouts(PLAIN, disturbed=False))
def test_a_usual_layout_is_read_as_it_is_meant(layout):
    classes, words, kind, wrapper, head, _ = layout
    with tempfile.TemporaryDirectory() as folder:
        truth = truth_of(classes, words)
        write(Path(folder, "own", wrapper), truth, words, kind, head)
        assert found_in(Path(folder, "own")) == sorted(truth)


@hypothesis.settings(max_examples=300, deadline=None, derandomize=True)
@hypothesis.example((["Cat", "cat"], {"train": "train", "test": "test"}, "lists", "", HEADS[0], "extra folder"))
@hypothesis.example(
    (["train", "test"], {"train": "train", "test": "test"}, "classes of splits", "", HEADS[0], "nothing")
)
@hypothesis.given(layouts(PLAIN + HARD, disturbed=True))
def test_an_odd_layout_is_read_as_it_is_meant_or_refused(layout):
    classes, words, kind, wrapper, head, how = layout
    with tempfile.TemporaryDirectory() as folder:
        truth, root = truth_of(classes, words), Path(folder, "own", wrapper)
        write(root, truth, words, kind, head)
        meant = disturb(root, truth, how)
        more = ("more.png", "more", "" if not words else truth[0][2])
        meant = [more if row[0] == more[0] else row for row in meant]
        try:
            found = found_in(Path(folder, "own"))
        except UserError as error:
            assert str(Path(folder, "own")) in str(error) or "manifest" in str(error) or "metadata" in str(error)
            return
        assert found == sorted(meant)
