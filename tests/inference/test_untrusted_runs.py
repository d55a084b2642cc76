"""A run's folder, record and list of classes of any content: used, or refused by an error that names the file."""

from __future__ import annotations

import json
import shutil

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dassl.config import ConfigError
from inference.classes import ClassesError, read_classes
from inference.run_folder import RunError, open_run
from runs import train_arguments
from runs.record import read_record
from runs.repeat import RecordError, read_to_repeat
from safeio.errors import UserError
from tools.faults.damage import positions, with_other
from trainers.base.run_settings import settings_of_run

QUIET = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
DEEP = b"[" * 100_000
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner))


@pytest.fixture(scope="module")
def run_folder(runs, tmp_path_factory):
    """A copy of a finished run that may be spoilt."""
    folder = tmp_path_factory.mktemp("copies") / "run"
    shutil.copytree(runs("CoOp"), folder)
    return folder, json.loads((folder / "run.json").read_text(encoding="utf-8"))


def opened(folder) -> None:
    try:
        assert open_run(folder).classes
    except (RunError, UserError) as error:
        assert str(error)


def repeated(folder) -> None:
    """As far as to the settings."""
    parser = train_arguments.make_parser()
    args = parser.parse_args([])
    args.opts = []
    try:
        args.from_record, args.record = str(folder), read_to_repeat(folder)
        vars(args).update(args.record["flags"])
        settings_of_run(args)
    except RecordError as error:
        assert "run.json" in str(error)
    except (ConfigError, KeyError) as error:  # as train.py catches them
        assert str(error)


@QUIET
@given(st.binary(max_size=60))
@example(DEEP)
@example(b"\xff")
@example(b'{"config": {}, "flags": {}}')
@example(b'{"method": "CoOp", "config": []}')
def test_records_of_any_bytes(run_folder, content):
    folder, _ = run_folder
    (folder / "run.json").write_bytes(content)
    assert isinstance(read_record(folder), dict | None)
    opened(folder)
    repeated(folder)


@QUIET
@given(st.data(), JSON)
def test_records_with_other_values(run_folder, data, value):
    folder, record = run_folder
    place = data.draw(st.sampled_from(list(positions(record))))
    (folder / "run.json").write_text(json.dumps(with_other(record, place, value)), encoding="utf-8")
    opened(folder)
    repeated(folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"flags": {"eval_only": True}}, "flags .* are not those of a run: model_dir, no_train"),
        ({"config": {"OUTPUT_DIR": "x"}}, r"lacks TRAINER\.NAME"),
        ({"config": {"OUTPUT_DIR": 5, "TRAINER": {"NAME": "CoOp"}}}, "OUTPUT_DIR"),
    ],
)
def test_a_record_cannot_set_what_is_no_setting(run_folder, change, words):
    folder, record = run_folder
    (folder / "run.json").write_text(json.dumps(record | change), encoding="utf-8")
    with pytest.raises(RecordError, match=words):
        read_to_repeat(folder)
    (folder / "run.json").write_text(json.dumps(record | {"flags": record["flags"] | {"opts": ["USE_CUDA", "True"]}}))
    with pytest.raises(RecordError, match="not those of a run: opts"):
        read_to_repeat(folder)


@QUIET
@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
@example(b"")
@example(b"\xff\xfec\x00")
@example("\ufeffcat\r\n\r\ndog\u2028bird".encode())
@example(b"a\x00b")
@example(b"cat\nCAT\n")
def test_lists_of_classes(tmp_path, content):
    (tmp_path / "classes.txt").write_bytes(content)
    try:
        names = read_classes(tmp_path / "classes.txt")
        assert names and all(name.strip() == name for name in names)
    except ClassesError as error:
        assert "classes.txt" in str(error)
