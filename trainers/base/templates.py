"""Prompt templates, read from configs/templates.yaml."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import yaml

from dassl.config import ConfigError
from dassl.config.validators import Rule

TABLE = Path(__file__).parents[2] / "configs" / "templates.yaml"


@cache
def _table() -> dict:
    return yaml.safe_load(TABLE.read_text(encoding="utf-8"))


def dataset_template(dataset: str, method: str = "") -> str:
    """Return a dataset's published template: the method's own if there is one, then the dataset's, then the general.

    Both arguments are registered names."""
    own = _table()["methods"].get(method, {})
    return own.get(dataset) or _table()["datasets"].get(dataset, _table()["default"])


def ensemble(name: str) -> list[str]:
    """The templates of a prompt ensemble."""
    return list(_table()["ensembles"][name])


def check_template(template: str) -> str:
    """Return a template if it has exactly one {} for the class name.

    Raises:
        dassl.config.ConfigError: there is none, or a brace that is not a place for the name.
    """
    try:
        fine = template.count("{}") == 1 and template.format("name")
    except (IndexError, KeyError, ValueError):
        fine = False
    if not fine:
        raise ConfigError(
            f"DATASET.TEMPLATE is {template!r}; it needs one {{}} for the class name: 'a photo of a {{}}.'"
        )
    return template


def _is_template(value: object) -> bool:
    try:
        return value == "" or bool(check_template(str(value)))
    except ValueError:
        return False


TEMPLATE = Rule("one {} for the class name, as in 'a photo of a {}.'", _is_template)
"""Rule for settings that hold a template; empty is the dataset's own."""
