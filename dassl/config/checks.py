"""Check of a run's settings before any data is read: each by its rule, and those that depend on one another."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from dassl.config.builder import ConfigBuilder
from dassl.config.validators import LEAST, MOST, Dependency, Rule, Values, is_number
from dassl.config.yaml_files import ConfigError
from dassl.utils.names import get_most_similar_str_to_a_from_b
from safeio.escape import shown
from safeio.trees import leaves


def check_ranges(builder: ConfigBuilder, rules: Mapping[str, Rule], dependencies: Collection[Dependency] = ()) -> None:
    """Hold a configuration to rules, by dotted key; keys that it lacks, and None, are passed over.

    Raises:
        ConfigError: with a line for each wrong value: key, origin, value, what was expected.
    """
    values = dict(leaves(builder.cfg))
    wrong = [
        f"{key} in {builder.origins.get(key, 'the defaults')} is {shown(values[key])}, expected {rule.expected}"
        + _beyond(values[key], rule)
        + _nearest(values[key], rule.choices)
        for key, rule in rules.items()
        if values.get(key) is not None and not rule.fits(values[key])
    ]
    if not wrong:
        wrong = [message for dependency in dependencies if (message := dependency(values))]
    if wrong:
        raise ConfigError("\n".join(wrong))


def _beyond(value: Any, rule: Rule) -> str:
    if not rule.sized or not is_number(value):
        return ""
    if abs(value) > MOST:
        return f"; at most {MOST:,}{' in size' if value < 0 else ''}"
    return f"; at least {LEAST} in size" if 0 < abs(value) < LEAST else ""


def _nearest(value: Any, choices: Collection[str]) -> str:
    if not choices or not isinstance(value, str) or not value:
        return ""
    return f". Did you mean {get_most_similar_str_to_a_from_b(value, choices)!r}?"


def _nesterov(v: Values) -> str | None:
    if v["OPTIM.SGD_NESTEROV"] and (v["OPTIM.MOMENTUM"] == 0 or v["OPTIM.SGD_DAMPNING"] != 0):
        return (
            f"OPTIM.SGD_NESTEROV needs a momentum and no dampening: OPTIM.MOMENTUM is {v['OPTIM.MOMENTUM']!r}, "
            f"OPTIM.SGD_DAMPNING is {v['OPTIM.SGD_DAMPNING']!r}"
        )
    return None


def _staged(v: Values) -> str | None:
    if v["OPTIM.STAGED_LR"] and not v["OPTIM.NEW_LAYERS"]:
        return "OPTIM.STAGED_LR is True, but OPTIM.NEW_LAYERS names no layers: name those that learn at the full rate"
    return None


def _warmup(v: Values) -> str | None:
    if v["OPTIM.WARMUP_EPOCH"] > v["OPTIM.MAX_EPOCH"]:
        return (
            f"OPTIM.WARMUP_EPOCH is {v['OPTIM.WARMUP_EPOCH']}, more than all epochs: OPTIM.MAX_EPOCH is "
            f"{v['OPTIM.MAX_EPOCH']} (--train-epoch)"
        )
    return None


def _copies(v: Values) -> str | None:
    if v["DATALOADER.K_TRANSFORMS"] > 1 and v["INPUT.NO_TRANSFORM"]:
        return (
            f"DATALOADER.K_TRANSFORMS is {v['DATALOADER.K_TRANSFORMS']}, but INPUT.NO_TRANSFORM is True: there is "
            f"nothing to draw copies with"
        )
    return None


DEPENDENCIES: tuple[Dependency, ...] = (_nesterov, _staged, _warmup, _copies)
"""Rules of the engine for several settings together."""
