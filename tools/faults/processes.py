"""Processes that are killed or asked to stop: the run, its loader's, torchrun's, those of other commands."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from runs.record import COMPLETE, RUNNING, read_record
from tools.faults.bench import PATIENCE, TESTING, Bench, Fault, Row, done, expect, wait_for
from tools.faults.tiny import write_images

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
ORPHANS = 90.0
"""Seconds after which no process of a run may be left."""
FOUR_EPOCHS = ("TRAIN.CHECKPOINT_STEPS", 200, "TRAIN.CHECKPOINT_FREQ", 0, "OPTIM.MAX_EPOCH", 4)
"""Settings by which nothing is saved but the ends of epochs: the defaults, with fewer steps than 200 in all."""
PREPARE = """
import sys
from pathlib import Path
from datasets import prepare
entry = {"name": "dtd.tar", "from": "a friend", "take": {"dtd/": ""}, "gives": "images"}
ready = prepare.prepare("DescribableTextures", Path(sys.argv[1]), {"page": "none", "files": [entry]})
raise SystemExit(0 if ready else 1)
"""


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

    row = _placed(until_complete(bench, times, hurt), "continues from its last save")
    return Row("SIGKILL at a random moment", *row)


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


def kill_with_default_steps(bench: Bench, times: int) -> Row:
    """SIGKILL in the last of four epochs, where the default steps between saves never come about."""
    first, lost = bench.new(), 0
    unharmed = bench.finish(first, words=bench.words(first, *FOUR_EPOCHS))
    for _ in range(times):
        output = bench.new()
        words = bench.words(output, *FOUR_EPOCHS)
        bench.half_done(output, epoch=4, words=words)
        before = len(bench.said(output).read_text(encoding="utf-8"))
        lost += bench.finish(output, words=words) != unharmed
        again = bench.said(output).read_text(encoding="utf-8")[before:]
        if repeated := [epoch for epoch in (1, 2, 3) if f"epoch [{epoch}/" in again]:
            raise Fault(f"killed in epoch 4 of 4, with the default steps, it trained epochs {repeated} again")
    return Row("SIGKILL in epoch 4 of 4, default steps between saves", times, "continues in epoch 4", lost)


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
    """Return whether the signal came in time to stop the run; after its end it ends Python alone."""
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


def kill_workers(bench: Bench, times: int) -> Row:
    """SIGKILL to the processes of the data loader."""
    lost = 0
    for _ in range(times):
        output = bench.new()
        process = bench.start(output)
        bench.training(output, process)
        _kill_workers(process)
        expect(bench, output, process, {1}, "data loader process was killed")
        lost += bench.lost(output)
    return Row("SIGKILL to the data loader's processes", times, "saves, says so, exit status 1", lost)


def kill_workers_in_test(bench: Bench, times: int) -> Row:
    """SIGKILL to the processes of the data loader while the trained model is tested, on enough images for a while."""
    images, lost = bench.folder / "more_images", 0
    write_images(images, 200)

    def words(output: Path) -> list[str]:
        few = bench.words(output, "DATASET.NUM_SHOTS", 1, "DATALOADER.TEST.BATCH_SIZE", 2, "DATALOADER.CACHE", False)
        return [str(images) if word == str(bench.images) else word for word in few]

    other = bench.new()
    unharmed = bench.finish(other, words=words(other))
    for _ in range(times):
        output = bench.new()
        process = bench.start(output, words=words(output))
        bench.training(output, process, TESTING)
        _kill_workers(process)
        expect(bench, output, process, {1}, "data loader process was killed")
        lost += bench.finish(output, words=words(output)) != unharmed
    return Row("SIGKILL to them while testing", times, "says so, exit status 1; tests when started again", lost)


def _kill_workers(process: subprocess.Popen) -> None:
    """Kill the children of a process until it ends; the data loader's live for an epoch."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while process.poll() is None:
        for child in children.read_text().split() if children.exists() else ():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)
        time.sleep(0.02)


