"""The Python interface: training on folders and arrays, loading, new classes, zero-shot, wrong input."""

from __future__ import annotations

import gc
import io
import pickle
import socket
import subprocess
import sys
import urllib.error
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import mmrl
from clip.pretrained import embedded

BACKBONE = next(iter(embedded()))
PROJECT = Path(__file__).parents[2]


def test_importing_it_loads_nothing_heavy():
    code = "import sys, mmrl; print(*{'torch', 'numpy', 'sklearn', 'pandas'} & set(sys.modules)); print(dir(mmrl))"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("\n") and "'fit'" in done.stdout, done.stderr


def test_every_public_name_is_there_and_documented():
    for name in mmrl.__all__:
        assert name == "__version__" or getattr(mmrl, name).__doc__
    with pytest.raises(AttributeError, match=r"it has .*fit"):
        _ = mmrl.fitt


def test_arrays_images_tensors_paths_and_generators_agree(model, images, folder):
    array = model.predict_proba(images[:3])
    pil = [Image.fromarray(image) for image in images[:3]]
    tensor = torch.from_numpy(images[:3]).movedim(-1, 1)
    files = [folder / "red" / f"{index}.png" for index in range(3)]
    for other in (
        pil,
        tensor,
        tensor / 255,
        files,
        list(map(str, files)),
        (image for image in pil),
        images[:3] / 255.0,
    ):
        assert np.allclose(model.predict_proba(other), array, atol=1e-5)
    assert np.allclose(array.sum(axis=1), 1) and array.shape == (3, 2)
    assert len(model.predict(pil[0])) == len(model.predict(images[0])) == 1
    assert len(model.predict(folder)) == len(images)


def test_it_learned_what_it_was_shown(model, images, labels, folder):
    assert model.classes == ("green", "red")
    assert model.evaluate(images, labels).accuracy == model.evaluate(folder).accuracy == 100
    found = model.evaluate(images[:13], labels[:13])
    assert found.per_class == {"red": 100, "green": 100} and found.confusion.sum() == 13 and "13 images" in repr(found)


def test_features_have_unit_length(model, images):
    features = model.embed(images)
    assert features.shape[0] == len(images) and np.allclose(np.linalg.norm(features, axis=1), 1, atol=1e-5)


def test_results_can_be_read_and_tabulated(model, images):
    pytest.importorskip("pandas")
    found = model.predict([*images[:2]], topk=1)
    assert found[0].label == "red" and 0.5 < found[0].probability <= 1
    assert "2 predictions" in repr(found) and "red" in repr(found[0]) and BACKBONE in repr(model)
    table = found.to_pandas()
    assert list(table["class"]) == ["red", "red"] and table["probability"].between(0.5, 1).all()
    assert model.evaluate(images, ["red"] * len(images)).to_pandas().loc["red", "green"] == 12


def test_a_saved_model_is_the_same_and_takes_new_classes(model, images, tmp_path):
    model.save(tmp_path / "kept")
    with pytest.raises(FileExistsError, match="not empty"):
        model.save(tmp_path / "kept")
    again = mmrl.load(tmp_path / "kept", device="cpu")
    assert np.allclose(again.predict_proba(images), model.predict_proba(images))
    again.classes = ["red", "blue", "green"]
    assert again.seen == (True, False, True) and again.predict_proba(images).shape == (len(images), 3)
    with pytest.raises(mmrl.UserError, match="same in words"):
        again.classes = ["red", "Red"]
    assert again.classes == ("red", "blue", "green")  # a wrong list changes nothing


def test_a_folder_is_split_for_testing(folder, tmp_path):
    model = mmrl.fit(folder, method="CoOp", backbone=BACKBONE, epochs=1, shots=2, output=tmp_path, device="cpu")
    assert 0 <= model.run.record["metrics"]["accuracy"] <= 100 and model.run.record["shots"] == 2


