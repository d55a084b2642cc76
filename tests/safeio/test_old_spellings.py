"""Names of earlier versions continue to work: in command lines, yaml files, records and protocols."""

from __future__ import annotations

import json

import pytest

import report
import sweep
import train
from runs.record import read_record
from safeio.old_spellings import SETTINGS, present_protocol
from safeio.trees import leaves
from trainers.base.run_settings import settings_of_run


def settings(*words: str):
    return settings_of_run(train.parse(["--trainer", "CoOp", *words])).cfg


@pytest.mark.parametrize(
    ("old", "value", "section", "name", "expected"),
    [
        ("TEST.ROLE", "transferred", "TEST", "CLASSES", "unseen"),
        ("TEST.ROLE", "trained", "TEST", "CLASSES", "seen"),
        ("DATALOADER.CACHE_GIB", "3", "DATALOADER", "CACHE_DISK_GIB", 3.0),
        ("DATASET.VAL_SHARE", "0.3", "DATASET", "VAL_FRACTION", 0.3),
        ("DATALOADER.CACHE_MIB", "512", "DATALOADER", "CACHE_MEMORY_GIB", 0.5),
    ],
)
def test_settings(old, value, section, name, expected, tmp_path):
    assert settings(old, value)[section][name] == expected
    file = tmp_path / "old.yaml"
    file.write_text(f"{old.split('.')[0]}:\n  {old.split('.')[1]}: {value}\n")
    cfg = settings("--config-file", str(file))
    assert cfg[section][name] == expected and old.split(".")[1] not in cfg[section]


def test_every_old_setting_is_one_now():
    cfg = settings()
    for renamed in SETTINGS.values():
        assert renamed.key in dict(leaves(cfg))


@pytest.mark.parametrize(("given", "now"), [("0", "auto"), ("0.0", "auto"), ("0.5", 0.5), ("auto", "auto"), ("2", 2)])
def test_a_zero_that_meant_a_search_is_auto(given, now, tmp_path):
    cfg = settings_of_run(train.parse(["--trainer", "LinearProbe", "TRAINER.LINEARPROBE.C", given])).cfg
    assert dict(leaves(cfg))["TRAINER.LINEARPROBE.C"] == now
    (tmp_path / "run.json").write_text(json.dumps({"config": {"TRAINER": {"LINEARPROBE": {"C": literal(given)}}}}))
    assert read_record(tmp_path)["config"]["TRAINER"]["LINEARPROBE"]["C"] == now


def literal(text: str) -> float | int | str:
    return json.loads(text) if text != "auto" else text


def test_a_wrong_value_is_refused_in_the_words_of_today():
    with pytest.raises(ValueError, match=r"TEST\.CLASSES in command line is 'new'.*seen, unseen"):
        settings("TEST.ROLE", "new")


def test_records(tmp_path):
    old = {"status": "complete", "role": "transferred", "config": {"TEST": {"ROLE": "transferred", "SPLIT": "test"}}}
    (tmp_path / "run.json").write_text(json.dumps(old | {"origins": {"TEST.ROLE": "command line"}}))
    record = read_record(tmp_path)
    assert record["test_classes"] == "unseen" and "role" not in record
    assert record["config"]["TEST"] == {"CLASSES": "unseen", "SPLIT": "test"}
    assert record["origins"] == {"TEST.CLASSES": "command line"}


def test_protocols():
    now = {"task": "B2N", "test_classes": {"base": "seen", "new": "unseen"}}
    assert present_protocol({"task": "B2N", "roles": {"base": "trained", "new": "transferred"}}) == now
    assert present_protocol(now) == now


def test_options():
    assert sweep.make_parser().parse_args(["base2new", "--only", "1/8"]).shard == "1/8"
    assert str(report.make_parser().parse_args(["--out", "a.md"]).out) == "a.md"
