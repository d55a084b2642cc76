"""Read yaml files that build on others: ``BASE: ../other.yaml``, or a list of files.

Each is relative to the file that names it; ``configs/...`` that is not there is the project's own.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from yacs.config import CfgNode as YacsNode

from safeio.errors import MissingFile, UserError

BASE = "BASE"
PROJECT = Path(__file__).parents[2]
MOST = 10_000
"""Values and sections of one file; the longest here has some fifty."""


class ConfigError(UserError, ValueError):
    """An unknown key or a value that does not fit; the message names key, value and where it came from."""


def read_layers(path: str | os.PathLike, above: tuple[Path, ...] = ()) -> list[tuple[Path, dict[str, Any]]]:
    """The trees of a yaml file and of those it builds on, lowest first, each with its file.

    Raises:
        FileNotFoundError: there is no such file.
        ConfigError: one is not yaml or not a mapping, or builds on itself.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFile(f"There is no configuration file {path}" + (f", the BASE of {above[-1]}" if above else ""))
    if path.resolve() in {file.resolve() for file in above}:
        raise ConfigError(f"{path} builds on itself: {' -> '.join(map(str, (*above, path)))}")
    tree = _read(path)
    bases = tree.pop(BASE, [])
    bases = [bases] if isinstance(bases, str) else bases
    if not isinstance(bases, list) or not all(isinstance(base, str) and "\0" not in base for base in bases):
        raise ConfigError(f"{BASE} in {path} is {bases!r}, expected the name of a yaml file or a list of them")
    layers = []
    for base in bases:
        file = Path(os.path.normpath(path.parent / base))
        if base.startswith("configs/") and not file.exists():
            file = PROJECT / base
        layers += read_layers(file, (*above, path))
    return [*layers, (path, tree)]


def _read(path: Path) -> dict[str, Any]:
    """One file's tree. Nothing in it is run, and what its aliases unfold to is limited."""
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except RecursionError as error:
        raise ConfigError(f"{path} is not valid yaml: it is nested too deep") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: other bytes than UTF-8, a date in month 99
        raise ConfigError(f"{path} is not valid yaml: {error}") from error
    if not isinstance(tree, Mapping):
        raise ConfigError(f"{path} must hold KEY: VALUE pairs, not a {type(tree).__name__}")
    waiting: list[Any] = [tree]
    for _ in range(MOST):
        if not waiting:
            return dict(tree)
        part = waiting.pop()
        waiting += part.values() if isinstance(part, Mapping) else part if isinstance(part, (list, tuple, set)) else ()
    raise ConfigError(f"{path} unfolds to more than {MOST:,} settings: its aliases (*name) multiply")


class RootNode(YacsNode):
    """The root of a configuration tree: its ``merge_from_file`` understands ``BASE``.

    The sections below stay yacs' own nodes, because yacs merges only nodes of the same class and plugin files
    bring theirs.
    """

    @classmethod
    def _decode_cfg_value(cls, value: Any) -> Any:
        return YacsNode._decode_cfg_value(value)

    def merge_from_file(self, cfg_filename: str | os.PathLike) -> None:
        """Take over a yaml file and, before it, what it builds on."""
        for _, tree in read_layers(cfg_filename):
            self.merge_from_other_cfg(YacsNode(tree))
