"""Files that cannot be read have one answer, `safeio.read_back`: the source has no list of exceptions beside it."""

import ast
from collections.abc import Iterator

from tests.test_architecture import MODULES

LOOSE = {"json.load", "json.loads", "torch.load", "torch.jit.load", "np.load", "pickle.load", "pickle.loads"}
"""Readers of libraries: damage makes them raise almost anything."""
READERS = {
    *("gzip.open", "tarfile.open", "zipfile.ZipFile", "np.memmap", "read_text", "read_bytes", "yaml.safe_load"),
    *("read_json", "read_back", "read_record", "load_record", "load_checkpoint", "load_checkpoint_file"),
    *("load_safetensors", "load_newest_checkpoint", "read_split"),
}
"""Calls that read a file, besides `open`: by their whole name or its last part."""
BESIDE = {
    "dassl.config.yaml_files._read": "settings are what people write: the message keeps yaml's line and column",
    "dassl.data.row_pack._mapped": "a cache that another run may remove at any time; each row has a checksum",
    "dassl.utils.phases.seconds_since_start": "a file of the operating system",
    "datasets.own.inspect.look": "an image may be gone since read_image, which says all that is wrong with it",
    "inference.demo.server._asked": "a request, not a file",
    "runs.record.close_abandoned": "the exceptions are those of the lock and of writing",
    "runs.request._plain": "a setting's text, not a file",
    "runs.sweep.process.last_line": "a log, quoted in a message",
    "runs.sweep.warm._listen": "a socket, not a file",
    "safeio.archives.unpack": "tells damage from a full disk, which is no fault of the archive",
    "safeio.images._beginning_of_text": "for the message on a file that is no image",
    "safeio.packed_images.packed_bytes": "one error class, as the reader, which would look at the file for each image",
    "safeio.read_back.parse_json": "the reader itself",
    "safeio.read_back.read_back": "the reader itself",
    "safeio.threads.quota": "a file of the operating system",
    "safeio.unpickle.is_torchscript": "asks for the kind of file; the reader then says what is wrong",
    "trainers.base.plugins.first_claim": "Python's own source; importing it says what is wrong",
}
"""Functions with a list of exceptions around reading, each with its reason."""
LOOSELY = {
    "dassl.engine.distributed": "what the first process sends to the others",
    "inference.demo.server": "a request, not a file",
    "inference.export.hub": "copies what is in memory",
    "inference.export.programs": "the file that was just written",
    "runs.sweep.warm": "a socket, not a file",
    "safeio.arrays": "part of the reader",
    "safeio.read_back": "the reader itself",
}
"""Modules that call a reader of a library themselves, each with its reason."""
PROJECT = {name: tree for name, tree in MODULES.items() if name.split(".")[0] != "tools"}


def errors_for_people() -> set[str]:
    """Return the names of UserError and of all classes below it."""
    classes = [node for tree in PROJECT.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    bases = {node.name: {last_part(base) for base in node.bases} for node in classes}
    found: set[str] = {"UserError"}
    while more := {name for name, above in bases.items() if above & found} - found:
        found |= more
    return found


def last_part(node: ast.expr) -> str:
    return ast.unparse(node).rsplit(".", 1)[-1]


def reads(call: ast.Call, names: set[str]) -> bool:
    """Return whether a call reads a file, by itself or through a function of these names."""
    if ast.unparse(call.func) == "open":
        modes = [*call.args[1:2], *(word.value for word in call.keywords if word.arg == "mode")]
        return not any(set("wxa") & set(ast.unparse(mode)) for mode in modes)
    return bool({ast.unparse(call.func), last_part(call.func)} & names)


def caught(node: ast.AST) -> list[str]:
    """Return the exceptions that a `try` or a `with suppress(...)` catches."""
    if isinstance(node, ast.Try):
        kinds = [handler.type for handler in node.handlers]
        parts = [part for kind in kinds for part in (kind.elts if isinstance(kind, ast.Tuple) else [kind])]
        return ["everything" if part is None else last_part(part) for part in parts]
    if isinstance(node, ast.With):
        calls = [item.context_expr for item in node.items if isinstance(item.context_expr, ast.Call)]
        return [last_part(kind) for call in calls if last_part(call.func) == "suppress" for kind in call.args]
    return []


def lists_of_exceptions(tree: ast.AST, ours: set[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield (function, exceptions) where others than ours are caught around reading.

    A function of the same file that reads counts as a reader.
    """
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    reading = READERS | LOOSE
    local = {f.name for f in functions if any(reads(c, reading) for c in ast.walk(f) if isinstance(c, ast.Call))}
    owner = {node: function.name for function in functions for node in ast.walk(function)}  # inner functions come last
    for node, function in owner.items():
        if others := [kind for kind in caught(node) if kind not in ours]:
            inside = [call for part in (*node.body, *getattr(node, "items", ())) for call in ast.walk(part)]
            if any(isinstance(call, ast.Call) and reads(call, reading | local) for call in inside):
                yield function, others


def test_no_list_of_exceptions_around_reading():
    ours = errors_for_people()
    found = {
        f"{module}.{function}": kinds
        for module, tree in PROJECT.items()
        for function, kinds in lists_of_exceptions(tree, ours)
    }
    extra = {place: kinds for place, kinds in found.items() if place not in BESIDE}
    assert not extra, f"read through safeio.read_back and catch DamagedFile or MissingFile alone: {extra}"
    assert set(BESIDE) <= set(found), "no longer there"


def test_libraries_readers_are_called_by_the_one_reader():
    found = {
        module
        for module, tree in PROJECT.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in LOOSE
    }
    assert found == set(LOOSELY), "read through safeio.read_back: read_json, load_checkpoint_file, read_arrays"


def test_a_list_by_hand_is_found():
    source = """
def one(path):
    try:
        return {}(path)
    except {}:
        return None

def two(path):
    with contextlib.suppress(ValueError):
        return one_of(path)

def one_of(path):
    return json.loads(path.read_text())
"""
    ours = errors_for_people()
    loose = ast.parse(source.format("read_json", "(DamagedFile, KeyError)"))
    assert dict(lists_of_exceptions(loose, ours)) == {"one": ["KeyError"], "two": ["ValueError"]}
    for reader, kinds in (("open", "OSError"), ("torch.load", "Exception"), ("file.read_bytes", "BaseException")):
        assert "one" in dict(lists_of_exceptions(ast.parse(source.format(reader, kinds)), ours))
    good = ast.parse(source.format("read_json", "(DamagedFile, MissingFile)").replace("ValueError", "UserError"))
    assert not dict(lists_of_exceptions(good, ours))
