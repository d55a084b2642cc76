"""Hurt real training runs and see what is lost: `python -m tools.inject_faults [--kills 30] [--only SCENARIO ...]`.

Each scenario starts `train.py` as a process of its own, does something to it (or to its disk), starts the same command
again until the run is complete, and compares the learned parameters, bit by bit, with those of a run that was left
alone. Prints docs/reliability.md's table. Disks are small tmpfs mounts, which need root; without it those lines say so.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from runs.record import read_record
from tools._fault_bench import DISK, PATIENCE, TESTING, Bench, Fault, done, expect, small_disk, wait_for

BACKWARDS = """
import time, sys
real, began = time.time, time.time()
time.time = lambda: real() if real() < began + {after} else real() - 86400
sys.argv = ["train.py", *sys.argv[1:]]
import train
raise SystemExit(train.main())
"""


class Row(NamedTuple):
    """A line of the table: what was injected, how many times, what the run did, runs that ended differently."""

    injected: str
    times: int
    outcome: str
    lost: int


def until_complete(bench: Bench, times: int, hurt: Callable[[Path, subprocess.Popen], bool]) -> tuple[int, int]:
    """Start and hurt runs, each again and again until it is complete, that many times; times and runs lost.

    Args:
        hurt: does it; False if the run ended before.
    """
    count = lost = 0
    while count < times:
        output = bench.new()
        while count < times and not done(output):
            count += hurt(output, bench.start(output))
        lost += bench.lost(output) if not done(output) else read_record(output)["parameters_sha256"] != bench.wanted
    return count, lost


def kill_any_time(bench: Bench, times: int) -> Row:
    """SIGKILL at a random moment of the process's life; the most part of it after training has begun."""

    def hurt(output: Path, process: subprocess.Popen) -> bool:
        if bench.dice.random() < 0.8:
            bench.training(output, process)
            time.sleep(bench.dice.uniform(0, bench.seconds / 6))
        else:
            time.sleep(bench.dice.uniform(0, bench.seconds))
        process.kill()
        return expect(bench, output, process, {0, -signal.SIGKILL}) != 0

    return Row("SIGKILL at a random moment", *_placed(until_complete(bench, times, hurt), "goes on where it was"))


def kill_while_writing(bench: Bench, times: int) -> Row:
    """SIGKILL while a checkpoint is half written: its temporary file is there."""

    def hurt(output: Path, process: subprocess.Popen) -> bool:
        bench.training(output, process)
        skip, seen = bench.dice.randint(0, 6), set()  # not always the first checkpoint
        while process.poll() is None and len(seen) <= skip:
            seen |= {path.name for path in output.glob(".resume.pth.*.tmp")}
            time.sleep(0.0005)  # writing takes longer; a busy loop would take the run's processor
        process.kill()
        return expect(bench, output, process, {0, -signal.SIGKILL}) != 0

    return Row("SIGKILL while a checkpoint is written", *_placed(until_complete(bench, times, hurt), "the one before"))


def ask_to_stop(bench: Bench, times: int) -> Iterator[Row]:
    """SIGTERM and SIGINT in training: the step is finished, the position saved, the status as shells expect it."""
    for signum, status in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):

        def hurt(output: Path, process: subprocess.Popen, signum: int = signum, status: int = status) -> bool:
            bench.training(output, process)
            time.sleep(bench.dice.uniform(0, bench.seconds / 8))
            process.send_signal(signum)
            return _stopped(bench, output, process, signum, status)

        count, lost = until_complete(bench, times, hurt)
        yield Row(f"{signum.name} in training", count, f"finishes the step, saves, exit status {status}", lost)


def _stopped(bench: Bench, output: Path, process: subprocess.Popen, signum: int, status: int) -> bool:
    """Return whether the signal came in time to stop the run; after its end it only ends Python."""
    process.wait(PATIENCE)
    too_late = {-signum} if done(output) else set()
    return expect(bench, output, process, {0, status} | too_late) == status


def stop_in_test(bench: Bench, times: int) -> Row:
    """SIGTERM while the trained model is tested."""

    def hurt(output: Path, process: subprocess.Popen) -> bool:
        bench.training(output, process, TESTING)
        process.send_signal(signal.SIGTERM)
        return _stopped(bench, output, process, signal.SIGTERM, 143)

    count, lost = until_complete(bench, times, hurt)
    return Row("SIGTERM while testing", count, "ends at once, exit status 143; tests when started again", lost)


