"""Every setting of every method, given what nobody should give: refused with key, value and what to do, or taken."""

from __future__ import annotations

import pytest

import train
from dassl.config import ConfigError
from dassl.engine import TRAINER_REGISTRY
from trainers.base.check_settings import check_settings
from trainers.base.run_settings import declared

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


def different_settings() -> dict[str, list]:
    """Return key, default and rule of each method's settings, by method; of those that several methods have, once."""
    found, seen = {}, set()
    for name in METHODS:
        trainer = TRAINER_REGISTRY.get(name)
        for key, setting in trainer.declared.items():
            kind = (key, type(setting.default), setting.rule and setting.rule.expected)
            if kind not in seen:
                found.setdefault(name, []).append((f"TRAINER.{trainer.settings_node}.{key}", setting))
            seen.add(kind)
    return found


SETTINGS = different_settings()


class CommandLine:
    """Settings of one method, to which one KEY VALUE after the other is given."""

    def __init__(self, name: str):
        self.builder = declared()
        self.builder.set("TRAINER.NAME", name, "command line")
        self.builder.set("TEST.CLASSES", "seen", "the protocol")

    def given(self, key: str, value: str) -> tuple[str, object]:
        """Return the message that refuses the value, or else what it is taken for."""
        node, setting = self.builder.cfg[(path := key.split("."))[0]][path[1]], path[2]
        before = node[setting]
        try:
            self.builder.merge_opts([key, value], "command line")
            check_settings(self.builder)
            return "", node[setting]
        except ConfigError as error:
            return str(error), None
        finally:
            node[setting] = before


@pytest.mark.parametrize("name", SETTINGS)
def test_another_type_is_refused(name):
    line = CommandLine(name)
    for key, setting in SETTINGS[name]:
        for value in OTHER_TYPES[type(setting.default)]:
            said, taken = line.given(key, value)
            if isinstance(setting.default, tuple) and value.isalpha():  # a word is a list of it, where words are listed
                assert taken in (None, (value,)), (key, value, taken)
            else:
                assert key in said and value in said and "expected" in said, (key, value, said)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_value_that_is_taken_is_of_the_type_and_in_the_range(name):
    line = CommandLine(name)
    for key, setting in SETTINGS[name]:
        for value in BEYOND + LISTS + TEXTS:
            said, taken = line.given(key, value)
            if said:
                assert said.startswith(key) and "expected" in said, (key, value, said)
                assert said.isprintable() and len(said) < 1000, (key, value, said[:2000])
            else:
                assert isinstance(taken, type(setting.default)) or "auto" in (taken, setting.default), (key, value)
                assert setting.rule is None or setting.rule.fits(taken), (key, value, taken)


def test_a_wrong_value_makes_nothing(tmp_path, capsys):
    """For every method, the first setting that can be wrong, through the command itself."""
    for name in METHODS:
        trainer = TRAINER_REGISTRY.get(name)
        rules = {key: setting.rule for key, setting in trainer.declared.items() if setting.rule}
        if not (wrong := [key for key, rule in rules.items() if not rule.fits("\x07")]):
            continue
        key = f"TRAINER.{trainer.settings_node}.{wrong[0]}"
        words = ["--trainer", name, "--output-dir", str(tmp_path / name), key, "\x07"]
        assert train.main(words) == 2
        said = capsys.readouterr().err
        assert key in said and "\x07" not in said and "Traceback" not in said, said
    assert not list(tmp_path.iterdir())
