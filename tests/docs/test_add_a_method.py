"""docs/add-a-method.md: its files, written where it says, are a method that trains, tests and predicts."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from datasets.base.embedded import unpack
from runs.record import read_record

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "add-a-method.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^## [^\n`]*`([\w/.]+)`\n.*?^```(?:python|yaml)\n(.*?)^```", PAGE, re.M | re.S))
COMMANDS = re.findall(r"^    mmrl (launch .+)$", PAGE, re.M)
PATHS = {"package": "trainers/feature_scale.py", "folder": "configs/trainers/FeatureScale"}


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """The project with the page's files in it: folders are links, except those that get a file."""
    folder = tmp_path_factory.mktemp("clone")
    for path in PROJECT.iterdir():
        if path.suffix == ".py":  # a linked script would look for packages beside the original
            shutil.copyfile(path, folder / path.name)
        elif (path / "__init__.py").is_file() and path.name != "trainers":
            (folder / path.name).symlink_to(path)
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("trainers", "configs"):
        shutil.copytree(PROJECT / name, folder / name, ignore=ignore)
    for path, content in FILES.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(content, encoding="utf-8")
    return folder


def python(clone: Path, *words: object) -> str:
    """Run Python there; what it prints."""
    command = [sys.executable, *map(str, words)]
    done = subprocess.run(command, cwd=clone, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout[-5000:]
    return done.stdout


def test_the_example_is_whole_and_short():
    assert set(FILES) == {PATHS["package"], *(f"{PATHS['folder']}/{name}.yaml" for name in ("photo", "protocols"))}
    assert sum(len(content.splitlines()) for content in FILES.values()) < 80
    assert len(COMMANDS) == 2


def test_it_trains_on_half_of_the_classes_and_is_tested_on_the_other(clone):
    for command in COMMANDS:
        shown = python(clone, "-m", "mmrl", *command.split(), "OPTIM.MAX_EPOCH", 2, "--shots", 4, "--output", "out")
    records = {path.parent: read_record(path.parent) for path in clone.glob("out/**/run.json")}
    stages = {record["subsample_classes"]: record for record in records.values()}
    assert {record["status"] for record in records.values()} == {"complete"} and set(stages) == {"base", "new"}, shown
    assert stages["base"]["trainable_params"] == 256  # the embedding size of the embedded CLIP
    assert stages["base"]["metrics"]["accuracy"] > 100 / 50, "no better than chance"
    (trained,) = (folder for folder, record in records.items() if record["subsample_classes"] == "base")
    log = (trained / "log.txt").read_text(encoding="utf-8")
    assert re.search(r" xe \d", log) and re.search(r" size \d", log)
    unpack("clothing_64", clone / "clothes", classes=1, images=1)
    (image,) = clone.glob("clothes/*/*")
    assert image.name in python(clone, "predict.py", trained, image)


def test_a_setting_that_it_does_not_have_is_an_error(clone):
    command = ["train.py", "--trainer", "FeatureScale", "--output-dir", "wrong", "TRAINER.FEATURESCALE.WIEGHT", "1"]
    done = subprocess.run([sys.executable, *command], cwd=clone, capture_output=True, text=True)
    assert done.returncode == 2 and "TRAINER.FEATURESCALE.WEIGHT" in done.stderr
