"""The images that the published code chooses, where its split files are at hand."""

from __future__ import annotations

import csv
import hashlib
import os

import pytest

from dassl.data.datasets import Datum
from datasets.base import few_shot, splits

PUBLISHED = os.environ.get("PUBLISHED_SPLITS", "")


@pytest.mark.skipif(not PUBLISHED, reason="PUBLISHED_SPLITS: folder of split_zhou_*.json and fewshot_golden.csv")
@pytest.mark.parametrize("name", ["DescribableTextures", "EuroSAT", "OxfordPets"])
def test_few_shots_of_the_published_splits(name, monkeypatch):
    """Against hashes of what the published code draws from the published files."""
    monkeypatch.setattr("dassl.data.datasets.base_dataset.os.path.isfile", lambda path: True)
    split = splits.read_split(os.path.join(PUBLISHED, f"split_zhou_{name}.json"), "/x")
    with open(os.path.join(PUBLISHED, "fewshot_golden.csv"), encoding="utf-8") as file:
        cases = [row for row in csv.DictReader(file) if row["registry_name"] == name]
    assert len(cases) == 15
    for case in cases:
        chosen = few_shot.few_shot(split, int(case["num_shots"]), int(case["seed"]), "/x")
        found = [few_shot.fingerprint(part, "/x") for part in (chosen.train, chosen.val)]
        assert found == [case["sha256_train"], case["sha256_val"]]


def test_hash_form_of_a_choice(tmp_path):
    (tmp_path / "a.png").touch()
    item = Datum(tmp_path / "a.png", 3, 0, "axolotl")
    assert few_shot.fingerprint([item], tmp_path) == hashlib.sha256(b"a.png\t3\taxolotl\n").hexdigest()
