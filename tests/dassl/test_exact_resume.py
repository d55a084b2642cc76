"""A training that is cut off anywhere and started again ends with the same parameters, bit for bit."""

import multiprocessing
import os
import random
import signal
from itertools import islice
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dassl.data.loader import WorkerLost
from dassl.engine import build_trainer
from dassl.engine import resume as resume_module
from dassl.engine.resume import NAME, PREVIOUS, restore_position
from dassl.engine.stop import Stopped
from dassl.utils import load_checkpoint, set_random_seed
from safeio.unpickle import CheckpointError
from tools.faults.damage import positions, with_other

PROJECT = Path(__file__).parent.parent.parent


class Killed(BaseException):
    """Nothing handles it, as nothing handles SIGKILL."""


@pytest.fixture
def cfg(tiny_cfg, tmp_path):
    tiny_cfg.OPTIM.MAX_EPOCH = 4
    tiny_cfg.TRAIN.CHECKPOINT_STEPS = 2
    tiny_cfg.INPUT.TRANSFORMS = ("random_resized_crop", "random_flip")  # draws of the augmentation count too
    tiny_cfg.TEST.NO_TEST = True
    return tiny_cfg


def start(cfg, folder, workers=0):
    """A new process in all that matters: seeded, built from nothing."""
    cfg = cfg.clone()
    cfg.OUTPUT_DIR, cfg.DATALOADER.NUM_WORKERS = str(folder), workers
    set_random_seed(5)
    return build_trainer(cfg)


def parameters(trainer) -> dict[str, torch.Tensor]:
    return {
        f"{name}.{key}": value.clone()
        for name in trainer.get_model_names()
        for key, value in trainer._models[name].state_dict().items()
    }


def killed_after(trainer, steps: int) -> bool:
    """Train and kill after some steps; whether it came to that."""
    step, done = trainer.forward_backward, 0

    def counted(*batch):
        nonlocal done
        result = step(*batch)
        done += 1
        if done == steps:
            raise Killed
        return result

    trainer.forward_backward = counted
    try:
        trainer.train()
    except Killed:
        return True
    return False


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("seed", range(3))
def test_killed_again_and_again(cfg, tmp_path, seed, workers):
    whole = start(cfg, tmp_path / "whole", workers)
    whole.train()
    dice, attempts = random.Random(seed), 0
    while killed_after(trainer := start(cfg, tmp_path / "cut", workers), dice.randint(2, 5)):
        attempts += 1
    assert attempts > 1
    for name, value in parameters(trainer).items():
        assert torch.equal(value, parameters(whole)[name]), name
    assert not list((tmp_path / "cut").glob("resume*"))


@pytest.mark.parametrize("damage", ["cut", "bit"])
def test_a_damaged_file_is_said_and_the_one_before_it_used(cfg, tmp_path, damage, capsys):
    whole = start(cfg, tmp_path / "whole")
    whole.train()
    assert killed_after(start(cfg, tmp_path / "cut"), 7)
    file = tmp_path / "cut" / NAME
    assert (tmp_path / "cut" / PREVIOUS).is_file()
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content if damage == "bit" else content[: len(content) // 2])
    again = start(cfg, tmp_path / "cut")
    again.train()
    shown = capsys.readouterr()
    assert "WARNING" in shown.err and NAME in shown.err and "Resumed in epoch" in shown.out
    for name, value in parameters(again).items():
        assert torch.equal(value, parameters(whole)[name]), name


def test_a_damaged_file_does_not_push_out_the_good_one(cfg, tmp_path):
    """Killed again at the first save after it: the position before is still there."""
    whole = start(cfg, tmp_path / "whole")
    whole.train()
    assert killed_after(start(cfg, tmp_path / "cut"), 7)
    (tmp_path / "cut" / NAME).write_bytes(b"damaged")
    good = (tmp_path / "cut" / PREVIOUS).read_bytes()
    again = start(cfg, tmp_path / "cut")

    def killed(content, path):
        raise Killed

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(resume_module, "save_plain", killed)
        again.train()
    assert (tmp_path / "cut" / PREVIOUS).read_bytes() == good
    last = start(cfg, tmp_path / "cut")
    last.train()
    for name, value in parameters(last).items():
        assert torch.equal(value, parameters(whole)[name]), name


def test_a_damaged_best_model_does_not_stop_a_whole_position(cfg, tmp_path, capsys):
    cfg.TEST.NO_TEST, cfg.TEST.FINAL_MODEL = False, "best_val"
    start(cfg, tmp_path / "whole").train()
    assert killed_after(start(cfg, tmp_path / "cut"), 7)
    best = tmp_path / "cut" / "prompt_learner" / "model-best.pth.tar"
    best.write_bytes(best.read_bytes()[:-300])
    capsys.readouterr()
    assert killed_after(again := start(cfg, tmp_path / "cut"), 3)
    shown = capsys.readouterr()
    assert "WARNING" in shown.err and best.name in shown.err and "The best model is now chosen" in shown.err
    assert "Resumed in epoch" in shown.out and "Nothing to resume" not in shown.out
    (last := start(cfg, tmp_path / "cut")).train()  # finds the best model whole, and still knows
    assert len(again.notices) == 1 and best.name in again.notices[0]
    assert load_checkpoint(best)["notices"] == last.notices == again.notices
    files = [tmp_path / name / "prompt_learner" / "model.pth.tar-4" for name in ("cut", "whole")]
    last, unharmed = (load_checkpoint(file)["state_dict"] for file in files)
    assert all(torch.equal(value, unharmed[name]) for name, value in last.items())


def test_checkpoints_of_which_none_is_whole_stop_a_run_without_a_position(cfg, tmp_path):
    start(cfg, tmp_path / "run").train()
    (file,) = (tmp_path / "run" / "prompt_learner").glob("model.pth.tar-*")
    file.write_bytes(file.read_bytes()[:-300])
    with pytest.raises(CheckpointError, match=r"None of the checkpoints .* trains anew"):
        start(cfg, tmp_path / "run").train()


def test_fewer_images_than_when_it_began_are_told(cfg, tmp_path):
    assert killed_after(start(cfg, tmp_path / "cut"), 3)
    again = start(cfg, tmp_path / "cut")
    again.train_loader_x = list(islice(again.train_loader_x, 1))
    with pytest.raises(CheckpointError, match="2 batches into an epoch that has fewer now"):
        again.train()


LEAVES = st.none() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=3) | st.just(torch.ones(2))
ANYTHING = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data(), ANYTHING)
def test_positions_of_any_content_are_used_or_told(cfg, tmp_path, data, value):
    """Whole files, with the right checksums, that hold something else."""
    folder = tmp_path / "cut"
    if not folder.exists():
        assert killed_after(start(cfg, folder), 5)
        (folder / PREVIOUS).unlink()
        (folder / "good").write_bytes((folder / NAME).read_bytes())
    content = torch.load(folder / "good", weights_only=True)
    torch.save(with_other(content, data.draw(st.sampled_from(list(positions(content)))), value), folder / NAME)
    trainer = start(cfg, folder)
    try:
        position = restore_position(trainer, folder, 0)
        assert position is None or position.epoch >= 0
    except CheckpointError as error:
        assert "another version" in str(error)


