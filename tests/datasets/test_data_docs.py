"""The table of the documentation says what the data does; ImageNet's variants are tested with ImageNet's model."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets.base.metadata import read_facts, read_sources
from runs.protocol import plan

PROJECT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("page", ["docs/datasets.md"])
@pytest.mark.parametrize("name", read_facts())
def test_the_table_has_a_row(name, page):
    lines = (PROJECT / page).read_text(encoding="utf-8").splitlines()
    (row,) = [line for line in lines if line.startswith(f"| {name} |")]
    source, facts = read_sources()[name], read_facts()[name]
    assert source["size"] in row and source["licence"] in row and f"prepare {facts['config']}`" in row
    assert source["page"] in row or source["page"] == "none any more"
    names = {file["name"] for file in source["files"]}
    by_hand = {file["name"] for file in source["files"] if file.get("from", next(iter(names))) not in names}
    assert by_hand == {name for name in names if f"`{name}`" in row}


@pytest.mark.parametrize("name", ["imagenetv2", "imagenet_sketch", "imagenet_a", "imagenet_r", "eurosat", "folder"])
def test_targets_are_tested_with_the_model_of_imagenet(name):
    for run in plan("cross_dataset", "test", "MMRL", name):
        assert "/train/imagenet/" in run.model_folder
