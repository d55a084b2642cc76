"""Few-shot samples equal upstream's, image by image."""

import pickle
import pickletools
import random
from dataclasses import dataclass

import pytest

from dassl.data.datasets import DatasetBase, Datum
from dassl.data.few_shot import sample_few_shot
from dassl.utils import set_random_seed


@dataclass
class Item:
    path: str
    label: int


@pytest.fixture(scope="module")
def case(golden):
    return golden("fewshot.json")


@pytest.fixture(scope="module")
def lists(case):
    return [[Item(path, label) for path, label in case[part]] for part in ("train", "val")]


def test_global_generator_gives_the_golden_samples(case, lists):
    dataset = DatasetBase.__new__(DatasetBase)
    for entry in case["fewshot"]:
        set_random_seed(entry["seed"])
        train = dataset.generate_fewshot_dataset(lists[0], num_shots=entry["shots"])
        val = dataset.generate_fewshot_dataset(lists[1], num_shots=min(entry["shots"], 4))
        assert [item.path for item in train] == entry["train"]
        assert [item.path for item in val] == entry["val"]


def test_own_generator_gives_the_same(case, lists):
    for entry in case["fewshot"]:
        rng = random.Random(entry["seed"])
        assert [i.path for i in sample_few_shot(lists[0], entry["shots"], rng)] == entry["train"]
        assert [i.path for i in sample_few_shot(lists[1], min(entry["shots"], 4), rng)] == entry["val"]


def test_small_classes_whole_or_filled_up():
    items = [Item(str(i), label) for i, label in enumerate([3, 3, 1, 1, 1, 1])]
    rng = random.Random(0)
    assert [i.path for i in sample_few_shot(items, 3, rng)][:2] == ["0", "1"]
    filled = sample_few_shot(items, 3, rng, repeat=True)
    assert [i.label for i in filled] == [3, 3, 3, 1, 1, 1]


def test_generate_accepts_several_sources(lists, capsys):
    dataset = DatasetBase.__new__(DatasetBase)
    assert dataset.generate_fewshot_dataset(lists[0], num_shots=-1) is lists[0]
    assert list(dataset.generate_fewshot_dataset(*lists, num_shots=0)) == lists
    train, val = dataset.generate_fewshot_dataset(*lists, num_shots=1)
    assert len(train) == len(val) == 12
    assert capsys.readouterr().out.splitlines() == ["Creating a 1-shot dataset"] * 2


def test_datum_is_pickled_as_published_caches_are(tmp_path):
    (tmp_path / "a.jpg").touch()
    content = pickle.dumps(Datum(tmp_path / "a.jpg", 2, 0, "cat"))
    strings = [argument for _, argument, _ in pickletools.genops(content) if isinstance(argument, str)]
    assert strings[:2] == ["dassl.data.datasets.base_dataset", "Datum"]
    assert {"_impath", "_label", "_domain", "_classname"} <= set(strings)


def test_datum_is_read_only_and_wants_a_file(tmp_path):
    (tmp_path / "a.jpg").touch()
    datum = Datum(str(tmp_path / "a.jpg"), 2, 1, "cat")
    assert (datum.impath, datum.label, datum.domain, datum.classname) == (
        str(tmp_path / "a.jpg"),
        2,
        1,
        "cat",
    )
    with pytest.raises(AttributeError):
        datum.label = 3
    with pytest.raises(FileNotFoundError, match=r"missing\.jpg"):
        Datum(str(tmp_path / "missing.jpg"))


class TestDatasetBase:
    @pytest.fixture
    def make(self, tmp_path):
        (tmp_path / "a.jpg").touch()
        names = ["ant", "bee", "cat", "dog"]
        return lambda *labels: [Datum(tmp_path / "a.jpg", y, y % 2, names[y]) for y in labels]

    def test_classes_come_from_the_training_list(self, make):
        dataset = DatasetBase(train_x=make(2, 0, 1, 2), val=make(0), test=make(1, 2))
        assert dataset.num_classes == 3 and dataset.classnames == ["ant", "bee", "cat"]
        assert dataset.lab2cname == {0: "ant", 1: "bee", 2: "cat"}
        assert dataset.train_u is None and len(dataset.test) == 2
        by_label = dataset.split_dataset_by_label(dataset.train_x)
        by_domain = dataset.split_dataset_by_domain(dataset.train_x)
        assert {k: len(v) for k, v in by_label.items()} == {2: 2, 0: 1, 1: 1}
        assert {k: len(v) for k, v in by_domain.items()} == {0: 3, 1: 1}

    def test_a_class_without_training_images_is_named(self, make):
        with pytest.raises(ValueError, match=r"label 1 \(bee\)"):
            DatasetBase(train_x=make(0, 2), test=make(0, 1, 2))
        with pytest.raises(ValueError, match=r"label 3 \(dog\)"):
            DatasetBase(train_x=make(0, 1, 2), val=make(3))
        with pytest.raises(ValueError, match="label 0"):
            DatasetBase(train_x=make(1))
        with pytest.raises(ValueError, match="no training images"):
            DatasetBase(train_x=[])

    def test_domains_are_checked(self, make):
        dataset = DatasetBase(train_x=make(0))
        dataset.domains = ["art", "photo"]
        dataset.check_input_domains(["art"], ["photo"])
        with pytest.raises(ValueError, match="'photo'"):
            dataset.check_input_domains(["art"], ["foto"])