def test_killed_while_writing(cfg, tmp_path, monkeypatch):
    whole = start(cfg, tmp_path / "whole")
    whole.train()
    write, calls = torch.save, 0

    def half_written(content, file):
        nonlocal calls
        calls += 1
        if calls == 3:
            file.write(b"half a checkpoint")
            raise Killed
        write(content, file)

    monkeypatch.setattr(torch, "save", half_written)
    with pytest.raises(Killed):
        start(cfg, tmp_path / "cut").train()
    again = start(cfg, tmp_path / "cut")
    again.train()
    for name, value in parameters(again).items():
        assert torch.equal(value, parameters(whole)[name]), name


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_signals_finish_the_step_and_save(cfg, tmp_path, signum, capsys):
    cfg.TRAIN.CHECKPOINT_STEPS = 0
    whole = start(cfg, tmp_path / "whole")
    whole.train()
    first = start(cfg, tmp_path / "cut")
    step, done = first.forward_backward, []

    def signalled(*batch):
        result = step(*batch)
        done.append(1)
        if len(done) == 3:
            os.kill(os.getpid(), signum)
        return result

    first.forward_backward = signalled
    handler = signal.getsignal(signum)
    with pytest.raises(Stopped) as stopped:
        first.train()
    assert stopped.value.code == 128 + signum and len(done) == 3
    assert signal.getsignal(signum) is handler
    again = start(cfg, tmp_path / "cut")
    again.train()
    assert "after 3 batches" in capsys.readouterr().out
    for name, value in parameters(again).items():
        assert torch.equal(value, parameters(whole)[name]), name


def test_a_full_disk_keeps_what_was_there(cfg, tmp_path, monkeypatch):
    trainer = start(cfg, tmp_path / "cut")
    assert killed_after(trainer, 5)
    before = (tmp_path / "cut" / NAME).read_bytes()

    def full(content, path):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(resume_module, "save_plain", full)
    with pytest.raises(OSError, match="No space left"):
        start(cfg, tmp_path / "cut").train()
    assert before in [path.read_bytes() for path in (tmp_path / "cut").glob("resume*")]


class Dying:
    """A loader that breaks off after some batches."""

    def __init__(self, loader, batches: int, error: Exception):
        self.loader, self.batches, self.error = loader, batches, error

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self):
        yield from islice(self.loader, self.batches)
        raise self.error


@pytest.mark.parametrize("batches", [0, 2])
def test_a_lost_worker_loses_nothing_else(cfg, tmp_path, batches):
    cfg.TRAIN.CHECKPOINT_STEPS = 0
    whole = start(cfg, tmp_path / "whole")
    whole.train()
    cut = start(cfg, tmp_path / "cut")
    cut.train_loader_x = Dying(cut.train_loader_x, batches, WorkerLost("killed"))
    with pytest.raises(WorkerLost, match="killed"):
        cut.train()
    assert (tmp_path / "cut" / NAME).is_file()
    again = start(cfg, tmp_path / "cut")
    again.train()
    for name, value in parameters(again).items():
        assert torch.equal(value, parameters(whole)[name]), name


def test_real_workers_killed_in_a_step(cfg, tmp_path):
    cfg.TRAIN.CHECKPOINT_STEPS = 1
    whole = start(cfg, tmp_path / "whole", workers=2)
    whole.train()
    cut = start(cfg, tmp_path / "cut", workers=2)
    step, done = cut.forward_backward, []

    def murderous(*batch):
        done.append(step(*batch))
        if len(done) == 6:
            for process in multiprocessing.active_children():
                process.kill()
                process.join()
        return done[-1]

    cut.forward_backward = murderous
    with pytest.raises(WorkerLost, match=r"DATALOADER\.NUM_WORKERS"):
        cut.train()
    again = start(cfg, tmp_path / "cut", workers=2)
    again.train()
    for name, value in parameters(again).items():
        assert torch.equal(value, parameters(whole)[name]), name
