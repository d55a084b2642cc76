"""Files that are damaged, and disks that take no more."""

from __future__ import annotations

import contextlib
import inspect
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tools.faults import failing_file
from tools.faults.bench import DISK, PATIENCE, Bench, Fault, Row, expect, small_disk, wait_for
from tools.faults.damage import damages

NTH_WRITE = """
import builtins, sys
import safeio.atomic
FailingFile.left, FailingFile.number = {nth}, {number}
safeio.atomic.open = lambda *words, **more: FailingFile(builtins.open(*words, **more))
sys.argv = ["train.py", *sys.argv[1:]]
import train
raise SystemExit(train.main())
"""
ERRORS = (28, 5, 122)
"""ENOSPC, EIO, EDQUOT."""
READ_BACK = ("resume.pth", "run.json", "curve.json", "prompt_learner/checkpoint", ".lock.json", "resume-previous.pth")
CHECKPOINTS = ("prompt_learner/model.pth.tar-2",)


def damage(bench: Bench, times: int) -> Iterator[Row]:
    """Each file that a run reads back, damaged in a way that is drawn."""
    killed = bench.new()
    bench.half_done(killed)
    present = [name for name in (*READ_BACK, *CHECKPOINTS) if (killed / name).is_file()]
    lost = named = 0
    for number in range(times):
        file = present[number % len(present)]
        output = bench.new()
        shutil.copytree(killed, output)
        way, hurt = bench.dice.choice(list(damages((output / file).read_bytes())))
        lost, named = _damaged(bench, output, file, way, hurt, lost, named)
    yield Row(f"one of {len(present)} files of a run damaged", times, f"continues (names it and ends: {named})", lost)
    lost = named = 0
    newest = next(name for name in present if name.startswith("resume"))  # the kill may come between two renames
    ends = [pair for pair in damages((killed / newest).read_bytes()) if pair[0].startswith("directory")]
    flags = 2  # of the last entry: damage that readers of zip archives answer in the oddest ways
    for way, hurt in [ends[flags], *bench.dice.sample(ends, max(2, times // 3) - 1)]:
        output = bench.new()
        shutil.copytree(killed, output)
        lost, named = _damaged(bench, output, newest, way, hurt, lost, named)
    yield Row("a byte of the zip directory of the newest position", max(2, times // 3), "uses the one before", lost)


def _damaged(bench: Bench, output: Path, file: str, way: str, hurt, lost: int, named: int) -> tuple[int, int]:
    """Damage a file, start the run, and count: it ends as it should, or names the file."""
    hurt(output / file)
    try:
        return lost + bench.lost(output), named
    except Fault:
        said = bench.said(output).read_text(encoding="utf-8")
        if "Traceback" in said or Path(file).name not in said:
            raise Fault(f"{file}: {way}: {said[-1500:]}") from None
        return lost, named + 1


def nth_write(bench: Bench, times: int) -> Row:
    """The n-th write of all fails, for n from the first to beyond those of a checkpoint."""
    lost = 0
    for number in range(times):
        output = bench.new()
        code = inspect.getsource(failing_file) + NTH_WRITE.format(
            nth=1 + number * 7, number=ERRORS[number % len(ERRORS)]
        )
        expect(bench, output, bench.start(output, code), {1, 2}, "error: ")
        if left := list(output.rglob("*.tmp")):
            raise Fault(f"a write failed, and {left} is left behind")
        lost += bench.lost(output)
    return Row("the n-th write fails (ENOSPC, EIO, EDQUOT)", times, "says so, nothing half written; continues", lost)


def disk_full(bench: Bench, times: int) -> Row:
    """Another program fills the disk in training."""
    lost = 0
    for _ in range(times):
        output = bench.new()
        with small_disk(bench) as place:
            output = place / output.name
            process = bench.start(output)
            wait_for(lambda output=output: (output / "resume.pth").is_file())
            with contextlib.suppress(OSError), open(place / "filler", "wb", buffering=0) as filler:
                while True:
                    filler.write(bytes(4096))
            expect(bench, output, process, {1}, "No space left on device")
            (place / "filler").unlink()
            lost += bench.lost(output)
    return Row("disk full in training (tmpfs)", times, "ends and says so, exit status 1; continues", lost)


def read_only(bench: Bench, times: int) -> Row:
    """The output's file system is read-only: before the start, and from the middle of training on."""
    lost = 0
    for _ in range(times):
        output = bench.new()
        with small_disk(bench) as place:
            output = place / output.name
            mode = ["mount", "-o", "remount,{},size=" + DISK, str(place)]
            subprocess.run([word.format("ro") for word in mode], check=True)
            expect(bench, output, bench.start(output), {2}, "error: ", "Read-only file system", str(place))
            subprocess.run([word.format("rw") for word in mode], check=True)
            process = bench.start(output)
            wait_for(lambda output=output: (output / "resume.pth").is_file())
            # Files open for writing (the log) keep a mount from turning read-only, so the run has to stop first.
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)
            subprocess.run([word.format("ro") for word in mode], check=True)
            expect(bench, output, bench.start(output), {2}, "Read-only file system")
            subprocess.run([word.format("rw") for word in mode], check=True)
            lost += bench.lost(output)
    return Row("output read-only, at the start and when continuing", 2 * times, "says so, exit status 2", lost)
