"""Method files of public repositories (--plugins): a file or a folder, with its own helper modules and settings.

Such a file registers trainers when it is imported. Its own siblings come first: `from .coop import f` and
`from trainers.coop import f` mean the file beside it, in a folder of that name, and not ours. A module that is found
nowhere else, as in `from utils.losses import f`, is looked for beside the file, then in the folder above, its
repository. New settings are declared by the family's convention, a function `extend_cfg(cfg)` in the file, in one
beside it, or in the `train.py` above.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from yacs.config import CfgNode

from dassl.config import ConfigError
from dassl.data.datasets.build import DATASET_REGISTRY
from dassl.engine import TRAINER_REGISTRY
from dassl.evaluation import EVALUATOR_REGISTRY
from dassl.modeling import BACKBONE_REGISTRY, HEAD_REGISTRY, NETWORK_REGISTRY
from safeio.names import nearest_name

REGISTRIES = (
    *(TRAINER_REGISTRY, DATASET_REGISTRY, EVALUATOR_REGISTRY),
    *(BACKBONE_REGISTRY, HEAD_REGISTRY, NETWORK_REGISTRY),
)
PREFIX = "plugins_"
Extend = Callable[..., Any]


class Plugins:
    """Plugins that were loaded in this process.

    Attributes:
        extends: by name of a plugin's module or package, the function that declares its settings.
        broken: (file, error) of those that could not be imported.
    """

    def __init__(self):
        self.extends: dict[str, Extend] = {}
        self.broken: list[tuple[Path, str]] = []

    def load(self, path: str | Path) -> None:
        """Import a file, or every file of a folder and of its packages; one that fails is reported and leaves no trace.

        Raises:
            ConfigError: there is neither a file nor a folder, or nothing in it to import.
        """
        path = Path(path).resolve()
        folder = path if path.is_dir() else path.parent
        files = sorted(_modules(path)) if path.is_dir() else [path] if path.suffix == ".py" and path.is_file() else []
        if not files:
            raise ConfigError(f"--plugins {path}: there is no Python file; give a trainer's file or a folder of them")
        package = _package(folder)
        names = [".".join([package, *file.relative_to(folder).with_suffix("").parts]) for file in files]
        for file, name in zip(files, names, strict=True):
            self._import(file, name)
        found = _extend_of_repository(folder) or next(
            (self.extends[name] for name in names if name in self.extends), None
        )
        if found is not None:
            self.extends[package] = found

    def extend(self, trainer: type, cfg: CfgNode) -> bool:
        """Declare the settings of a trainer's plugin in a tree, by its own file's function if there is one.

        Returns:
            Whether there was any.

        Raises:
            ConfigError: the function fails.
        """
        module = trainer.__module__
        extend = self.extends.get(module) or self.extends.get(module.partition(".")[0])
        if extend is None:
            return False
        try:
            _declare(extend, cfg, trainer.__name__)
        except Exception as error:  # a function of others
            raise ConfigError(
                f"extend_cfg of {trainer.__name__}'s plugin fails: {type(error).__name__}: {error}"
            ) from error
        return True

    def report(self) -> str:
        """Return what could not be imported, for people; empty where all could."""
        return "\n".join(f"Plugin {file} is left out, all else works: {error}" for file, error in self.broken)

    def _import(self, file: Path, name: str) -> None:
        if name in sys.modules:  # a sibling imported it
            self._keep_extend(sys.modules[name])
            return
        before = set(sys.modules)
        if error := import_whole(name, replace=True):
            for lost in set(sys.modules) - before:
                if lost.startswith(PREFIX):
                    del sys.modules[lost]
            self.broken.append((file, error))
        else:
            self._keep_extend(sys.modules[name])

    def _keep_extend(self, module: ModuleType) -> None:
        if callable(extend := getattr(module, "extend_cfg", None)):
            self.extends[module.__name__] = extend


PLUGINS = Plugins()


def without_its_plugin(record: Mapping[str, Any]) -> str:
    """Return what to do about a run's record whose method no file read so far registers; empty where one does."""
    name, files = record.get("method"), record.get("plugins")
    if name in TRAINER_REGISTRY.registered_names():
        return ""
    if files and isinstance(files, list):
        return f"trained by {name}, a plugin: give its file again, --plugins {files[0]} (in Python, plugins=[...])"
    near = nearest_name(str(name), TRAINER_REGISTRY.registered_names())
    hint = f"did you mean {near}? If it is a plugin" if near else "if it is a plugin"
    return f"trained by {name}, no method here: {hint}, give its file, --plugins FILE (in Python, plugins=[...])"


