"""Check an installed wheel: it hides no other package, and every command works. scripts/test_wheel.sh calls this.

The environment must hold Hugging Face `datasets` and OpenAI's `clip`; the working folder must be empty.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

BIN = Path(sys.executable).parent
NEIGHBOURS = ("datasets", "clip")
TINY = ("OPTIM.MAX_EPOCH", 1, "DATASET.NUM_SHOTS", 1, "DATALOADER.NUM_WORKERS", 1)
DATASET = ("--dataset-config-file", "configs/datasets/caltech101_64.yaml")  # ours: found in the package
METHOD = ("--trainer", "CoOp", "--config-file", "configs/trainers/CoOp/photo.yaml", "--seed", 1)
TRAIN = ("train", *DATASET, *METHOD, "--output-dir")
TOGETHER = """
import clip, datasets
from mmrl import Predictor
from mmrl.trainers.base.method import Method
import mmrl.datasets, mmrl.clip
words = ["a photo of a cat.", "naïve café & 38 smileys"]
assert clip.tokenize is not mmrl.clip.tokenize and clip.tokenize(words).tolist() == mmrl.clip.tokenize(words).tolist()
assert set(clip.available_models()) < set(mmrl.clip.available_models())
assert datasets.Dataset.from_dict({"x": [1, 2]}).map(lambda row: {"y": 2 * row["x"]})["y"] == [2, 4]
import sys
from pathlib import Path
ours = {path.stem for path in Path(mmrl.__path__[0]).iterdir() if (path / "__init__.py").is_file()}
assert {"dassl", "trainers"} <= ours and ours & set(sys.modules) == {"clip", "datasets"}, ours & set(sys.modules)
assert Path(mmrl.__path__[0]) not in map(Path, sys.path)
"""
SPAWN = """
import multiprocessing, sys
if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    from mmrl.__main__ import main
    raise SystemExit(main(sys.argv[1:]))
"""


def run(*words: object, status: int = 0) -> str:
    """Run a command and return its output; stop the check if the exit status is another."""
    words = tuple(map(str, words))
    print("$", Path(words[0]).name, *("..." if "\n" in word else word for word in words[1:]), flush=True)
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == status, f"exit status {done.returncode}, not {status}:\n{done.stdout[-5000:]}"
    return done.stdout


def mmrl(*words: object, status: int = 0) -> str:
    """Run a command of the package."""
    return run(BIN / "mmrl", *words, status=status)


def check_contents(wheel: Path) -> None:
    """Check that there is one package, with all licences, and no bare name in an import or the environment."""
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top.split("-")[0] for top in tops} == {"mmrl"} and len(tops) == 2, tops
    licences = {name.partition(".dist-info/licenses/")[2] for name in names}
    assert {"LICENSE", "NOTICE.md", "clip/README.md", "datasets/embedded/caltech101_64/ATTRIBUTION.md"} <= licences
    code = [name.split("/") for name in names if name.startswith("mmrl/") and name.endswith(".py")]
    bare = {parts[1].removesuffix(".py") for parts in code} - {"__init__", "__main__", *NEIGHBOURS}
    assert len(bare) > 5 and not [name for name in bare if find_spec(name)]
    for name in NEIGHBOURS:
        assert "mmrl" not in find_spec(name).origin


def check_commands() -> None:
    """Check the commands on the embedded images and CLIP."""
    assert "data check" in mmrl("--help")
    mmrl(*TRAIN, "trained", *TINY)
    Path("spawn.py").write_text(SPAWN)
    run(sys.executable, "spawn.py", *TRAIN, "spawned", *TINY)
    mmrl("data", "unpack", "clothing_64", "clothes", "--images", 2)
    first = next(Path("clothes").glob("*/*"))
    assert first.name in mmrl("predict", "trained", first)
    assert "missing" in mmrl("data", "check", "--root", ".", status=1)
    mmrl(
        "sweep",
        "base2new",
        "--methods",
        "ZeroshotCLIP",
        "--datasets",
        "caltech101_64",
        "--seeds",
        1,
        "--output",
        "swept",
    )
    assert (records := list(Path("swept").rglob("run.json"))), "the sweep left no record here"
    shown = mmrl("report", "swept")
    assert "Caltech101 (64 px)" in shown and "CLIP" in shown, records


def main() -> int:
    """Check; an AssertionError says what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheel", type=Path, help="file of the wheel that is installed")
    check_contents(parser.parse_args().wheel)
    run(sys.executable, "-c", TOGETHER)
    check_commands()
    print("The wheel is fine.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
