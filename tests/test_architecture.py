"""The shape of the source: who may import whom, no cycles, short files and functions, no forbidden calls, lint."""

import ast
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent
MAY_IMPORT = {  # of ours; a package may always import itself
    "safeio": set(),
    "clip": {"safeio"},
    "dassl": {"safeio"},
    "datasets": {"dassl", "safeio"},
    "trainers": {"clip", "dassl", "safeio"},
    "runs": {"safeio"},
    "reports": {"runs", "safeio"},
    "inference": {"safeio", "clip", "dassl", "datasets", "trainers", "runs"},
    "tools": {"safeio", "clip", "dassl", "datasets", "trainers", "runs", "reports", "inference"},
    "report": {"reports", "runs", "safeio"},
    "sweep": {"runs", "safeio", "train", "dassl"},
    "mmrl": {
        "safeio",
        "clip",
        "dassl",
        "datasets",
        "trainers",
        "runs",
        "reports",
        "inference",
        "train",
        "sweep",
        "report",
        "predict",  # its commands are those scripts
    },
    "train": {"safeio", "clip", "dassl", "datasets", "trainers", "runs"},
    "predict": {"inference", "runs", "safeio"},
}
MODEL_CODE = ("clip", "trainers")
FILE_LINES, FUNCTION_LINES = 500, 60


def module_name(path: Path) -> str:
    parts = path.relative_to(PROJECT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = [f for layer in MAY_IMPORT for f in (*(PROJECT / layer).rglob("*.py"), *PROJECT.glob(f"{layer}.py"))]
MODULES = {module_name(path): ast.parse(path.read_text(encoding="utf-8"), str(path)) for path in sorted(FILES)}


def imports(module: str, nodes) -> set[str]:
    """Modules that the import statements among `nodes` name; a name that is a submodule counts as that."""
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}:{node.lineno}: write imports in full, not relative"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in MODULES else node.module)
    return found


def calls(*layers: str):
    """(place, call) of every call in these packages."""
    for module, tree in MODULES.items():
        if module.split(".")[0] in layers:
            yield from ((f"{module}:{n.lineno}", n) for n in ast.walk(tree) if isinstance(n, ast.Call))


def test_every_layer_has_files():
    assert {name.split(".")[0] for name in MODULES} == set(MAY_IMPORT)


@pytest.mark.parametrize("layer", MAY_IMPORT)
def test_imports_point_downward(layer):
    allowed = {layer} | MAY_IMPORT[layer]
    wrong = [
        f"{module} imports {name}"
        for module, tree in MODULES.items()
        if module.split(".")[0] == layer
        for name in imports(module, ast.walk(tree))
        if name.split(".")[0] in MAY_IMPORT and name.split(".")[0] not in allowed
    ]
    assert not wrong


def test_runs_starts_without_torch():
    code = "import sys, pkgutil, importlib, runs\n"
    code += "[importlib.import_module(m.name) for m in pkgutil.walk_packages(runs.__path__, 'runs.')]\n"
    code += "print(*sorted({'torch', 'clip', 'dassl', 'datasets', 'trainers'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def test_no_import_cycles():
    """Not even by an import within a function or for type checkers alone."""
    graph = {m: imports(m, ast.walk(tree)) & set(MODULES) - {m} for m, tree in MODULES.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"import cycle: {' <- '.join(error.args[1])}")


def test_docstrings_begin_with_a_verb_or_a_noun():
    """Not with a question's word: "Return whether ...", "Rules for ...", and never What, Of, How, Whether."""
    begins = re.compile(r'"""(?:What|Of|How|Whether|Why|Who|Which|When|Where)\b.*')
    python = [f for f in PROJECT.rglob("*.py") if not {".git", ".venv", "output", "build"} & set(f.parts)]
    found = {str(f.relative_to(PROJECT)): begins.findall(f.read_text(encoding="utf-8")) for f in python}
    assert not {name: lines for name, lines in found.items() if lines}


def test_files_are_short():
    lines = {str(f.relative_to(PROJECT)): len(f.read_text(encoding="utf-8").splitlines()) for f in FILES}
    assert not {name: n for name, n in lines.items() if n > FILE_LINES}


def test_functions_are_short():
    lines = {
        f"{module}.{node.name}": node.end_lineno - node.lineno + 1
        for module, tree in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert not {name: n for name, n in lines.items() if n > FUNCTION_LINES}


def test_model_code_moves_to_no_fixed_device_or_type():
    wrong = [p for p, c in calls(*MODEL_CODE) if isinstance(c.func, ast.Attribute) and c.func.attr in ("cuda", "half")]
    assert not wrong


def test_weights_are_never_loaded_loosely():
    wrong = [
        place
        for place, call in calls(*MODEL_CODE)
        for word in call.keywords
        if word.arg == "strict" and ast.unparse(word.value) == "False" and ast.unparse(call.func) != "zip"
    ]
    assert not wrong


def test_model_code_does_not_print():
    assert not [place for place, call in calls(*MODEL_CODE) if ast.unparse(call.func) == "print"]


def test_no_unsafe_loading():
    unsafe = {"pickle.load", "pickle.loads", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "eval", "exec"}
    wrong = []
    for place, call in calls(*MAY_IMPORT):
        name, words = ast.unparse(call.func), {w.arg: ast.unparse(w.value) for w in call.keywords}
        if name in unsafe or name.endswith(".extractall"):
            wrong.append(f"{place} {name}")
        if name == "torch.load" and words.get("weights_only") != "True":
            wrong.append(f"{place} torch.load without weights_only=True")
    assert not wrong


def test_lint():
    command = [sys.executable, "-m", "ruff", "check", "."]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
