"""Imports below one package, requirements from the files, and what the licence, citation and change log say alike."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
import tomllib

pytest.importorskip("hatchling")

PROJECT = Path(__file__).parents[2]
SPEC = importlib.util.spec_from_file_location("build_wheel", PROJECT / "tools" / "build_wheel.py")
build_wheel = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(build_wheel)
DATA = {".png", ".jpg", ".svg", ".npz", ".pt", ".safetensors", ".gz", ".csv", ".json", ".mat"}
MADE = {"output", "data", "site"}
NAMES = {"clip", "dassl", "datasets", "train"}


@pytest.mark.parametrize(
    ("written", "moved"),
    [
        ("from clip import clip", "from mmrl.clip import clip"),
        ("from dassl.engine import (\n    TrainerX,\n)", "from mmrl.dassl.engine import (\n    TrainerX,\n)"),
        ("import datasets  # noqa: F401", "from mmrl import datasets  # noqa: F401"),
        ("import clip as c", "from mmrl import clip as c"),
        ("import dassl.utils.files as files", "from mmrl.dassl.utils import files as files"),
        ("def f():\n    import train\n", "def f():\n    from mmrl import train\n"),
        ("import torch, os", "import torch, os"),
        ("from clipper import x", "from clipper import x"),
        ('"""from clip import clip"""', '"""from clip import clip"""'),
    ],
)
def test_imports_of_ours_are_moved_and_nothing_else(written, moved):
    assert build_wheel.below("mmrl", written, NAMES) == moved


@pytest.mark.parametrize("written", ["import os, clip", "import dassl.utils"])
def test_what_would_bind_another_name_is_refused(written):
    with pytest.raises(build_wheel.NotImportable, match=r"a\.py:1: write `from"):
        build_wheel.below("mmrl", written, NAMES, "a.py")


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    """The package as a wheel has it, in a folder of its own."""
    target = tmp_path_factory.mktemp("site") / "mmrl"
    build_wheel.lay_out(PROJECT, target)
    return target


def test_every_file_compiles_and_imports_nothing_bare(package):
    names, files = build_wheel.names_of(PROJECT), list(package.rglob("*.py"))
    assert names >= {"clip", "dassl", "datasets", "train", "sweep", "report", "predict"} and len(files) > 100
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"), str(file))):
            modules = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module] if isinstance(node, ast.ImportFrom) else []
            assert not names & {module.split(".")[0] for module in modules} - {"mmrl"}, file


def test_no_module_of_ours_is_named_in_a_string(package):
    """A call such as import_module("clip.model") is not moved."""
    for file in package.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
                assert not isinstance(node.args[0], ast.Constant), f"{file}:{node.lineno}"


def test_data_and_commands_are_there(package):
    assert (package / "__main__.py").is_file() and (package / "commands").is_dir() and not (package / "mmrl").exists()
    for path in ("configs/protocols/base2new.yaml", "clip/bpe_simple_vocab_16e6.txt.gz", "datasets/embedded"):
        assert (package / path).exists()
    assert not list(package.rglob("*.pyc")) and not (package / "tests").exists()


def test_extras_name_packages_that_scripts_and_messages_name():
    """Every `pip install -e '.[NAME]'` that is written somewhere is an extra of pyproject.toml."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    assert any(re.match(r"torch>=", line) for line in (PROJECT / "requirements.txt").read_text().splitlines())
    inner = {name for lines in extras.values() for line in lines for name in _extras_of(line)}
    files = [path for pattern in ("*.md", "*.py", "*.sh") for path in PROJECT.rglob(pattern)]
    named = {
        name
        for path in files
        if not MADE & set(path.relative_to(PROJECT).parts) and ".venv" not in path.parts
        for found in re.findall(r"""['"]\.\[([a-z,-]+)\]['"]|make_venv ([a-z,-]+)$""", path.read_text("utf-8"), re.M)
        for name in "".join(found).split(",")
    }
    assert {"figures", "test"} <= named and not (named | inner) - set(extras)


def _extras_of(line: str) -> list[str]:
    found = re.match(r"mmrl\[(.*)\]", line)
    return found[1].split(",") if found else []


def test_one_version_and_one_licence():
    project = (PROJECT / "pyproject.toml").read_text(encoding="utf-8")
    version = re.search(r'^__version__ = "(.+)"', (PROJECT / "mmrl/__init__.py").read_text(encoding="utf-8"), re.M)[1]
    assert f"\nversion: {version}\n" in (PROJECT / "CITATION.cff").read_text(encoding="utf-8")
    assert version in (PROJECT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert (PROJECT / "LICENSE").read_text(encoding="utf-8").startswith("MIT License")
    for file in re.findall(r'"([^"]+)"', re.search(r"license-files = \[(.*)\]", project)[1]):
        assert (PROJECT / file).is_file()


def test_every_datum_is_accounted_for():
    """Whoever adds data says whose it is: NOTICE.md names each file of data, or a folder it is in."""
    notice = (PROJECT / "NOTICE.md").read_text(encoding="utf-8")
    named = [f"{path}*" for path in re.findall(r"`([^`\s]+/[^`\s]*)`", notice)]
    folders = [path for path in PROJECT.iterdir() if path.is_dir() and path.name not in MADE and path.name[0] != "."]
    files = [path for folder in folders for path in folder.rglob("*") if path.suffix in DATA]
    names = [path.relative_to(PROJECT).as_posix() for path in files]
    assert len(names) > 100
    assert not [name for name in names if not any(fnmatch(name, pattern) for pattern in named)]


assert "build_wheel" not in sys.modules  # loaded by path: tools/ stays off sys.path