def load_plugins(paths: Sequence[str | Path]) -> None:
    """Import what --plugins names into this process; files that cannot be imported are named on stderr.

    Raises:
        ConfigError: there is neither a file nor a folder, or nothing in it to import.
    """
    for path in paths:
        PLUGINS.load(path)
    if report := PLUGINS.report():
        sys.stderr.write(f"{report}\n")


def import_whole(name: str, replace: bool = False) -> str:
    """Import a module that registers trainers; if the import fails, everything it registered is removed.

    Args:
        replace: whether it may take names that are registered.

    Returns:
        The error message; empty if there was none. Every exception of the file is caught, whatever its type.
    """
    try:
        with ExitStack() as registries:
            for registry in REGISTRIES:
                registries.enter_context(registry.whole(replace))
            importlib.import_module(name)
    except (Exception, SystemExit) as error:
        return f"{type(error).__name__}: {error}"
    return ""


def first_claim(file: Path) -> tuple[bool, bool, str]:
    """Return a sort key: of two files that register the same name, the one to import first.

    A file that builds on `trainers.base` comes before one of another repository; of two that do, the one that is named
    after something it defines (`coop.py`: CoOp) comes before a copy of it under another name.
    """
    try:
        text = file.read_text(encoding="utf-8")
        body = ast.parse(text).body
    except (SyntaxError, ValueError):
        return True, True, file.name
    defined = [node.name for node in body if isinstance(node, ast.ClassDef)]
    defined += [
        target.id
        for node in body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    ]
    word = file.stem.replace("_", "")
    named_after = any(name.lower().startswith(word) for name in defined)
    return "trainers.base" not in text, not named_after, file.name


def is_plugin(trainer: type) -> bool:
    """Return whether a trainer was registered by a plugin."""
    return trainer.__module__.startswith(PREFIX)


