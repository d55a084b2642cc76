"""Each builder on a miniature replica of the real folder: labels, names, counts, split, halves."""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import json
import os
import pickle
import random
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import yaml

import datasets  # noqa: F401  (registers the builders)
from dassl.data.datasets import DATASET_REGISTRY, Datum
from datasets.base.imagenet_family import CLIP_NAMES
from datasets.base.splits import SplitError

PROJECT = Path(__file__).parent.parent.parent
_spec = importlib.util.spec_from_file_location("replicas", Path(__file__).parent / "replicas.py")
replicas = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(replicas)

CASES = {  # registry name: replica, class names in the order of labels, images for training, validation, testing
    "Caltech101": ("caltech101", ["face", "leopard", "motorbike", "accordion", "airplane", "car_side"], (30, 12, 18)),
    "Food101": ("food101", ["apple_pie", "waffles"], (15, 6, 9)),
    "DescribableTextures": ("dtd", ["banded", "polka-dotted", "zigzagged"], (15, 6, 9)),
    "EuroSAT": ("eurosat", ["Annual Crop Land", "Forest", "River", "Sea or Lake"], (20, 8, 12)),
    "OxfordPets": ("oxford_pets", ["abyssinian", "american_bulldog", "egyptian_mau"], (24, 6, 12)),
    "StanfordCars": (
        "stanford_cars",
        ["2000 AM General Hummer SUV", "2012 Ram C/V Cargo Van Minivan", "2012 smart fortwo Convertible"],
        (12, 3, 6),
    ),
    "OxfordFlowers": (
        "oxford_flowers", ["pink primrose", "hard-leaved pocket orchid", "canterbury bells"], (15, 6, 9)
    ),
    "FGVCAircraft": ("fgvc_aircraft", ["707-320", "BAE 146-200", "F/A-18", "Hawk T1"], (20, 20, 20)),
    "SUN397": (
        "sun397",
        ["abbey", "outdoor apartment_building", "backseat car_interior", "frontseat car_interior"],
        (32, 8, 40),
    ),
    "UCF101": ("ucf101", ["Apply_Eye_Makeup", "Handstand_Pushups", "Yo_Yo"], (24, 6, 12)),
    "ImageNet": ("imagenet", ["tench", "goldfish", "Chihuahua", "sunglasses"], (80, 12, 12)),
    "ImageNetV2": ("imagenetv2", [f"name {i}" for i in range(1000)], (1000, None, 1000)),
    "ImageNetSketch": ("imagenet_sketch", ["tench", "goldfish", "Chihuahua", "sunglasses"], (20, None, 20)),
    "ImageNetA": ("imagenet_a", ["goldfish", "sunglasses"], (7, None, 7)),
    "ImageNetR": ("imagenet_r", ["tench", "Chihuahua"], (7, None, 7)),
}  # fmt: skip
WITH_SPLIT_FILE = [name for name in CASES if getattr(DATASET_REGISTRY.get(name), "split_file", "")]
TEST_ONLY = [name for name, case in CASES.items() if case[2][1] is None]
HALVED = [name for name in CASES if name not in TEST_ONLY]


def build(name: str, root, shots: int = -1, seed: int = 1, classes: str = "all"):
    settings = SimpleNamespace(ROOT=str(root), NUM_SHOTS=shots, SUBSAMPLE_CLASSES=classes)
    return DATASET_REGISTRY.get(name)(SimpleNamespace(DATASET=settings, SEED=seed))


@pytest.fixture
def replica(request, tmp_path) -> tuple[str, Path]:
    getattr(replicas, CASES[request.param][0])(tmp_path)
    return request.param, tmp_path


def each(*names: str):
    return pytest.mark.parametrize("replica", names, indirect=True)


def paths(items) -> list[str]:
    return [item.impath for item in items]


@each(*CASES)
def test_labels_names_and_counts(replica):
    name, root = replica
    _, names, counts = CASES[name]
    dataset = build(name, root)
    assert dataset.classnames == names
    assert tuple(part and len(part) for part in (dataset.train_x, dataset.val, dataset.test)) == counts
    for part in filter(None, (dataset.train_x, dataset.val, dataset.test)):
        assert all(os.path.isfile(item.impath) and names[item.label] == item.classname for item in part)
        assert {item.label for item in part} == set(range(len(names)))
        assert not [item for item in part if Path(item.impath).name in ("README.txt", "Thumbs.db", ".hidden.jpg")]


@each(*[name for name in HALVED if name != "ImageNet"])
def test_parts_do_not_overlap(replica):
    name, root = replica
    dataset = build(name, root)
    everything = paths(dataset.train_x) + paths(dataset.val) + paths(dataset.test)
    assert len(everything) == len(set(everything))


