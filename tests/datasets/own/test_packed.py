"""Parquet and arrow tables and WebDataset shards, read in place; images come out as they went in."""

from __future__ import annotations

import io
import json
import tarfile
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from datasets.own.divide import divide
from datasets.own.read import read_table
from datasets.own.table import OwnDataError
from safeio.images import read_image
from safeio.packed_images import PackedImageError, container_of, is_packed

NAMES = ["sea lion", "cat"]


def encoded(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (5, 4), (number * 20, 3, 250 - number)).save(buffer, "PNG")
    return buffer.getvalue()


def colours(table):
    """(split, name, red) of each image, as read."""
    return sorted(
        (row.split, table.names[row.label], int(np.asarray(read_image(row.path))[0, 0, 0])) for row in table.rows
    )


EXPECTED = sorted(
    (part, NAMES[n % 2], n * 20) for part, numbers in (("train", range(6)), ("test", range(6, 10))) for n in numbers
)


def arrow_table(numbers, names=NAMES):
    pyarrow = pytest.importorskip("pyarrow")
    features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
    table = pyarrow.table(
        {
            "image": [{"bytes": encoded(n), "path": f"{n}.png"} for n in numbers],
            "label": [n % 2 for n in numbers],
        }
    )
    about = {b"huggingface": json.dumps({"info": {"features": features}}).encode()} if names else {}
    return table.replace_schema_metadata(about)


