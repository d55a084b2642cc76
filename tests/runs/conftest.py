"""A stand-in for train.py, and runs of it.

What it does is said by a word in the folder's name, or in a file `fates` beside it: `PART OF THE FOLDER: WORD`.
"""

from pathlib import Path

import pytest

from runs.protocol import PlannedRun

SCRIPT = """
import json, os, signal, sys, time
from pathlib import Path

words = sys.argv[1:]
folder = Path(words[words.index("--output-dir") + 1])
attempts = folder / "attempts.txt"
fate, fates = folder.name, Path(__file__).with_name("fates")
for line in fates.read_text().splitlines() if fates.exists() else ():
    part, word = line.split(": ")
    fate += word if part in str(folder) else ""
first = not attempts.exists()
with attempts.open("a") as file:
    file.write(f"{os.getpid()} {os.environ.get('CUDA_VISIBLE_DEVICES', '-')}\\n")


def end(status, code, **fields):
    (folder / "run.json").write_text(json.dumps({"status": status, "timing": {"seconds": 1.5}, **fields}))
    raise SystemExit(code)


def stopped(signum, frame):
    end("interrupted", 128 + signum)


signal.signal(signal.SIGTERM, stopped)
(folder / "run.json").write_text(json.dumps({"status": "running"}))
if "fails" in fate and first:
    print("first line")
    print("ValueError: there is no image here", file=sys.stderr)
    end("failed", 1, failure="ValueError: there is no image here")
if "killed" in fate and first:
    os.kill(os.getpid(), signal.SIGKILL)
if "waits" in fate and first:
    print("waiting", flush=True)
    (folder / "waiting").write_text(str(os.getpid()))
    while not (folder.parent / "go").exists():
        time.sleep(0.05)
if "used" in fate and first:
    print("error: The folder is in use", file=sys.stderr)
    raise SystemExit(75)
end("complete", 0, metrics={"accuracy": 50.0}, parameters_sha256="0" * 64)
"""


@pytest.fixture
def job():
    """Folder, and folder of the run that is tested -> a run."""
    return lambda folder, model_folder=None: PlannedRun("MMRL", "openmoji", 1, "emoji", folder, model_folder, {})


@pytest.fixture
def command(tmp_path):
    """Return the arguments of `python` for a run of the stand-in, in the folder `tmp_path / "out"`."""
    script = tmp_path / "stand_in.py"
    script.write_text(SCRIPT)
    return lambda run: [str(script), "--output-dir", str(tmp_path / "out" / run.folder)]


@pytest.fixture
def attempts(tmp_path):
    """Folder -> the lines that its attempts left: process id and visible cards."""

    def read(folder: str) -> list[str]:
        file = Path(tmp_path / "out" / folder / "attempts.txt")
        return file.read_text().splitlines() if file.exists() else []

    return read
