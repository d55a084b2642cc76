"""Checkpoints are whole or absent, safe to load, and found again."""

import random

import numpy as np
import pytest
import torch
from torch import nn

from dassl.config import get_cfg_default
from dassl.engine import TrainerBase
from dassl.optim import build_lr_scheduler, build_optimizer
from dassl.utils import load_checkpoint, load_pretrained_weights, resume_from_checkpoint, save_checkpoint
from safeio.unpickle import CheckpointError


def parts(seed=0):
    """A model with optimiser and schedule, some epochs into training."""
    cfg = get_cfg_default().OPTIM
    cfg.NAME, cfg.LR_SCHEDULER, cfg.WARMUP_EPOCH = "adam", "cosine", 1
    torch.manual_seed(seed)
    model = nn.Linear(3, 2)
    optimizer = build_optimizer(model, cfg)
    return model, optimizer, build_lr_scheduler(optimizer, cfg)


def train(model, optimizer, scheduler, epochs):
    for _ in range(epochs):
        optimizer.zero_grad()
        model(torch.ones(1, 3)).square().sum().backward()
        optimizer.step()
        scheduler.step()


def trainer_with(*models):
    trainer = TrainerBase()
    for name, three in models:
        trainer.register_model(name, *three)
    return trainer


def test_content_is_plain(tmp_path, capsys):
    model, optimizer, scheduler = parts()
    train(model, optimizer, scheduler, 2)
    state = {
        "state_dict": nn.DataParallel(model).state_dict(),
        "epoch": np.int64(2),
        "optimizer": optimizer.state_dict(),
        "scheduler": {**scheduler.state_dict(), "successor": scheduler, "plan": [1, (2.0, np.float32(3))]},
        "val_result": np.float64(71.5),
    }
    save_checkpoint(state, tmp_path / "model", is_best=True)
    names = {path.name for path in (tmp_path / "model").iterdir()}
    assert names == {"model.pth.tar-2", "model-best.pth.tar", "checkpoint"}
    assert (tmp_path / "model" / "checkpoint").read_text() == "model.pth.tar-2\n"
    for name in names - {"checkpoint"}:
        saved = torch.load(tmp_path / "model" / name, weights_only=True)
        assert set(saved["state_dict"]) == {"weight", "bias"}
        assert saved["epoch"] == 2 and type(saved["val_result"]) is float
        assert saved["scheduler"] == {**scheduler.state_dict(), "plan": [1, (2.0, 3.0)]}
        assert saved["optimizer"]["param_groups"] == optimizer.state_dict()["param_groups"]
    out = capsys.readouterr().out
    assert f"Checkpoint saved to {tmp_path / 'model' / 'model.pth.tar-2'}" in out.splitlines()
    assert "Not saved, because checkpoints hold no objects: scheduler.successor" in out


def test_a_crash_while_saving_leaves_the_old_state(tmp_path, monkeypatch):
    model, _, _ = parts()
    save_checkpoint({"state_dict": model.state_dict(), "epoch": 1}, tmp_path)

    def half(content, file):
        file.write(b"half a file")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(OSError, match="disk full"):
        save_checkpoint({"state_dict": model.state_dict(), "epoch": 2}, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"model.pth.tar-1", "checkpoint"}
    assert (tmp_path / "checkpoint").read_text() == "model.pth.tar-1\n"


def test_resumed_training_equals_training_in_one_go(tmp_path):
    whole = parts()
    train(*whole, 5)
    first, second = parts(), parts(seed=1)
    train(*first, 2)
    trainer_with(("net", first)).save_model(1, tmp_path)
    assert trainer_with(("net", second)).resume_model_if_exist(tmp_path) == 2
    train(*second, 3)
    assert torch.equal(whole[0].weight, second[0].weight)
    assert whole[1].param_groups[0]["lr"] == second[1].param_groups[0]["lr"]


def test_resume_reads_the_pointer_and_does_without(tmp_path):
    model, optimizer, scheduler = parts()
    for epoch in (2, 10, 9):
        model.weight.data.fill_(epoch)
        save_checkpoint({"state_dict": model.state_dict(), "epoch": epoch}, tmp_path)
    assert resume_from_checkpoint(tmp_path, model) == 9
    (tmp_path / "checkpoint").write_text("model.pth.tar-77\n")
    assert resume_from_checkpoint(tmp_path, model, optimizer, scheduler) == 10
    assert model.weight.eq(10).all()
    with pytest.raises(FileNotFoundError, match="elsewhere"):
        resume_from_checkpoint(tmp_path / "elsewhere", model)


def test_a_scheduler_pickled_by_upstream_is_replaced_by_its_epoch(tmp_path):
    model, optimizer, scheduler = parts()
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(torch.optim.SGD(model.parameters(), 0.1), 10)
    state = {"last_epoch": 1, "base_lrs": [9.0], "successor": cosine}
    content = {"state_dict": model.state_dict(), "epoch": 4, "scheduler": state, "val_result": np.float64(3)}
    torch.save(content, tmp_path / "model.pth.tar-4")
    assert load_checkpoint(tmp_path / "model.pth.tar-4")["val_result"] == 3
    assert resume_from_checkpoint(tmp_path, model, optimizer, scheduler) == 4
    reference = parts()[2]
    for _ in range(4):
        reference.optimizer.step()
        reference.step()
    assert scheduler.get_last_lr() == reference.get_last_lr() == [optimizer.param_groups[0]["lr"]]