def torchrun_killed(bench: Bench, times: int) -> Row:
    """SIGKILL to torchrun itself, to the process that writes, and to another one of two."""
    lost, victims = 0, ("torchrun", "0", "1")
    unharmed = bench.finish(bench.new(), launcher=TORCHRUN)
    for number in range(times):
        output, victim = bench.new(), victims[number % len(victims)]
        process = bench.start(output, launcher=TORCHRUN)
        wait_for(lambda output=output: (output / "resume.pth").is_file())
        ranks = ranks_of(output)
        os.kill(process.pid if victim == "torchrun" else ranks[victim], signal.SIGKILL)
        deadline = time.monotonic() + ORPHANS
        while ranks_of(output) and time.monotonic() < deadline:
            time.sleep(0.1)
        if left := ranks_of(output):
            for pid in left.values():
                os.kill(pid, signal.SIGKILL)
            raise Fault(f"{victim} was killed, and {ORPHANS:.0f} s later process {sorted(left)} still trains")
        process.wait(PATIENCE)
        if (status := (read_record(output) or {}).get("status")) in (RUNNING, COMPLETE):
            raise Fault(f"{victim} was killed, and the record says {status}")
        lost += bench.finish(output, launcher=TORCHRUN) != unharmed
    return Row(
        "SIGKILL to torchrun, or to one of its two processes", times, "all end, the record says so; continues", lost
    )


def ranks_of(output: Path) -> dict[str, int]:
    """Process ids, by RANK, of those that torchrun has started for a run; their loaders' processes are none of them."""
    above: dict[int, tuple[str, int]] = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            words = (process / "cmdline").read_bytes().split(b"\0")
            variables = dict(v.split(b"=", 1) for v in (process / "environ").read_bytes().split(b"\0") if b"=" in v)
            if str(output).encode() in words and b"RANK" in variables:
                parent = next(
                    line for line in (process / "status").read_text().splitlines() if line.startswith("PPid:")
                )
                above[int(process.name)] = (variables[b"RANK"].decode(), int(parent.split()[1]))
    return {rank: pid for pid, (rank, parent) in above.items() if parent not in above}


def prepare_killed(bench: Bench, times: int) -> Row:
    """SIGKILL to datasets.prepare while it unpacks."""
    import io
    import tarfile

    root = bench.new() / "data"
    (root / "dtd").mkdir(parents=True)
    content = os.urandom(20_000)
    with tarfile.open(root / "dtd" / "dtd.tar", "w") as archive:
        for i in range(4_000):
            member = tarfile.TarInfo(f"dtd/images/{i % 40}/{i}.jpg")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    command, how = [sys.executable, "-c", PREPARE, str(root)], {"cwd": bench.project, "stdout": subprocess.DEVNULL}
    for _ in range(times):
        process = subprocess.Popen(command, **how, stderr=subprocess.DEVNULL)
        wait_for(lambda process=process: process.poll() is not None or any((root / "dtd").glob(".unpacking-*/*/*/*")))
        time.sleep(bench.dice.uniform(0, 0.2))
        process.kill()
        process.wait(PATIENCE)
    if subprocess.run(command, **how).returncode:
        raise Fault("datasets.prepare does not end well after it was killed")
    left = [path.name for path in (root / "dtd").iterdir() if path.name.startswith(".unpacking-")]
    if left or len(list((root / "dtd" / "images").rglob("*.jpg"))) != 4_000:
        raise Fault(f"datasets.prepare left {left} behind")
    return Row("SIGKILL to `datasets.prepare` while it unpacks", times, "does it again, nothing is left behind", 0)


def report_killed(bench: Bench, times: int) -> Row:
    """SIGKILL to report.py at any time: the page is the old one or the new one."""
    output = bench.new()
    bench.finish(output / "seed1")
    page, command = output / "report.html", [sys.executable, "report.py", str(output), "--format", "html"]
    how = {"cwd": bench.project, "stdout": subprocess.DEVNULL}
    began = time.monotonic()
    subprocess.run(command, check=True, **how)
    seconds, whole = time.monotonic() - began, page.read_text(encoding="utf-8")
    for _ in range(times):
        process = subprocess.Popen(command, **how)
        time.sleep(bench.dice.uniform(seconds / 2, seconds))
        process.kill()
        process.wait(PATIENCE)
        if len(page.read_text(encoding="utf-8")) < len(whole) // 2:
            raise Fault("report.py left half a page")
    return Row("SIGKILL to `report.py`", times, "the page is the old or the new one", 0)


def _placed(counted: tuple[int, int], outcome: str) -> tuple[int, str, int]:
    return counted[0], outcome, counted[1]