def damage(bench: Bench, times: int) -> Row:
    """A bit turned over in, or the end cut off, the newest checkpoint of a killed run."""
    lost = 0
    for number in range(times):
        output = bench.new()
        process = bench.start(output)
        wait_for(lambda output=output: (output / "resume-previous.pth").is_file())
        process.kill()
        process.wait()
        file = next(path for path in (output / "resume.pth", output / "resume-previous.pth") if path.is_file())
        content = bytearray(file.read_bytes())
        place = bench.dice.randrange(len(content) // 4, len(content) * 3 // 4)
        content[place] ^= 1 << bench.dice.randrange(8)
        file.write_bytes(content if number % 2 else content[:place])
        lost += bench.lost(output)
        if "WARNING" not in bench.said(output).read_text(encoding="utf-8"):
            raise Fault(f"{file} was damaged at {place} and nothing was said")
    return Row("bit flipped in, or end cut off, the newest checkpoint", times, "says so, uses the one before", lost)


def two_at_once(bench: Bench, times: int) -> Row:
    """A second process on the folder of a running one."""
    lost = 0
    for _ in range(times):
        output = bench.new()
        first = bench.start(output)
        wait_for(lambda output=output: (output / "run.json").is_file())
        expect(bench, output, bench.start(output), {75}, f"in use by process {first.pid} on")
        expect(bench, output, first, {0})
        lost += read_record(output)["parameters_sha256"] != bench.wanted
    return Row("a second process on the same output folder", times, "names the first and leaves, exit status 75", lost)


def kill_a_worker(bench: Bench, times: int) -> Row:
    """SIGKILL to a process of the data loader."""
    lost = 0
    for _ in range(times):
        output = bench.new()
        process = bench.start(output)
        bench.training(output, process)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        while process.poll() is None:  # workers live for an epoch
            for child in children.read_text().split() if children.exists() else ():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(child), signal.SIGKILL)
            time.sleep(0.02)
        expect(bench, output, process, {1}, "data loader process was killed")
        lost += bench.lost(output)
    return Row("SIGKILL to the data loader's processes", times, "saves, says so, exit status 1", lost)


def clock_backwards(bench: Bench, times: int) -> Row:
    """The clock falls back by a day in training, and files of the run are dated into the future."""
    lost = 0
    for _ in range(times):
        output = bench.new()
        process = bench.start(output, BACKWARDS.format(after=bench.dice.uniform(0, bench.seconds)))
        bench.training(output, process)
        process.kill()
        process.wait()
        for path in output.rglob("*"):
            os.utime(path, (time.time() + 3e7, time.time() + 3e7))
        expect(bench, output, bench.start(output, BACKWARDS.format(after=bench.seconds / 2)), {0})
        lost += read_record(output)["parameters_sha256"] != bench.wanted
    return Row("clock a day back in training, files dated ahead", times, "no effect", lost)


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
    return Row("disk full in training (tmpfs)", times, "ends and says so, exit status 1; goes on", lost)


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


def _placed(counted: tuple[int, int], outcome: str) -> tuple[int, str, int]:
    return counted[0], outcome, counted[1]


SCENARIOS: dict[str, tuple[Callable, int]] = {  # a share of --kills each
    "kill": (kill_any_time, 1),
    "writing": (kill_while_writing, 2),
    "signals": (ask_to_stop, 6),
    "testing": (stop_in_test, 10),
    "damage": (damage, 3),
    "lock": (two_at_once, 10),
    "worker": (kill_a_worker, 6),
    "clock": (clock_backwards, 10),
    "full": (disk_full, 6),
    "readonly": (read_only, 10),
}


def main(arguments: list[str] | None = None) -> int:
    """Inject, print the table; the exit status says whether anything was lost."""
    parser = argparse.ArgumentParser(prog="tools.inject_faults", description=__doc__, allow_abbrev=False)
    parser.add_argument("--kills", type=int, default=30, help="kills at random moments; other faults in proportion")
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, default=list(SCENARIOS))
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    options = parser.parse_args(arguments)
    print("| injected | times | what the run does | runs that ended differently |\n|---|---|---|---|", flush=True)
    lost = 0
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), options.seed)
        for name in options.only:
            scenario, share = SCENARIOS[name]
            try:
                rows = scenario(bench, max(1, options.kills // share))
                for row in [rows] if isinstance(rows, Row) else rows:
                    print(f"| {' | '.join(map(str, row))} |", flush=True)
                    lost += row.lost
            except subprocess.CalledProcessError as error:
                print(f"| {name} | 0 | not possible here: {' '.join(error.cmd[:3])} failed | - |", flush=True)
    return 1 if lost else 0


if __name__ == "__main__":
    raise SystemExit(main())