def test_models_of_different_epochs_resume_from_the_last_common_one(tmp_path, capsys):
    """As a run leaves them that was killed after saving the one and before saving the other."""
    trainer = trainer_with(("a", parts()), ("b", parts()))
    assert trainer.resume_model_if_exist(tmp_path) == 0
    marked = parts()[0]
    for name, epochs in (("a", (2, 3)), ("b", (2,))):
        assert trainer.resume_model_if_exist(tmp_path) == 0
        for epoch in epochs:
            marked.weight.data.fill_(epoch)
            save_checkpoint({"state_dict": marked.state_dict(), "epoch": epoch}, tmp_path / name)
    assert trainer.resume_model_if_exist(tmp_path) == 2
    assert all(model.weight.eq(2).all() for model in trainer._models.values())
    assert "{'a': 3, 'b': 2}" in capsys.readouterr().out
    (tmp_path / "a" / "model.pth.tar-2").unlink()
    with pytest.raises(FileNotFoundError, match=r"looked for model\.pth\.tar-2 in .*/a"):
        trainer.resume_model_if_exist(tmp_path)


@pytest.mark.parametrize("content", [{"epoch": 1}, {"epoch": 1, "state_dict": {"other": torch.ones(1)}}, {}])
def test_a_checkpoint_of_something_else_is_told(tmp_path, content):
    (tmp_path / "a").mkdir()
    torch.save(content, tmp_path / "a" / "model.pth.tar-1")
    with pytest.raises(CheckpointError, match=r"(?s)checkpoint of a .*another version of this code"):
        trainer_with(("a", parts())).resume_model_if_exist(tmp_path)


def test_load_model_takes_the_best_then_the_newest(tmp_path, capsys):
    saved, loaded = parts(), parts(seed=1)
    saving, loading = trainer_with(("net", saved)), trainer_with(("net", loaded))
    loading.load_model("")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        loading.load_model(tmp_path)
    for epoch in range(3):
        saved[0].weight.data.fill_(epoch)
        saving.save_model(epoch, tmp_path)
    loading.load_model(tmp_path)
    assert loaded[0].weight.eq(2).all()
    saved[0].weight.data.fill_(50)
    saving.save_model(0, tmp_path, val_result=1.0, model_name="model-best.pth.tar")
    saved[0].weight.data.fill_(3)
    saving.save_model(3, tmp_path)
    loading.load_model(tmp_path)
    assert loaded[0].weight.eq(50).all()
    loading.load_model(str(tmp_path), epoch=2)
    assert loaded[0].weight.eq(1).all()
    lines = capsys.readouterr().out.splitlines()
    folder = tmp_path / "net"
    assert [line for line in lines if line.startswith("Loading")] == [
        f'Loading weights to net from "{folder}/model.pth.tar-3" (epoch = 3)',
        f'Loading weights to net from "{folder}/model-best.pth.tar" (epoch = 1)',
        f'Loading weights to net from "{folder}/model.pth.tar-2" (epoch = 2)',
    ]
    with pytest.raises(FileNotFoundError, match=r"model\.pth\.tar-9.*holds.*model\.pth\.tar-3"):
        loading.load_model(tmp_path, epoch=9)


def test_pretrained_weights_keep_what_fits(tmp_path, capsys):
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 5))
    given = {"module.0.weight": torch.ones(2, 3), "1.weight": torch.ones(7, 2), "head.bias": torch.ones(1)}
    for name, content in (("plain.pth", given), ("nested.pth", {"state_dict": given})):
        model[0].weight.data.zero_()
        torch.save(content, tmp_path / name)
        load_pretrained_weights(model, tmp_path / name)
        assert model[0].weight.eq(1).all()
        assert "['1.weight', 'head.bias']" in capsys.readouterr().out
    torch.save({"x": torch.ones(1)}, tmp_path / "none.pth")
    with pytest.warns(UserWarning, match="Nothing in"):
        load_pretrained_weights(model, tmp_path / "none.pth")


def test_load_checkpoint_says_what_is_missing(tmp_path):
    with pytest.raises(ValueError, match="None"):
        load_checkpoint(None)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_checkpoint(tmp_path / "nowhere")


def test_random_state_and_loss_scaler_are_kept(tmp_path):
    def draw():
        return random.random(), np.random.randn(), torch.rand(()).item()

    first, second = (trainer_with(("net", parts())) for _ in range(2))
    first.scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    first.scaler.scale(torch.ones(1))  # the scale is made at the first use
    np.random.randn()  # numpy keeps the second of two normal numbers
    first.save_model(0, tmp_path)
    expected = draw()
    torch.load(tmp_path / "net" / "model.pth.tar-1", weights_only=True)
    second.scaler = torch.amp.GradScaler("cpu")
    second.resume_model_if_exist(tmp_path)
    assert draw() == expected
    second.scaler.scale(torch.ones(1))
    assert second.scaler.get_scale() == 8.0
