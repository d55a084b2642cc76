"""Build hook: a wheel in which everything lies below one package, `mmrl`. Why and how: docs/packaging.md.

What is at the root of a clone (packages, configs/, scripts) goes into mmrl/, beside what is there, and imports of it
are rewritten: `from clip import clip` becomes `from mmrl.clip import clip`. So a user's site-packages get no bare name.
"""

from __future__ import annotations

import ast
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = "mmrl"
DATA = ("configs",)  # folders that are no package and go into the wheel


class NotImportable(SyntaxError):
    """An import statement that cannot be moved below a package; the message says how to write it."""


def names_of(root: Path) -> set[str]:
    """Return the names that a clone at `root` makes importable: packages and the modules beside them."""
    packages = {path.parent.name for path in root.glob("*/__init__.py")}
    return (packages | {path.stem for path in root.glob("*.py")}) - {PACKAGE}


def below(package: str, source: str, names: Iterable[str], place: str = "<source>") -> str:
    """Return `source` with its imports of `names` turned into imports from `package`; line numbers stay.

    Raises:
        NotImportable: a statement binds a name that would change its meaning.
    """
    names, lines = set(names), source.splitlines(keepends=True)
    for node in ast.walk(ast.parse(source, place)):
        first = getattr(node, "lineno", 0) - 1
        if isinstance(node, ast.ImportFrom) and not node.level and node.module.split(".")[0] in names:
            lines[first] = lines[first].replace(f"from {node.module}", f"from {package}.{node.module}", 1)
        elif isinstance(node, ast.Import) and names & {alias.name.split(".")[0] for alias in node.names}:
            alias = node.names[0]
            above, _, last = alias.name.rpartition(".")
            if len(node.names) > 1 or (above and not alias.asname):
                raise NotImportable(f"{place}:{node.lineno}: write `from {above or '...'} import {last}`, one a line")
            moved = f"from {package}{above and '.'}{above} import {last}"
            lines[first] = lines[first].replace(f"import {alias.name}", moved, 1)
    return "".join(lines)


def lay_out(root: Path, target: Path) -> None:
    """Write the package's files to the folder `target`."""
    names = names_of(root)
    folders = sorted(path.parent for path in root.glob("*/__init__.py")) + [root / name for name in DATA]
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    for file in [*files, *root.glob("*.py")]:
        path = file.relative_to(root)
        if "__pycache__" in path.parts:
            continue
        copy = target / (path.relative_to(PACKAGE) if path.parts[0] == PACKAGE else path)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix == ".py":
            copy.write_text(below(PACKAGE, file.read_text(encoding="utf-8"), names, str(path)), encoding="utf-8")
        else:
            shutil.copyfile(file, copy)


class Layout(BuildHookInterface):
    """Hatchling's build hook: it lays the wheel out."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel" or version == "editable":
            return
        self.folder = Path(tempfile.mkdtemp())
        lay_out(Path(self.root), self.folder)
        build_data["force_include"][str(self.folder)] = PACKAGE

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        shutil.rmtree(getattr(self, "folder", ""), ignore_errors=True)
