"""Calls of `mmrl.fit` beside the right one: a second into the same folder, lost labels, Ctrl-C, messages for Python."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import mmrl
from clip.pretrained import embedded
from mmrl.training import ERROR, in_python

BACKBONE = next(iter(embedded()))
SHORT = {"method": "CoOp", "backbone": BACKBONE, "epochs": 1, "shots": 1, "device": "cpu"}
IN_THIS_PROCESS = {"DATALOADER.NUM_WORKERS": 0}


@pytest.fixture
def fit(tmp_path):
    def call(*images, **options):
        return mmrl.fit(*images, **{**SHORT, "output": tmp_path / "run", "settings": IN_THIS_PROCESS, **options})

    return call


def accuracy(model) -> float:
    return model.run.record["metrics"]["accuracy"]


def test_other_labels_in_the_same_folder_are_refused_and_nothing_is_lost(fit, images, labels):
    first = fit(images, labels)
    files = {file: file.read_bytes() for file in (first.run.folder / "images").iterdir()}
    for others in ((images, labels[::-1]), (images[::-1].copy(), labels), (images[1:], labels[1:])):
        with pytest.raises(mmrl.UserError, match=r"run on other images or labels\. Give another output="):
            fit(*others)
    assert {file: file.read_bytes() for file in (first.run.folder / "images").iterdir()} == files
    assert np.allclose(fit(images, labels).predict_proba(images), first.predict_proba(images))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"shots": 3}, "NUM_SHOTS: 1 there, 3 here"),
        ({"method": "ProGrad"}, "holds a complete run of CoOp"),
        ({"settings": {**IN_THIS_PROCESS, "OPTIM.LR": 0.5}}, "OPTIM.LR: 0.002 there, 0.5 here"),
    ],
)
def test_a_refused_call_keeps_the_record(options, said, fit, folder):
    first = fit(folder)
    with pytest.raises(mmrl.UserError, match=said):
        fit(folder, **options)
    again = mmrl.load(first.run.folder, device="cpu")
    assert again.run.record["status"] == "complete" and accuracy(again) == accuracy(first)


def test_fewer_epochs_are_refused_in_the_words_of_python(fit, folder):
    first = fit(folder, epochs=2)
    with pytest.raises(mmrl.UserError, match=r"Give epochs=2 to test it, or another output= to train anew"):
        fit(folder)
    assert accuracy(mmrl.load(first.run.folder, device="cpu")) == accuracy(first)


def test_a_folder_of_other_files_takes_no_run(fit, folder):
    with pytest.raises(mmrl.UserError, match=r"holds other files \(green\) and no run"):
        fit(folder, output=folder)


def test_images_of_the_user_get_no_list_of_ours(fit, images, labels, tmp_path):
    (tmp_path / "project" / "images").mkdir(parents=True)
    with pytest.raises(mmrl.UserError, match=r"holds other files \(images\) and no run"):
        fit(images, labels, output=tmp_path / "project")
    assert not any((tmp_path / "project" / "images").iterdir())


def test_warnings_of_the_training_are_warnings_here(fit, folder, tmp_path):
    (tmp_path / "mine").mkdir()
    for name in os.listdir(folder):
        (tmp_path / "mine" / name).symlink_to(folder / name)
    (tmp_path / "mine" / "notes.txt").write_text("x")
    (tmp_path / "mine" / "blue").mkdir()
    with pytest.warns(UserWarning) as found:
        fit(tmp_path / "mine", shots=100, settings={**IN_THIS_PROCESS, "TRAINER.COOP.CSC": True})
    said = [str(warning.message) for warning in found]
    for part in ("TRAINER.COOP.CSC changes nothing", "not used: notes.txt", "no classes: blue", "Fewer than 100"):
        assert any(part in line for line in said), (part, said)
    assert not any("N_CTX changes nothing" in line for line in said)  # nobody here gave that


@pytest.mark.parametrize("call", ["one class", "a wrong setting", "no such backbone"])
def test_a_call_that_fails_leaves_no_folder(call, images, labels, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    wrong = {
        "one class": {"labels": ["a"] * len(images)},
        "a wrong setting": {"settings": {"OPTIM.LRR": 1}},
        "no such backbone": {"backbone": "nowhere.pt"},
    }[call]
    with pytest.raises(mmrl.UserError):
        mmrl.fit(images, **{"labels": labels, **SHORT, **wrong})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("label", ["", "  ", None, float("nan")])
def test_every_image_needs_a_label(label, fit, images, labels):
    with pytest.raises(mmrl.UserError, match="Every image needs a label"):
        fit(images, [*labels[:-1], label])
    with pytest.raises(mmrl.UserError, match="Every image needs a label"):
        fit(images, iter([*labels[:-1], label]))


def test_labels_may_come_one_by_one(fit, images, labels):
    assert fit(images, iter(labels)).classes == ("green", "red")


def test_a_list_of_images_is_taken_as_on_the_command_line(fit, folder, tmp_path):
    rows = [f"{file},{file.parent.name}" for file in sorted(folder.rglob("*.png"))]
    (tmp_path / "labels.csv").write_text("\n".join(["path,label", *rows]))
    assert fit(tmp_path / "labels.csv").classes == ("green", "red")


@pytest.mark.parametrize("key", ["DATASET.ROOT", "DATASET.NAME", "SEED"])
def test_a_setting_that_is_an_argument_is_refused(key, fit, folder):
    with pytest.raises(mmrl.UserError, match=f"{key} is given by an argument"):
        fit(folder, settings={key: "x"})


def test_the_remedy_of_one_class_works(fit, folder, tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "red").symlink_to(folder / "red")
    with pytest.raises(mmrl.UserError, match=r'settings=\{"DATASET.ALLOW": "one_class"\}'):
        fit(tmp_path / "one")
    assert fit(tmp_path / "one", settings={**IN_THIS_PROCESS, "DATASET.ALLOW": "one_class"}).classes == ("red",)


def test_a_message_is_found_behind_any_name_of_a_program():
    for said in ("error: one\n  two", "-c: error: one\n  two", "a line\n__main__.py: error: one\n  two"):
        assert ERROR.search(said)[1] == "one\n  two"


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("Give another --output-dir, or remove it.", "Give another output=, or remove it."),
        ("give --shots 1 or more", "give shots=1 or more"),
        ("Is DATASET.ROOT (--root) right?", "Is images right?"),
        ("a file (--backbone PATH)", "a file (backbone=PATH)"),
        ("Unknown key 'A' in command line", "Unknown key 'A' in settings"),
        ("`mmrl data check folder --root x` says more", "`mmrl data check folder --root x` says more"),
        ("--outputs is no option", "--outputs is no option"),
    ],
)
def test_messages_name_the_arguments_of_python(said, wanted):
    assert in_python(said) == wanted


def test_ctrl_c_is_no_error_of_the_training(folder, tmp_path):
    code = (
        f"import mmrl\ntry: mmrl.fit({str(folder)!r}, method='CoOp', backbone={BACKBONE!r}, epochs=99999, device='cpu',"
        f" output={str(tmp_path / 'run')!r}, settings={{'DATALOADER.NUM_WORKERS': 0}})\n"
        "except Exception as error: print('caught', error)\nexcept KeyboardInterrupt: print('interrupted')\n"
    )
    project = Path(__file__).parents[2]
    process = subprocess.Popen([sys.executable, "-c", code], cwd=project, stdout=subprocess.PIPE, text=True)
    stop = threading.Timer(300, process.kill)
    stop.start()
    log = tmp_path / "run" / "log.txt"
    while process.poll() is None and not (log.is_file() and "epoch [2/" in log.read_text()):
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert process.communicate()[0].splitlines() == ["interrupted"]
    stop.cancel()
