"""Names of earlier versions and their present names: the former are still read, but never written."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from typing import Any, NamedTuple

TEST_CLASSES = {"trained": "seen", "transferred": "unseen"}


class Renamed(NamedTuple):
    """A setting's name now, and its value now from the value then."""

    key: str
    value: Callable[[Any], Any] = lambda value: value


SETTINGS = {
    "TEST.ROLE": Renamed("TEST.CLASSES", lambda value: TEST_CLASSES.get(value, value)),
    "DATALOADER.CACHE_GIB": Renamed("DATALOADER.CACHE_DISK_GIB"),
    "DATALOADER.CACHE_MIB": Renamed("DATALOADER.CACHE_MEMORY_GIB", lambda value: float(value) / 1024),
    "DATASET.VAL_SHARE": Renamed("DATASET.VAL_FRACTION"),
    "TRAINER.LINEARPROBE.C": Renamed("TRAINER.LINEARPROBE.C", lambda value: value if float(value) else "auto"),
}
FIELDS = {"role": "test_classes", "role_reason": "test_classes_reason"}
"""Fields of a run's record: former name -> present name."""

OPTIONS = {
    "--only": "--shard",
    "--out": "--output",
    "--into": "--output",
    "--val-share": "--val-fraction",
    "--part": "--split",
}
"""Options of command lines: former spelling -> present spelling."""


def present_option(word: str, known: Container[str]) -> str:
    """Return a word of a command line in the spelling of now, where it is a former option that is not `known`."""
    option, equals, value = word.partition("=")
    return OPTIONS[option] + equals + value if option in OPTIONS and option not in known else word


def present_setting(key: str, value: Any) -> tuple[str, Any]:
    """Return a setting under the name and with the value that it has now."""
    renamed = SETTINGS.get(key)
    if renamed is None:
        return key, value
    try:
        return renamed.key, renamed.value(value)
    except (TypeError, ValueError):  # refused later, in the words of the present setting
        return renamed.key, value


def present_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run's record with the fields and settings that it would have now."""
    found = {FIELDS.get(name, name): value for name, value in record.items()}
    if isinstance(found.get("test_classes"), str):
        found["test_classes"] = TEST_CLASSES.get(found["test_classes"], found["test_classes"])
    if isinstance(config := found.get("config"), Mapping):
        found["config"] = {name: _present_section(name, node) for name, node in config.items()}
    if isinstance(origins := found.get("origins"), Mapping):
        found["origins"] = {present_setting(key, None)[0]: origin for key, origin in origins.items()}
    return found


def _present_section(name: str, node: Any) -> Any:
    if not isinstance(node, Mapping):
        return node
    pairs = (present_setting(f"{name}.{key}", value) for key, value in node.items())
    return {key.rpartition(".")[2]: _present_section(key, value) for key, value in pairs}


def present_protocol(protocol: Mapping[str, Any]) -> dict[str, Any]:
    """Return a protocol's file with the keys that it would have now."""
    found = {("test_classes" if key == "roles" else key): value for key, value in protocol.items()}
    if isinstance(classes := found.get("test_classes"), Mapping):
        found["test_classes"] = {part: TEST_CLASSES.get(kind, kind) for part, kind in classes.items()}
    return found
