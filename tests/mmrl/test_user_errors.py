"""Values, files and folders that cannot be used are a UserError, whichever function they are given to."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

import mmrl
from safeio.images import read_image


@pytest.mark.parametrize("wrong", [None, 3, ""])
def test_paths_are_texts_or_paths(wrong, model):
    with pytest.raises(mmrl.UserError, match=r"run is .*expected a path"):
        mmrl.load(wrong)
    with pytest.raises(mmrl.UserError, match=r"folder is .*expected a path"):
        model.save(wrong)


def test_saving_where_something_is(model, tmp_path):
    saved = model.save(tmp_path / "model")
    for place in (saved, saved / "run.json"):
        with pytest.raises(mmrl.UserError, match=r"is not empty|is a file") as error:
            model.save(place)
        assert isinstance(error.value, FileExistsError)
    with pytest.raises(mmrl.UserError, match="cannot be saved in"):
        model.save(saved / "run.json" / "below")
    with pytest.raises(mmrl.UserError, match=r"is a file.*hub-folder"):
        mmrl.load(saved / "run.json")
    with pytest.raises(mmrl.UserError, match=r"no folder.*hub-folder"):
        mmrl.load(tmp_path / "nowhere")


def test_a_hub_folder_below_is_named(tmp_path):
    (tmp_path / "export" / "hub").mkdir(parents=True)
    (tmp_path / "export" / "hub" / "model.safetensors").write_bytes(b"")
    with pytest.raises(mmrl.UserError, match=r"Runs below it: .*hub"):
        mmrl.load(tmp_path)


@pytest.mark.parametrize("device", ["mps", "meta", "gpu", 1.5])
def test_devices_are_cpu_and_cuda(device, tmp_path):
    for ask in (lambda: mmrl.load(tmp_path, device=device), lambda: mmrl.zero_shot_model(["a", "b"], device=device)):
        with pytest.raises(mmrl.UserError, match="must be cpu or cuda"):
            ask()


@pytest.mark.parametrize("options", [{"topk": True}, {"batch_size": True}])
def test_true_is_no_number(options, model, images):
    with pytest.raises(mmrl.UserError, match="is True; it must be a whole number"):
        model.predict(images[:1], **options)


def test_nothing_is_nothing_to_predict(model):
    for ask in (model.predict, model.predict_proba, model.embed):
        with pytest.raises(mmrl.UserError, match="generator gave nothing"):
            ask(iter(()))
        for empty in (np.zeros((0, 64, 64, 3), np.uint8), torch.zeros(0, 3, 64, 64), []):
            with pytest.raises(mmrl.UserError, match="is empty"):
                ask(empty)


def test_images_in_memory_that_cannot_be_read(model, images):
    file = io.BytesIO()
    Image.fromarray(images[0]).save(file, "PNG")
    cut = Image.open(io.BytesIO(file.getvalue()[:1000]))
    unknown = Image.fromarray(np.full((8, 8), 0.5, np.float32))
    for wrong in (cut, unknown, Image.new("RGB", (0, 5))):
        with pytest.raises(mmrl.UserError, match=r"cannot be read|is empty"):
            model.predict(wrong)


def test_zero_shot_takes_the_options_of_a_prediction(images):
    found = mmrl.zero_shot(images[:3], ["red", "green"], device="cpu", topk=1, batch_size=2)
    assert [len(one.classes) for one in found] == [1, 1, 1]
    with pytest.raises(mmrl.UserError, match="topk is 0"):
        mmrl.zero_shot(images[:1], ["red", "green"], device="cpu", topk=0)


@pytest.mark.parametrize("options", [{"template": None}, {"template": ["{}"]}, {"template": "a"}, {"backbone": 3}])
def test_what_makes_no_zero_shot_model(options):
    with pytest.raises(mmrl.UserError, match=f"The {next(iter(options))}"):
        mmrl.zero_shot_model(["red", "green"], device="cpu", **options)


def test_one_plugin_is_a_path_of_its_own(tmp_path):
    with pytest.raises(mmrl.UserError, match=r"no\.py: there is no Python file"):
        mmrl.load(tmp_path, plugins=str(tmp_path / "no.py"))


def test_a_large_image_has_a_remedy(tmp_path, monkeypatch):
    Image.new("RGB", (64, 64)).save(tmp_path / "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(mmrl.UserError, match="make it smaller"):
        read_image(tmp_path / "large.png")


def test_paths_that_are_too_long(model):
    for ask in (model.predict, model.save, mmrl.load):
        with pytest.raises(mmrl.UserError, match=r"aaa.*[tT]oo long"):
            ask("a" * 5000)


def test_plugins_are_paths(tmp_path):
    for wrong in (3, [3], None):
        with pytest.raises(mmrl.UserError, match="plugins is"):
            mmrl.load(tmp_path, plugins=wrong)


def test_tensors_without_plain_numbers(model):
    for wrong in (torch.zeros(3, 8, 8).to_sparse(), torch.zeros(3, 8, 8, device="meta")):
        with pytest.raises(mmrl.UserError, match="A tensor is no image"):
            model.predict(wrong)


def test_a_backbone_is_no_flag():
    with pytest.raises(mmrl.UserError, match="no CLIP called"):
        mmrl.zero_shot_model(["red", "green"], "--x", device="cpu")