def test_a_temporary_run_goes_with_its_model_and_is_kept_by_saving(images, labels, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    model = mmrl.fit(images, labels, method="CoOp", backbone=BACKBONE, epochs=1, shots=1, device="cpu")
    copy, place = pickle.loads(pickle.dumps(model)), model.run.folder
    assert place.is_dir() and place.parent == tmp_path
    model.save(tmp_path / "kept")
    del model
    gc.collect()
    assert not place.exists() and (tmp_path / "kept" / "run.json").is_file()
    assert np.allclose(
        copy.predict_proba(images[:2]), mmrl.load(tmp_path / "kept", device="cpu").predict_proba(images[:2])
    )
    with pytest.raises(mmrl.UserError, match="is gone"):
        copy.save(tmp_path / "again")


def test_zero_shot_needs_no_run(images):
    model = mmrl.zero_shot_model(["red", "green"], backbone=BACKBONE, device="cpu")
    assert model.classes == ("red", "green") and not model.run.state_dict
    found = mmrl.zero_shot(images[:2], ["red", "green"], backbone=BACKBONE, device="cpu")
    assert [one.classes for one in found] == [one.classes for one in model.predict(images[:2])]


def test_zero_shot_needs_no_choice_of_weights(images):
    """Without a name of a CLIP the photographs' one inside the package answers, in any spelling of it."""
    found = mmrl.zero_shot(images[:2], ["grand piano", "wild cat"], device="cpu")
    model = mmrl.zero_shot_model(["grand piano", "wild cat"], backbone="PHOTO-vit-8", device="cpu")
    assert np.allclose([one.probabilities[0] for one in found], model.predict_proba(images[:2]).max(axis=1), atol=1e-6)
    with pytest.raises(mmrl.UserError, match="stands for the class name"):
        mmrl.zero_shot_model(["cat", "dog"], template="a photo")
    with pytest.raises(mmrl.UserError, match="Did you mean ViT-B/16"):
        mmrl.zero_shot_model(["cat", "dog"], backbone="ViT-B/17", device="cpu")


def test_methods_and_results(model):
    pytest.importorskip("pandas")
    assert "CVPR 2025" in mmrl.methods()["MMRL"]
    table = mmrl.results(model.run.folder)
    assert list(table["method"]) == ["CoOp"] and list(table["status"]) == ["complete"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("nope.png", "nope.png"),
        ([], "empty"),
        (3, "int is no image"),
        (b"bytes", "bytes is no image"),
        ([None], "NoneType is no image"),
        (np.zeros((4, 4, 7)), r"\(4, 4, 7\)"),
        (np.full((4, 4, 3), 300.0), "0 to 1"),
        (np.full((4, 4, 3), np.nan), "0 to 1"),
        (np.zeros((0, 4, 3), np.uint8), r"\(0, 4, 3\)"),
        (torch.zeros(4, 4), r"\(4, 4\)"),
        (iter(()), "nothing"),
        ("", "empty"),
        ({"a": "b.png"}, "dict is no image"),
        (io.BytesIO(b""), "open file"),
        (np.zeros((3, 8, 8), np.uint8), "channels come last"),
    ],
)
def test_what_is_no_image_is_refused(wrong, said, model):
    with pytest.raises(mmrl.UserError, match=said):
        model.predict(wrong)


def test_odd_images_are_images(model, images, folder):
    file = str(folder / "red" / "0.png")
    tensor = torch.from_numpy(images[:1]).movedim(-1, 1) / 255
    deep = Image.fromarray(images[0][..., 0].astype(np.uint16) * 256)
    grey = Image.fromarray(images[0][..., 0])
    wanted = model.predict_proba(images[:1])
    assert np.allclose(model.predict_proba(tensor.bfloat16()), wanted, atol=0.05)
    assert np.allclose(model.predict_proba(tensor.requires_grad_()), wanted, atol=1e-5)
    assert np.allclose(model.predict_proba(deep), model.predict_proba(grey), atol=1e-5)
    assert np.allclose(model.predict_proba(np.array([file, file])), np.repeat(wanted, 2, axis=0), atol=1e-5)


@pytest.mark.parametrize("options", [{"topk": 0}, {"topk": 1.5}, {"batch_size": 0}, {"batch_size": "8"}])
def test_numbers_that_count_nothing_are_refused(options, model, images):
    with pytest.raises(mmrl.UserError, match=f"{next(iter(options))} is .*at least 1"):
        model.predict(images[:1], **options)


@pytest.mark.parametrize("names", ["cat, dog", 3, [1, 2], ["cat", None]])
def test_class_names_are_a_list_of_texts(names, model, images):
    with pytest.raises(mmrl.UserError, match="Class names are"):
        model.classes = names
    with pytest.raises(mmrl.UserError, match="Class names are"):
        mmrl.zero_shot(images[:1], names, device="cpu")


