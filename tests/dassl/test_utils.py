"""Files, logs, meters, random state, archives, layers."""

import io
import json
import platform
import random
import sys

import numpy as np
import pytest
import torch
from torch import nn

from dassl import utils
from safeio.terminal import plain_streams


def test_json_is_written_like_the_published_splits(tmp_path):
    split = {"train": [["a/b.jpg", 0, "caf\u00e9"]], "val": []}
    path = tmp_path / "new" / "split.json"
    utils.write_json(split, path)
    assert path.read_bytes() == json.dumps(split, indent=4, separators=(",", ": ")).encode("ascii")
    assert utils.read_json(path) == split
    path.write_text("{")
    with pytest.raises(ValueError, match=r"split\.json .*is not valid JSON"):
        utils.read_json(path)


def test_folders_and_files(tmp_path):
    utils.mkdir_if_missing(tmp_path / "a" / "b")
    utils.mkdir_if_missing(str(tmp_path / "a" / "b"))
    for name in (".hidden", "Zoo", "ant"):
        (tmp_path / "a" / name).touch()
    assert utils.listdir_nohidden(tmp_path / "a", sort=True) == ["Zoo", "ant", "b"]
    assert set(utils.listdir_nohidden(tmp_path / "a")) == {"Zoo", "ant", "b"}
    assert utils.check_isfile(tmp_path / "a" / "ant")
    with pytest.warns(UserWarning, match="nowhere"):
        assert not utils.check_isfile(tmp_path / "nowhere")
    assert utils.tolist_if_not(3) == [3] and utils.tolist_if_not([3]) == [3]


def test_stdout_is_teed_and_an_old_log_is_kept(tmp_path, capsys):
    utils.setup_logger(None)
    print("before")
    utils.setup_logger(tmp_path / "run")
    print("first")
    assert (tmp_path / "run" / "log.txt").read_text() == "first\n"  # without waiting for the end
    utils.setup_logger(str(tmp_path / "run"))
    print("second")
    utils.setup_logger(tmp_path / "own.log")
    print("third")
    sys.stdout.flush()
    assert capsys.readouterr().out == "before\nfirst\nsecond\nthird\n"
    assert (tmp_path / "run" / "log.txt").read_text() == "first\n"
    (stamped,) = (tmp_path / "run").glob("log.txt-????-??-??-??-??-??")
    assert stamped.read_text() == "second\n"
    assert (tmp_path / "own.log").read_text() == "third\n"


def test_meters():
    meter = utils.AverageMeter()
    meter.update(2.0)
    meter.update(torch.tensor([5.0]), n=3)
    assert (meter.val, meter.avg, meter.sum, meter.count) == (5.0, 4.25, 17.0, 4)
    smooth = utils.AverageMeter(ema=True)
    smooth.update(1.0)
    smooth.update(2.0)
    assert smooth.avg == pytest.approx(1.1)
    metrics = utils.MetricMeter()
    metrics.update({"loss": 1.5, "acc": torch.tensor(50.0)})
    metrics.update({"loss": 0.5, "acc": 100})
    metrics.update(None)
    assert str(metrics) == "loss 0.5000 (1.0000) acc 100.0000 (75.0000)"
    with pytest.raises(TypeError):
        metrics.update([1])


def test_seed_reaches_every_generator():
    draws = []
    for seed in (4, 4, 5):
        utils.set_random_seed(seed)
        draws.append((random.random(), np.random.rand(), torch.rand(()).item()))
    assert draws[0] == draws[1] and all(a != b for a, b in zip(draws[1], draws[2], strict=True))


def test_environment_report_draws_no_random_number():
    utils.set_random_seed(1)
    before = random.getstate(), torch.get_rng_state()
    text = utils.collect_env_info()
    assert f"torch: {torch.__version__.split('+')[0]}" in text and f"python: {platform.python_version()}" in text
    assert random.getstate() == before[0] and torch.equal(torch.get_rng_state(), before[1])


def test_gdrive_needs_gdown(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gdown", None)
    with pytest.raises(ImportError, match="pip install gdown"):
        utils.download_url("https://drive.google.com/x", tmp_path / "a.zip", from_gdrive=True)


class TestLayers:
    @pytest.fixture
    def model(self):
        return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Linear(4, 2)).eval()

    def test_open_and_count(self, model):
        utils.open_specified_layers(model, "2")
        assert [p.requires_grad for p in model.parameters()] == [False] * 4 + [True] * 2
        assert model[2].training and not model[1].training
        utils.open_all_layers(model)
        assert all(p.requires_grad for p in model.parameters()) and model[1].training
        with pytest.raises(ValueError, match="head"):
            utils.open_specified_layers(model, ["head"])
        assert utils.count_num_param(model) == 16 + 8 + 10
        assert utils.count_num_param(params=model[2].parameters()) == 10
        assert utils.count_num_param(params=[{"params": model[0].parameters()}, model[2].bias]) == 18
        with pytest.raises(ValueError):
            utils.count_num_param()

    @pytest.mark.parametrize("kind", ["normal", "xavier", "kaiming", "orthogonal"])
    def test_initialisation(self, model, kind):
        before = model[0].weight.clone()
        utils.init_network_weights(model, init_type=kind)
        assert not torch.equal(model[0].weight, before)
        assert model[1].weight.eq(1).all() and all(model[i].bias.eq(0).all() for i in range(3))
        with pytest.raises(ValueError, match="kaiming"):
            utils.init_network_weights(model, init_type="kaimin")


def test_any_text_can_be_printed(tmp_path, monkeypatch):
    """On a terminal that knows no such letters, and with names of files that are no UTF-8."""
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", terminal)
    with plain_streams():
        utils.setup_logger(str(tmp_path))
        try:
            print("caf\u00e9 bad\udce9 \x1b[31mred")
        finally:
            sys.stdout.close()
            sys.stdout = sys.stdout.console
    terminal.flush()
    assert terminal.buffer.getvalue() == b"caf\\xe9 bad\\udce9 \\x1b[31mred\n"
    assert (tmp_path / "log.txt").read_text(encoding="utf-8") == "caf\u00e9 bad\\udce9 \\x1b[31mred\n"
