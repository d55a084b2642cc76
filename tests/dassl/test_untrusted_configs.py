"""Yaml files of any content: settings, or a ConfigError that names the file; nothing in them is run or multiplied."""

from __future__ import annotations

from datetime import date

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dassl.config import ConfigBuilder, ConfigError

QUIET = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
LAUGHS = "TRAINER:\n  A0: &a0 {x: 1}\n" + "".join(
    f"  A{i + 1}: &a{i + 1} {{{', '.join(f'k{j}: *a{i}' for j in range(9))}}}\n" for i in range(12)
)
LISTS = "A0: &a0 [x]\n" + "".join(f"A{i + 1}: &a{i + 1} [{', '.join([f'*a{i}'] * 9)}]\n" for i in range(12))
KEYS = st.sampled_from(["OPTIM", "LR", "NAME", "TRAINER", "BASE", "DATASET", "INPUT", "SIZE", "ROOT", "SEED", ""])
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.dates() | st.binary(max_size=3)
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | LEAVES, inner, max_size=3),
    max_leaves=10,
)


def read(path) -> None:
    """The only two outcomes; a file that is taken can also be shown."""
    builder = ConfigBuilder()
    builder.open("TRAINER")
    try:
        builder.merge_file(path)
    except (ConfigError, OSError) as error:
        assert path.name in str(error)
    else:
        assert builder.describe()


@QUIET
@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
@example(b"OPTIM:\n  NAME: caf\xe9\n")
@example(b"[" * 2000)
@example(b"{a: " * 2000)
@example(b"OPTIM: {LR: " + b"1" * 5000 + b"}")  # more digits than Python reads
@example(b"OPTIM: {LR: 2001-99-99}")
@example(b"BASE: 5")
@example(b"BASE: [5]")
@example(b"BASE:")
@example(b'BASE: "a\\0b"')
@example(b"TRAINER: &a\n  FOO: *a\n")
@example(LAUGHS.encode())
@example(LISTS.encode())
@example(b"OPTIM: !!python/object/apply:os.system ['touch trace']")
@example(b"OPTIM: !!python/name:os.system")
@example(b"OPTIM: !!binary aGVsbG8=")
def test_any_bytes(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "any.yaml").write_bytes(content)
    read(tmp_path / "any.yaml")
    assert not (tmp_path / "trace").exists()


@QUIET
@given(st.dictionaries(KEYS, TREES))
@example({"TRAINER": {"FOO": date(2000, 1, 1)}})
@example({"TRAINER": {"FOO": b"a"}})
@example({"TRAINER": {"FOO": "{1, 2}"}})
def test_any_tree(tmp_path, tree):
    (tmp_path / "any.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    read(tmp_path / "any.yaml")


def test_a_date_is_refused_by_name_and_in_quotes_a_text(tmp_path):
    file = tmp_path / "any.yaml"
    builder = ConfigBuilder()
    builder.open("TRAINER")
    file.write_text("TRAINER: {FOO: 2000-01-01}")
    with pytest.raises(ConfigError, match=r"TRAINER\.FOO in .*any\.yaml is datetime.*in quotes"):
        builder.merge_file(file)
    file.write_text("TRAINER: {FOO: '2000-01-01', BAR: '{1, 2}'}")
    builder.merge_file(file)
    assert builder.cfg.TRAINER.FOO == "2000-01-01" and builder.cfg.TRAINER.BAR == "{1, 2}"


@pytest.mark.parametrize("text", [LAUGHS, LISTS], ids=["sections", "lists"])
def test_aliases_that_multiply_are_refused(tmp_path, text):
    (tmp_path / "laughs.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"laughs\.yaml unfolds to more than 10,000 settings"):
        ConfigBuilder().merge_file(tmp_path / "laughs.yaml")


def test_aliases_that_do_not_are_read(tmp_path):
    (tmp_path / "shared.yaml").write_text("INPUT:\n  PIXEL_MEAN: &a [1.0, 2.0, 3.0]\n  PIXEL_STD: *a\n")
    builder = ConfigBuilder()
    builder.merge_file(tmp_path / "shared.yaml")
    assert builder.cfg.INPUT.PIXEL_STD == builder.cfg.INPUT.PIXEL_MEAN
