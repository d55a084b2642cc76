"""Every setting of every method, given what nobody should give: refused with key, value and what to do, or taken."""

from __future__ import annotations

import pytest

import train
from dassl.config import ConfigError
from dassl.engine import TRAINER_REGISTRY
from trainers.base.settings import resolve

METHODS = [name for name in TRAINER_REGISTRY.registered_names() if hasattr(TRAINER_REGISTRY.get(name), "method_class")]
OTHER_TYPES = {
    bool: ["1", "0.5", "yes", "'True'", "[True]", "{}"],
    int: ["1.5", "True", "many", "'3'", "[1]", "1e3", "1j", "(1,)"],
    float: ["True", "many", "[0.1]", "1j", "{'a': 1}", "b'1'", "--1"],
    str: [],  # whatever is typed is a text
    tuple: ["1", "0.5", "True", "q", "{1: 2}", "'q'"],
}
BEYOND = ["-1e300", "1e300", "nan", "inf", "-inf", "1e999", "-1", "0", "9" * 400, str(2**31), str(10**30), "1e-320"]
"""Numbers that few settings may have."""
LISTS = ["[]", "()", "['']", "[None]", "[[1]]", "[nan]", "[1e999]", "[-1]", "['q', 1]", "['\\x1b[2J']", "[True]"]
TEXTS = ["", "None", "\x1b[2J", "\udce9", "x" * 5000, "\0", "../../..", "fp8", "Fp32", "{}", "a\nb", "{0.__class__}"]


def settings_of(name: str) -> list[tuple[str, object, object]]:
    """Return key, default and rule of each setting."""
    trainer = TRAINER_REGISTRY.get(name)
    return [(f"TRAINER.{trainer.settings_node}.{key}", s.default, s.rule) for key, s in trainer.declared.items()]


def given(name: str, *words: str):
    """Return what a command line resolves to, or the message that refuses it."""
    try:
        return resolve(train.parse(["--trainer", name, *words]))
    except ConfigError as error:
        return str(error)


@pytest.mark.parametrize("name", METHODS)
def test_another_type_is_refused(name):
    for key, default, _ in settings_of(name):
        for value in OTHER_TYPES[type(default)]:
            said = given(name, key, value)
            assert isinstance(said, str), (key, value, "is taken")
            assert key in said and value.strip("'")[:3] in said and "expected" in said, (key, value, said)


@pytest.mark.parametrize("name", METHODS)
def test_what_is_taken_is_of_the_type_and_in_the_range(name):
    for key, default, rule in settings_of(name):
        for value in BEYOND + LISTS + TEXTS:
            found = given(name, key, value)
            if isinstance(found, str):
                assert key in found and ("expected" in found or key.rpartition(".")[2] in found), (key, value, found)
                assert "\x1b" not in found and len(found) < 1500, (key, value, found[:300])
                continue
            _, node, setting = key.split(".")
            taken = found.cfg.TRAINER[node][setting]
            assert isinstance(taken, type(default)) or default == "auto" or taken == "auto", (key, value, taken)
            assert rule is None or rule.fits(taken), (key, value, taken)


def test_a_wrong_value_makes_nothing(tmp_path, capsys):
    """Of every method the first setting that can be wrong, through the command itself."""
    for name in METHODS:
        key = next((key for key, _, rule in settings_of(name) if rule and not rule.fits("\x07")), None)
        if key is None:
            continue
        words = ["--trainer", name, "--output-dir", str(tmp_path / name), key, "\x07"]
        assert train.main(words) == 2
        said = capsys.readouterr().err
        assert key in said and "\x07" not in said and "Traceback" not in said, said
    assert not list(tmp_path.iterdir())