def test_parquet_files_of_the_hub(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    (tmp_path / "data").mkdir()
    for part, numbers in (("train", range(6)), ("test", range(6, 10))):
        path = tmp_path / "data" / f"{part}-00000-of-00001.parquet"
        parquet.write_table(arrow_table(numbers), path, row_group_size=2)
    table = read_table(tmp_path)
    assert colours(table) == EXPECTED
    assert all(is_packed(item.impath) for part in divide(table) for item in part)


def test_two_shards_of_one_part_and_a_test_set_without_labels(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    for shard, numbers in enumerate((range(3), range(3, 6))):
        parquet.write_table(arrow_table(numbers), tmp_path / f"train-0000{shard}-of-00002.parquet")
    parquet.write_table(arrow_table(range(6, 10)), tmp_path / "validation-00000-of-00001.parquet")
    blind = arrow_table(range(2)).set_column(1, "label", pyarrow.array([-1, -1]))
    parquet.write_table(blind, tmp_path / "test-00000-of-00001.parquet")
    table = read_table(tmp_path)
    assert Counter(row.split for row in table.rows) == {"train": 6, "val": 4}
    assert "2 rows have no label" in table.warnings[0]


def test_what_save_to_disk_writes(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    for part, numbers in (("train", range(6)), ("test", range(6, 10))):
        (tmp_path / part).mkdir()
        data = arrow_table(numbers)
        with pyarrow.ipc.new_stream(str(tmp_path / part / "data-00000-of-00001.arrow"), data.schema) as file:
            file.write_table(data)
        (tmp_path / part / "state.json").write_text("{}")
        (tmp_path / part / "dataset_info.json").write_text("{}")
    assert colours(read_table(tmp_path)) == EXPECTED


def test_one_table_of_plain_bytes(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    plain = pyarrow.table({"img": [encoded(n) for n in range(4)], "label": ["cat", "dog"] * 2})
    parquet.write_table(plain, tmp_path / "all.parquet")
    table = read_table(tmp_path / "all.parquet")
    assert list(table.names) == ["cat", "dog"] and len(divide(table).test) == 2


def test_a_table_without_labels_says_what_it_has(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table({"img": [encoded(1)], "caption": ["x"]}), tmp_path / "all.parquet")
    with pytest.raises(OwnDataError, match="one of labels; found img, caption"):
        read_table(tmp_path)


def test_without_pyarrow_it_is_named(tmp_path, monkeypatch):
    (tmp_path / "train-00000-of-00001.parquet").write_bytes(b"PAR1")
    monkeypatch.setattr("datasets.own.arrow_tables.find_spec", lambda name: None)
    with pytest.raises(OwnDataError, match="pip install pyarrow"):
        read_table(tmp_path)


def shard(path, numbers, kind="cls", image="png"):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for n in numbers:
            about = {"cls": str(n % 2), "txt": NAMES[n % 2], "json": json.dumps({"label": n % 2, "name": NAMES[n % 2]})}
            for ending, data in ((image, encoded(n)), (kind, about[kind].encode())):
                member = tarfile.TarInfo(f"sample/{n:06}.{ending}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))


@pytest.mark.parametrize("kind", ["cls", "txt", "json"])
@pytest.mark.parametrize("name", ["{part}-{n:06}.tar", "{part}/{n:05}.tar", "mine_{part}_{n}.tar"])
def test_webdataset_shards(kind, name, tmp_path):
    for part, numbers in (("train", range(6)), ("test", range(6, 10))):
        for n, some in enumerate((numbers[:2], numbers[2:])):
            place = (
                name.format(part=part, n=n) if "mine" not in name else name.format(part=part, n=n).replace("mine_", "")
            )
            shard(tmp_path / place, some, kind, "input.png" if kind == "cls" else "png")
    if kind == "cls":
        (tmp_path / "classnames.txt").write_text("\n".join(NAMES))
    assert colours(read_table(tmp_path)) == EXPECTED


def test_shards_that_are_no_shards(tmp_path):
    (tmp_path / "x.tar").write_bytes(b"no tar at all")
    with pytest.raises(OwnDataError, match=r"x\.tar \(13 bytes\) cannot be read as a tar file"):
        read_table(tmp_path)
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        member = tarfile.TarInfo("cat/1.png")
        member.size = len(encoded(1))
        tar.addfile(member, io.BytesIO(encoded(1)))
    with pytest.raises(OwnDataError, match=r"no label beside it.*unpack it"):
        read_table(tmp_path)


def test_a_shard_that_was_cut_is_named(tmp_path):
    shard(tmp_path / "train.tar", range(4))
    path = read_table(tmp_path).rows[-1].path
    with open(tmp_path / "train.tar", "r+b") as file:
        file.truncate(600)
    assert container_of(path) == str(tmp_path / "train.tar")
    with pytest.raises(PackedImageError, match=r"train\.tar::"):
        read_image(path)


def written(path, **columns):
    """Write a parquet file of images with further columns."""
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    count = len(next(iter(columns.values())))
    parquet.write_table(pyarrow.table({"image": [encoded(n) for n in range(count)], **columns}), path)


def test_one_label_in_a_list_is_a_label_and_several_are_refused(tmp_path):
    written(tmp_path / "all.parquet", labels=[[0], [1], [0], [1]])
    assert list(read_table(tmp_path).names) == ["0", "1"]
    written(tmp_path / "all.parquet", labels=[[0], [1], [0, 1], [1]])
    with pytest.raises(OwnDataError, match="row 2: one label for each image"):
        read_table(tmp_path)


def test_a_column_names_the_parts_of_a_table(tmp_path):
    written(tmp_path / "train.parquet", label=["a", "b"] * 3, split=["train"] * 4 + ["test"] * 2, who=list("uvwxyz"))
    table = read_table(tmp_path)
    assert Counter(row.split for row in table.rows) == {"train": 4, "test": 2}
    assert "split from 'split'; not used: who" in table.rules[1]


def test_tables_that_name_a_label_in_two_ways_are_refused(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow_table(range(6)), tmp_path / "train.parquet")
    parquet.write_table(arrow_table(range(4), NAMES[::-1]), tmp_path / "test.parquet")
    with pytest.raises(OwnDataError, match="label '0' has two names: 'cat' and 'sea lion'"):
        read_table(tmp_path)


@pytest.mark.parametrize("name", ["train-00000-of-00001.parquet", "train/0000.parquet", "train.parquet"])
def test_tables_of_several_configurations_are_refused(name, tmp_path):
    for folder in ("full", "small"):
        written(tmp_path / folder / name, label=["a", "b"] * 3)
    with pytest.raises(OwnDataError, match=r"tables of several datasets: full, small.*--root .*small"):
        read_table(tmp_path)


def members_of(path, **members):
    """Write a shard of members by name; `__` is a dot, `_at_` a second member of that name."""
    with tarfile.open(path, "w") as file:
        for name, data in members.items():
            info = tarfile.TarInfo(name.partition("_at_")[0].replace("__", "."))
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))


@pytest.mark.parametrize("second", ["a__png_at_2", "a__jpg", "a__left__png"])
def test_two_images_of_one_sample_are_refused(second, tmp_path):
    members_of(
        tmp_path / "train-0.tar", a__png=encoded(1), a__cls=b"0", b__png=encoded(2), b__cls=b"1", **{second: encoded(3)}
    )
    with pytest.raises(OwnDataError, match="second image of its sample"):
        read_table(tmp_path)


def test_descriptions_beside_labels_are_no_names(tmp_path):
    texts = (b"a cat on a mat", b"a dog", b"a sleeping cat", b"two dogs")
    members = {f"{n}__{kind}": data for n, text in enumerate(texts)
               for kind, data in (("png", encoded(n)), ("cls", b"%d" % (n % 2)), ("txt", text))}  # fmt: skip
    members_of(tmp_path / "all.tar", **members)
    table = read_table(tmp_path)
    assert list(table.names.values()) == ["0", "1"] and "describe images" in table.warnings[0]


def test_a_label_in_a_list_of_a_shards_json(tmp_path):
    members = {f"{n}__{kind}": data for n in range(4)
               for kind, data in (("png", encoded(n)), ("json", json.dumps({"label": [n % 2]}).encode()))}  # fmt: skip
    members_of(tmp_path / "all.tar", **members)
    assert list(read_table(tmp_path).names) == ["0", "1"]