@each(*HALVED)
def test_halves_are_numbered_from_zero(replica):
    name, root = replica
    names, middle = CASES[name][1], (len(CASES[name][1]) + 1) // 2
    base, new = build(name, root, classes="base"), build(name, root, classes="new")
    assert (base.classnames, new.classnames) == (names[:middle], names[middle:])
    assert len(base.test) + len(new.test) == CASES[name][2][2]
    assert {item.label for item in new.test} == set(range(len(names) - middle))


@each(*HALVED)
def test_few_shots_are_kept(replica, capsys):
    name, root = replica
    first = build(name, root, shots=2)
    assert set(Counter(item.label for item in first.train_x).values()) == {2}
    kept = json.loads(next(root.glob("*/split_fewshot/shot_2-seed_1.json")).read_text())
    assert not [path for path in kept["train"] if os.path.isabs(path)]
    capsys.readouterr()
    again = build(name, root, shots=2, classes="base")
    assert "drawn anew" not in capsys.readouterr().out
    assert paths(again.train_x) == [i.impath for i in first.train_x if i.classname in again.classnames]


@each(*TEST_ONLY)
def test_variants_ignore_shots_and_halves(replica):
    name, root = replica
    assert len(build(name, root, shots=1, classes="new").train_x) == CASES[name][2][0]


@each(*WITH_SPLIT_FILE)
def test_a_missing_split_is_made_once_and_written(replica, capsys):
    name, root = replica
    first = build(name, root, seed=1)
    assert "cannot be compared with published" in capsys.readouterr().out
    again = build(name, root, seed=2)  # now the file decides, not the seed
    assert paths(again.train_x) == paths(first.train_x)
    assert "cannot be compared" not in capsys.readouterr().out


@each("OxfordPets")
def test_only_the_split_file_and_the_images_are_needed(replica):
    name, root = replica
    first = build(name, root)
    for file in (root / "oxford_pets" / "annotations").iterdir():
        file.unlink()
    assert paths(build(name, root).test) == paths(first.test)


@each("OxfordPets", "ImageNet", "ImageNetA")
def test_a_missing_folder_is_said(replica):
    name, root = replica
    with pytest.raises(SplitError, match=r"There is no folder .*elsewhere.*DATASET\.ROOT"):
        build(name, root / "elsewhere")


@each("OxfordPets", "FGVCAircraft")
def test_a_missing_image_is_named(replica):
    name, root = replica
    build(name, root)
    gone = sorted(root.glob("*/images/*.jpg"))[0]
    gone.unlink()
    with pytest.raises(FileNotFoundError, match=gone.name):
        build(name, root)


@each("StanfordCars")
def test_missing_annotations_are_named(replica):
    name, root = replica
    (root / "stanford_cars" / "devkit" / "cars_meta.mat").unlink()
    with pytest.raises(SplitError, match=r"split_zhou_StanfordCars\.json.*cars_meta\.mat"):
        build(name, root)


@each("ImageNet")
def test_imagenet_names_an_unknown_folder_and_malformed_names(replica):
    name, root = replica
    (root / "imagenet" / "images" / "val" / "n99999999").mkdir()
    with pytest.raises(SplitError, match="n99999999"):
        build(name, root)
    (root / "imagenet" / "classnames.txt").write_text("tench\ngoldfish\n")
    with pytest.raises(SplitError, match="WordNet number, space, name"):
        build(name, root)


@each("ImageNet", "ImageNetSketch", "ImageNetA", "ImageNetR")
def test_imagenet_s_names_come_along(replica, capsys):
    """The shipped table is the file of CoOp's users: size and MD5 are those of a copy of theirs."""
    assert CLIP_NAMES.stat().st_size == 21_814
    assert hashlib.md5(CLIP_NAMES.read_bytes()).hexdigest() == "c7cdaa38c7d6c316f21428828490357a"
    name, root = replica
    given = build(name, root).classnames
    for file in root.glob("*/classnames.txt"):
        file.unlink()
    assert build(name, root).classnames == given
    assert "Warning" not in capsys.readouterr().out


@each("ImageNet")
def test_other_names_for_imagenet_s_classes_are_said(replica, capsys):
    name, root = replica
    file = root / "imagenet" / "classnames.txt"
    file.write_text(file.read_text().replace("n02085620 Chihuahua", "n02085620 hot dog"))
    assert "hot dog" in build(name, root).classnames
    said = capsys.readouterr().out
    assert said.count("Warning") == 1 and "n02085620 'hot dog' instead of 'Chihuahua'" in said


def test_imagenetv2_takes_folders_in_numerical_order(tmp_path):
    replicas.imagenetv2(tmp_path)
    assert all(Path(item.impath).parent.name == str(item.label) for item in build("ImageNetV2", tmp_path).test)


class Foreign:  # what a pickle of somebody else's code holds
    pass