def _modules(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder and of the packages in it, hidden ones excepted."""
    for path in folder.iterdir():
        if path.name.startswith((".", "__")):
            continue
        if path.suffix == ".py" and path.stem.isidentifier():
            yield path
        elif path.is_dir() and (path / "__init__.py").is_file():
            yield from _modules(path)


def _package(folder: Path) -> str:
    """Return the name of the package that stands for a folder, made at the first call."""
    taken = [name for name in sys.modules if name.startswith(PREFIX) and "." not in name]
    for name in taken:
        if folder.samefile(sys.modules[name].__path__[0]):
            return name
    name = f"{PREFIX}{len(taken)}"
    spec = ModuleSpec(name, None, is_package=True)
    spec.submodule_search_locations = [str(folder)]
    sys.modules[name] = importlib.util.module_from_spec(spec)
    if not any(isinstance(finder, SiblingsFirst) for finder in sys.meta_path):
        sys.meta_path.insert(0, SiblingsFirst())
    return name


class SiblingsFirst:
    """Finds the modules of plugins' packages and reads them with `OwnSiblings`."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        root, _, rest = name.partition(".")
        if not root.startswith(PREFIX) or not rest or root not in sys.modules:
            return None
        folder = Path(sys.modules[root].__path__[0])
        file = folder.joinpath(*rest.split("."))
        if (file / "__init__.py").is_file():
            loader = OwnSiblings(name, str(file / "__init__.py"), root, folder)
            return importlib.util.spec_from_file_location(name, loader=loader, submodule_search_locations=[str(file)])
        if file.with_suffix(".py").is_file():
            loader = OwnSiblings(name, str(file.with_suffix(".py")), root, folder)
            return importlib.util.spec_from_file_location(name, loader=loader)
        if not file.is_dir():
            return None
        spec = ModuleSpec(name, None, is_package=True)  # a package without an __init__.py
        spec.submodule_search_locations = [str(file)]
        return spec


class OwnSiblings(SourceFileLoader):
    """Reads a plugin's file, in which `FOLDER.x` (as in `from trainers.x import f`) is the file x beside it.

    Args:
        package: the name under which the folder is imported here; folder: the folder itself.
    """

    def __init__(self, name: str, path: str, package: str, folder: Path):
        super().__init__(name, path)
        self.package, self.folder = package, folder

    def get_code(self, fullname: str) -> Any:
        """Compile anew: cached bytecode is of the file as it stands, with its own imports."""
        return self.source_to_code(self.get_data(self.path), self.path)

    def source_to_code(self, data: bytes, path: str, *, _optimize: int = -1) -> Any:
        tree = OwnNames(self.package, self.folder).visit(ast.parse(data, path))
        return compile(ast.fix_missing_locations(tree), path, "exec", dont_inherit=True, optimize=_optimize)


class OwnNames(ast.NodeTransformer):
    """Turns absolute imports of siblings into imports from the plugin's package."""

    def __init__(self, package: str, folder: Path):
        self.package, self.folder = package, folder

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST:
        if node.level or not node.module:
            return node
        if node.module == self.folder.name and all(self._there(alias.name) for alias in node.names):
            node.module = self.package
        elif own := self._own(node.module):
            node.module = own
        return node

    def visit_Import(self, node: ast.Import) -> Any:
        found: list[ast.stmt] = []
        for alias in node.names:
            own = self._own(alias.name)
            if own and not alias.asname:
                found.append(ast.Import([ast.alias(own)]))
                first = alias.name.partition(".")[0]
                alias = ast.alias(self.package if first == self.folder.name else own, first)
            elif own:
                alias = ast.alias(own, alias.asname)
            found.append(ast.Import([alias]))
        return found

    def _own(self, name: str) -> str:
        """Return the name of a sibling in the plugin's package; empty if the name is none of theirs."""
        first, _, rest = name.partition(".")
        if first == self.folder.name and rest and self._there(rest):
            return f"{self.package}.{rest}"
        if _found_without(name):
            return ""
        if self._there(name):
            return f"{self.package}.{name}"
        repository = self.folder.parent
        return f"{_package(repository)}.{name}" if _holds(repository, name) else ""

    def _there(self, name: str) -> bool:
        return _holds(self.folder, name)


def _holds(folder: Path, name: str) -> bool:
    """Return whether a folder has a module of this dotted name, or a package: a folder with Python files."""
    place = folder.joinpath(*name.split("."))
    return place.with_suffix(".py").is_file() or (place.is_dir() and any(place.glob("*.py")))


def _found_without(name: str) -> bool:
    """Return whether an import finds a module where no plugin is."""
    try:
        return name in sys.modules or importlib.util.find_spec(name) is not None
    except (ImportError, AttributeError, ValueError):
        return False


def _declare(extend: Extend, cfg: CfgNode, trainer: str) -> None:
    """Call extend_cfg(cfg), or extend_cfg(cfg, args); `args` has the flags' defaults and the trainer's name."""
    flags = extend.__globals__.get("args") or SimpleNamespace()
    if isinstance(flags, SimpleNamespace):
        flags.trainer = trainer
    needed = [one for one in inspect.signature(extend).parameters.values() if one.default is one.empty]
    extend(cfg, *[flags][: len(needed) - 1])


def _extend_of_repository(folder: Path) -> Extend | None:
    """Return `extend_cfg` of a train.py in the folder or above it; nothing else of that file is run."""
    for place in (folder, folder.parent):
        file = place / "train.py"
        if file.is_file() and (extend := _read_extend(file)) is not None:
            return extend
    return None


def _read_extend(file: Path) -> Extend | None:
    loader = OnlyExtend(f"{PREFIX}train", str(file))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    try:
        loader.exec_module(module)
    except (SyntaxError, ValueError, ImportError):
        return None
    return getattr(module, "extend_cfg", None)


def _flags(tree: ast.Module) -> Iterator[tuple[str, Any]]:
    """Yield name and default of the flags that a file declares; None for a default that is computed."""
    for call in ast.walk(tree):
        if not (isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "add_argument"):
            continue
        given = {word.arg: word.value.value for word in call.keywords if isinstance(word.value, ast.Constant)}
        names = [str(word.value).lstrip("-").replace("-", "_") for word in call.args if isinstance(word, ast.Constant)]
        if names:
            switch = {"store_true": False, "store_false": True}.get(given.get("action"))
            yield given.get("dest", max(names, key=len)), given.get("default", switch)


class OnlyExtend(SourceFileLoader):
    """Reads `extend_cfg` of a file, with what that imports of yacs, and runs nothing else of it.

    Some of these functions read a global `args`: it has the defaults of the file's own flags.
    """

    def get_code(self, fullname: str) -> Any:
        tree = ast.parse(self.get_data(self.path), self.path)
        flags = f"from types import SimpleNamespace\nargs = SimpleNamespace(**{dict(_flags(tree))!r})"
        tree.body = ast.parse(flags).body + [
            node
            for node in tree.body
            if (isinstance(node, ast.FunctionDef) and node.name == "extend_cfg")
            or (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("yacs"))
        ]
        return compile(tree, self.path, "exec", dont_inherit=True)