def test_evaluation_needs_a_label_for_each_image(model, images):
    with pytest.raises(mmrl.UserError, match="2 images and 1 labels"):
        model.evaluate(images[:2], ["red"])
    with pytest.raises(mmrl.UserError, match="need labels"):
        model.evaluate(images[:2])
    with pytest.raises(mmrl.UserError, match="0: not among"):
        model.evaluate(images[:1], [0])


def test_without_network_every_line_of_the_message_arrives(folder, tmp_path, monkeypatch):
    def no_network(*_, **__):
        raise urllib.error.URLError(socket.gaierror("Name or service not known"))

    monkeypatch.setattr("urllib.request.urlopen", no_network)
    monkeypatch.setenv("CLIP_CACHE", str(tmp_path))
    with pytest.raises(mmrl.UserError, match=r"(?s)^Could not download .*URL: .*photo-ViT-8 needs no network"):
        mmrl.fit(folder, shots=1, backbone="ViT-B/16")


def test_devices_and_folders_that_are_not_there(images, tmp_path):
    with pytest.raises(mmrl.UserError, match="no device 'gpu'"):
        mmrl.zero_shot_model(["cat", "dog"], device="gpu")
    with pytest.raises(mmrl.UserError, match="no folder"):
        mmrl.results(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(mmrl.UserError, match="is a file"):
        mmrl.load(tmp_path / "file")


def test_unreadable_files_are_listed_or_refused(model, folder, tmp_path):
    (tmp_path / "page.png").write_text("<html>")
    good = folder / "red" / "0.png"
    found = model.predict([good, tmp_path / "page.png"])
    assert len(found) == 1 and found.unreadable[0].path.name == "page.png" and "1 unreadable" in repr(found)
    for ask in (model.predict_proba, model.embed):
        with pytest.raises(mmrl.UserError, match=r"page\.png"):
            ask([good, tmp_path / "page.png"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"method": "MMLR"}, "Did you mean MMRL"),
        ({"labels": ["red"]}, "24 images and 1 labels"),
        ({"labels": None}, "need labels"),
        ({"labels": ["red"] * 24}, "two classes"),
        ({"labels": ["red"] * 23 + [None]}, "1 of 24 are missing"),
        ({"shots": 0}, "shots is 0; expected a whole number above 0"),
        ({"epochs": 0}, "at least 1"),
        ({"output": __file__}, "is no folder"),
        ({"settings": {"OPTIM.LRR": 1}}, r"OPTIM\.LRR"),
        ({"settings": {"OPTIM.LR": -1}}, r"OPTIM\.LR"),
        ({"backbone": "ViT-B/17"}, "ViT-B/16"),
        ({"backbone": __file__}, "test_learning"),
        ({"method": None}, "'None'"),
        ({"labels": "red"}, "a class name for each image"),
        ({"labels": 3}, "a class name for each image"),
        ({"shots": "many"}, "many"),
        ({"shots": 1.5}, "1.5"),
        ({"epochs": "many"}, "many"),
        ({"epochs": 10**30}, "MAX_EPOCH"),
        ({"seed": "one"}, "one"),
        ({"seed": None}, "None"),
        ({"seed": 10**30}, "SEED"),
        ({"device": "gpu"}, "gpu"),
        ({"device": "cuda:99"}, "cuda"),
        ({"settings": "OPTIM.LR=1"}, "settings"),
        ({"settings": ["OPTIM.LR"]}, "settings"),
        ({"settings": {1: 2}}, "settings"),
        ({"settings": {"OPTIM": 1}}, "OPTIM"),
        ({"settings": {"OUTPUT_DIR": "elsewhere"}}, "output="),
        ({"settings": {"OPTIM.LR": None}}, r"OPTIM\.LR"),
        ({"settings": {"OPTIM.LR": float("nan")}}, r"OPTIM\.LR"),
    ],
)
def test_what_cannot_be_trained_is_said(words, said, images, labels, tmp_path):
    given = {
        "labels": labels,
        "method": "CoOp",
        "backbone": next(iter(embedded())),
        "output": tmp_path,
        "device": "cpu",
    }
    with pytest.raises(mmrl.UserError, match=said):
        mmrl.fit(images, **{**given, **words})


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(mmrl.UserError, match="nowhere"):
        mmrl.fit(tmp_path / "nowhere")