def pickled_choice(monkeypatch, file: Path, parts: dict, prefix: str) -> None:
    """Write the cache that CoOp-style code would: objects of its class, absolute paths of its machine."""
    module = ModuleType("dassl.data.datasets.base_dataset")
    module.Datum, Foreign.__module__, Foreign.__qualname__ = Foreign, module.__name__, "Datum"
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, module.__name__, module)
        content = {}
        for part, items in parts.items():
            content[part] = []
            for item in items:
                record = Foreign.__new__(Foreign)
                where = prefix + item.impath.split(f"/{file.parent.parent.name}/")[1]
                record.__dict__.update(_impath=where, _label=item.label, _domain=0, _classname=item.classname)
                content[part].append(record)
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(pickle.dumps(content, protocol=4))


@each("OxfordPets")
@pytest.mark.parametrize("prefix", ["/data/zhou/DATA/oxford_pets/", "D:\\data\\oxford_pets\\"])
def test_a_pickled_choice_of_another_machine_is_used(replica, monkeypatch, prefix):
    name, root = replica
    whole = build(name, root)
    file = root / "oxford_pets" / "split_fewshot" / "shot_1-seed_1.pkl"
    chosen = {"train": [whole.train_x[i] for i in (7, 15, 23)], "val": [whole.val[i] for i in (1, 3, 5)]}
    pickled_choice(monkeypatch, file, chosen, prefix)
    dataset = build(name, root, shots=1)
    assert paths(dataset.train_x) == paths(chosen["train"])
    assert paths(dataset.val) == paths(chosen["val"])


@each("ImageNet")
def test_imagenet_s_pickled_choice_has_training_images_alone(replica, monkeypatch, capsys):
    name, root = replica
    chosen = {"train": build(name, root).train_x[3::20]}
    file = root / "imagenet" / "split_fewshot" / "shot_1-seed_1.pkl"
    pickled_choice(monkeypatch, file, chosen, "/somewhere/DATA/imagenet/")
    assert paths(build(name, root, shots=1).train_x) == paths(chosen["train"])
    chosen["train"][0] = Datum.listed(str(root / "imagenet" / "images" / "gone.JPEG"), 0, 0, "tench")
    pickled_choice(monkeypatch, file, chosen, "/somewhere/DATA/imagenet/")
    assert len(build(name, root, shots=1).train_x) == 4
    assert "drawn anew" in capsys.readouterr().out


class Malicious:
    def __reduce__(self):
        return os.mkdir, ("harm",)


@each("OxfordPets")
def test_a_pickle_that_runs_code_is_refused(replica, monkeypatch, capsys):
    name, root = replica
    monkeypatch.chdir(root)
    (root / "oxford_pets" / "split_fewshot").mkdir()
    file = root / "oxford_pets" / "split_fewshot" / "shot_1-seed_1.pkl"
    file.write_bytes(pickle.dumps({"train": [Malicious()], "val": []}))
    assert len(build(name, root, shots=1).train_x) == 3
    assert not (root / "harm").exists()
    assert "mkdir" in capsys.readouterr().out


@each("OxfordPets")
def test_lists_in_jsonl_are_used(replica):
    name, root = replica
    whole, cache = build(name, root), root / "oxford_pets" / "split_fewshot"
    cache.mkdir(exist_ok=True)
    for part, items in (("train", whole.train_x[2::8]), ("val", whole.val[::2])):
        rows = [{"impath": f"images/{Path(i.impath).name}", "label": i.label, "classname": i.classname} for i in items]
        (cache / f"shot_1-seed_1-{part}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    dataset = build(name, root, shots=1)
    assert paths(dataset.train_x) == paths(whole.train_x[2::8])


@each("OxfordPets")
def test_a_choice_from_another_split_is_drawn_anew(replica, capsys):
    name, root = replica
    build(name, root, shots=1)
    file = root / "oxford_pets" / "split_zhou_OxfordPets.json"
    split = json.loads(file.read_text())
    split["train"].reverse()
    file.write_text(json.dumps(split))
    build(name, root, shots=1)
    assert "drawn anew" in capsys.readouterr().out


def test_the_yaml_files_and_facts_name_the_same_datasets():
    with open(PROJECT / "datasets" / "facts.csv", encoding="utf-8") as file:
        facts = {row["registry_name"]: row for row in csv.DictReader(file)}
    assert set(facts) == set(CASES)
    for name, row in facts.items():
        file = PROJECT / "configs" / "datasets" / f"{row['config']}.yaml"
        assert yaml.safe_load(file.read_text()) == {"DATASET": {"NAME": name}}
        if row["train"]:
            assert int(row["base_classes"]) == (int(row["classes"]) + 1) // 2
            assert int(row["base_classes"]) + int(row["new_classes"]) == int(row["classes"])
            assert int(row["base_test"]) + int(row["new_test"]) == int(row["test"])


def test_a_split_is_made_by_the_seed_alone(tmp_path):
    replicas.dtd(tmp_path)
    folder, builder = tmp_path / "dtd", DATASET_REGISTRY.get("DescribableTextures")
    random.seed(99)
    assert [paths(p) for p in builder.whole(folder, 4)] == [paths(p) for p in builder.whole(folder, 4)]
