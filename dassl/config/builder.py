"""A configuration in layers, which remembers for each value which layer set it.

::

    config = ConfigBuilder()
    config.declare("TRAINER.FOO.ALPHA", 0.7)
    config.merge_file("configs/datasets/dtd.yaml", "dataset yaml")
    config.merge_opts(["OPTIM.LR", "1e-3"], "command line")
    cfg = config.freeze()
    print(config.describe())
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from yacs.config import CfgNode

from dassl.config.coercion import ConfigValueError, coerce, decode
from dassl.config.defaults import get_cfg_default
from dassl.config.yaml_files import ConfigError, read_layers
from safeio.escape import shown
from safeio.names import folded, nearest_name
from safeio.old_spellings import present_setting
from safeio.trees import leaves

PROJECT = Path(__file__).parents[2]


class ConfigBuilder:
    """Fills a configuration tree layer by layer.

    A key must exist, with a default whose type the new value has to have; new keys are accepted only below
    sections that :meth:`open` has opened, or that are made with yacs's `new_allowed`.

    Args:
        cfg: the tree to fill, in place; the engine's defaults when not given.

    Attributes:
        cfg: the tree.
        origins: dotted key -> origin of its value. Keys that nobody set are not in it.
        replaced: dotted key -> value that it had before the last layer that set it.
    """

    def __init__(self, cfg: CfgNode | None = None):
        self.cfg = get_cfg_default() if cfg is None else cfg
        self.origins: dict[str, str] = {}
        self.replaced: dict[str, Any] = {}
        self.hints: dict[str, str] = {}  # by a published key that is none here: what to write in its place
        self._open: set[str] = set()

    def declare(self, key: str, default: Any) -> None:
        """Add a key, with its sections where they are missing; ``default`` also says the type."""
        *path, name = key.split(".")
        setattr(self._make_section(path), name, default)

    def open(self, section: str) -> None:
        """Accept new keys below a section, such as ``TRAINER.Foo``, which is made when missing."""
        self._make_section(section.split("."))
        self._open.add(section)

    def merge_file(self, path: str | os.PathLike, origin: str | None = None) -> None:
        """Take over a yaml file and, before it, the files it names under ``BASE``.

        Args:
            origin: what its values are said to come from; its path when not given. Files under ``BASE`` go by their
                path in this project or, elsewhere, by their name: a run's record holds no paths of a machine.

        Raises:
            FileNotFoundError: there is no such file.
            ConfigError: it is not yaml, not a mapping, or has an unknown key or a value of the wrong type.
        """
        for file, tree in read_layers(path):
            named = os.fspath(file) == os.fspath(path)
            self.merge_dict(tree, (origin or os.fspath(path)) if named else _shown(file))

    def merge_opts(self, opts: Sequence[Any], origin: str) -> None:
        """Take over ``[KEY, VALUE, KEY, VALUE, ...]``, keys dotted."""
        if len(opts) % 2:
            raise ConfigError(f"{origin}: expected KEY VALUE pairs, but {shown(opts[-1])} at the end has no value")
        for key, value in zip(opts[::2], opts[1::2], strict=True):
            self.set(key, value, origin)

    def merge_dict(self, tree: Mapping[str, Any], origin: str) -> None:
        """Take over a nested dictionary."""
        for key, value in leaves(tree):
            self.set(key, value, origin)

    def set(self, key: str, value: Any, origin: str) -> None:
        """Set one dotted key.

        Raises:
            ConfigError: there is no such key (the message names the nearest), or the type is wrong.
        """
        if isinstance(value, Mapping):
            self.merge_dict({key: value} if value else {}, origin)
            return
        key = str(key)
        present, worth = present_setting(key, value)
        if present == key or not self._has(key):  # another setting may have the former name of one
            key, value = present, worth
        known = self._has(key)
        if not known and not self._is_open(key):
            raise self._unknown(key, origin)
        *path, name = key.split(".")
        node = self._make_section(path)
        if known and isinstance(node[name], CfgNode):
            if value is None:  # a section in a yaml file with nothing, or only comments, below it
                return
            raise ConfigError(f"{key} in {origin} is a section and takes KEY: VALUE pairs, got {shown(value)}")
        before = node.get(name)
        try:
            setattr(node, name, coerce(value, node[name]) if known else decode(value))
        except ConfigValueError as error:
            raise ConfigError(f"{key} in {origin} is {shown(value)}, expected {error}") from error
        if self.origins.get(key) != origin:
            self.replaced[key] = _plain(before)
        self.origins[key] = origin

    def freeze(self) -> CfgNode:
        """Make the tree read-only and return it."""
        self.cfg.freeze()
        return self.cfg

    def plain(self) -> dict[str, Any]:
        """The tree as nested dictionaries, with lists for tuples: what JSON can hold."""
        return _plain(self.cfg)

    def describe(self, without: Collection[str] = ()) -> str:
        """The tree as yaml, each value that is not a default followed by ``# origin``.

        Args:
            without: keys of sections that are not shown where all their values are defaults.
        """
        quiet = {key for key in without if not any(origin.startswith(f"{key}.") for origin in self.origins)}
        return "\n".join(self._describe(self.cfg, "", quiet))

    def _describe(self, node: CfgNode, prefix: str, quiet: Collection[str]) -> Iterator[str]:
        indent = "  " * prefix.count(".")
        for name, value in node.items():
            key = prefix + name
            if key in quiet:
                continue
            if isinstance(value, CfgNode):
                yield f"{indent}{name}:" + ("" if value else " {}")
                yield from self._describe(value, key + ".", quiet)
                continue
            # A list in one line, without its brackets: safe_dump ends single values with a document mark.
            text = yaml.safe_dump([value], default_flow_style=True, width=float("inf")).strip()[1:-1]
            origin = f"  # {self.origins[key]}" if key in self.origins else ""
            yield f"{indent}{name}: {text}{origin}"

    def _make_section(self, path: Sequence[str]) -> CfgNode:
        """The node at ``path``, made where it is missing."""
        node = self.cfg
        for name in path:
            if name not in node:
                setattr(node, name, CfgNode())
            node = node[name]
            if not isinstance(node, CfgNode):
                raise ConfigError(f"{'.'.join(path)} cannot be a section: {name} is a value")
        return node

    def _has(self, key: str) -> bool:
        node: Any = self.cfg
        for name in key.split("."):
            if not isinstance(node, CfgNode) or name not in node:
                return False
            node = node[name]
        return True

    def _is_open(self, key: str) -> bool:
        if any(key.startswith(section + ".") for section in self._open):
            return True
        node: Any = self.cfg
        for name in key.split(".")[:-1]:
            node = node.get(name) if isinstance(node, CfgNode) else None
            if isinstance(node, CfgNode) and node.is_new_allowed():
                return True
        return False

    def _unknown(self, key: str, origin: str) -> ConfigError:
        if said := self.hints.get(key) or self.hints.get(f"TRAINER.{key}"):
            return ConfigError(f"Unknown key {key} in {origin}: {said}")
        known = [each for each, _ in leaves(self.cfg)]
        near = " or ".join(map(repr, nearest_keys(key, known, self.cfg.TRAINER.NAME)))
        hint = f"the nearest valid key is {near}" if near else "`mmrl config METHOD DATASET --all` shows all keys"
        return ConfigError(f"Unknown key {shown(key)} in {origin}; {hint}")


def nearest_keys(key: str, known: Sequence[str], method: str = "") -> list[str]:
    """Return the keys that a wrong one may mean, three at most; none where nothing is alike.

    `optim.lr` and `LR` are OPTIM.LR, `TRAINER.MMRL.ALPAH` is TRAINER.MMRL.ALPHA, `shots` is DATASET.NUM_SHOTS.

    Args:
        method: name of the run's method, whose own settings come before those of others.
    """
    section, _, name = key.rpartition(".")
    word = folded(name)
    near = nearest_name(key, [each for each in known if bool(section) == ("." in each)], cutoff=0.75)
    found = [each for each in known if folded(each.rpartition(".")[2]) == word]
    if near is not None and (not found or near in found):
        return [near]
    word = word.removesuffix("s")
    found = found or [each for each in known if word in map(_singular, each.rpartition(".")[2].split("_"))]
    own = [each for each in found if section and each.startswith(f"{section}.")]
    own = own or [each for each in found if method and folded(each).startswith(folded(f"TRAINER.{method}."))]
    return (own or found)[:3]


def _singular(word: str) -> str:
    return word.lower().removesuffix("s")


def _shown(file: Path) -> str:
    """Return a file's path in this project, or its name where it is elsewhere."""
    file = file.absolute()
    return file.relative_to(PROJECT).as_posix() if file.is_relative_to(PROJECT) else file.name


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return list(value) if isinstance(value, tuple) else value
