"""The command line: what is printed, what is written, what the exit status tells, what is said of mistakes."""

from __future__ import annotations

import csv
import json

import pytest
import torch
from PIL import Image

import predict
from inference.classes import ClassesError, check_classes, positions, read_classes
from inference.images import NoImagesError, batches, find_images, read_upright
from inference.zero_shot import zero_shot_model


@pytest.fixture
def names(tmp_path):
    file = tmp_path / "names.txt"
    file.write_text("amber\n\n  deep_sea \n", encoding="utf-8")
    return file


def test_text_csv_and_json_say_the_same(runs, names, tmp_path, capsys):
    words = [str(runs("MMRL")), str(runs.images), "--classes", str(names), "--device", "cpu", "--batch-size", "4"]
    assert predict.main([*words, "--csv", str(tmp_path / "out.csv"), "--json"]) == 0
    printed = capsys.readouterr()
    data = json.loads(printed.out)
    assert "MMRL, 2 classes: 1 trained on (fused), 1 new to it (class token)" in printed.err
    assert data["classes"] == [
        {"class": "amber", "trained_on": True, "rule": "fused"},
        {"class": "deep_sea", "trained_on": False, "rule": "class token"},
    ]
    expected = [
        [one["image"], str(rank), best["class"], str(best["probability"]), best["rule"]]
        for one in data["predictions"]
        for rank, best in enumerate(one["top"], start=1)
    ]
    with open(tmp_path / "out.csv", newline="", encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    assert (head, rows) == (["image", "rank", "class", "probability", "rule"], expected)
    assert len(rows) == 2 * len(runs.files())
    assert predict.main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == expected[0][0] and lines[1].split(" %  ")[1] == f"{expected[0][2]}  ({expected[0][4]})"


def test_zero_shot_of_the_command_and_of_python_agree(runs, capsys):
    words = ["--zero-shot", "accordion, anchor, wild cat", str(runs.images), "--device", "cpu", "--json"]
    assert predict.main(words) == 0
    printed = capsys.readouterr()
    assert "zero-shot with photo-ViT-8" in printed.err and "--backbone ViT-B/16" in printed.err
    model = zero_shot_model(["accordion", "anchor", "wild cat"], device="cpu")
    expected = [(str(one.path), one.label) for one in model.predict(runs.images)]
    assert [(one["image"], one["top"][0]["class"]) for one in json.loads(printed.out)["predictions"]] == expected


def test_unreadable_images_are_skipped_and_told(runs, tmp_path, capsys):
    cut, fine = tmp_path / "cut.png", tmp_path / "fine.png"
    whole = runs.files()[0].read_bytes()
    cut.write_bytes(whole[: len(whole) // 2])
    fine.write_bytes(whole)
    words = [str(runs("ZeroshotCLIP")), "--device", "cpu", "--topk", "1"]
    assert predict.main([*words, str(tmp_path), str(tmp_path / "gone.jpg"), "--json"]) == predict.SOME == 1
    printed = capsys.readouterr()
    data = json.loads(printed.out)
    assert [one["image"] for one in data["predictions"]] == [str(fine)]
    assert [one["image"] for one in data["unreadable"]] == [str(cut), str(tmp_path / "gone.jpg")]
    assert f"skipped {cut}: Cannot read" in printed.err and "There is no image" in printed.err
    assert predict.main([*words, str(cut)]) == predict.NOTHING == 2


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["{folder}", "{folder}"], ["not a run's folder"]),
        (["{run}", "{folder}"], ["No images found in", ".png"]),
        (["{run}", "{image}", "--classes", "{folder}/none.txt"], ["no class names", "none.txt"]),
        (["{run}", "{image}", "--classes", "{folder}/twice.txt"], ["'a cat' and 'A_cat'", "twice.txt"]),
        (["{run}", "{image}", "--classes", "{folder}/nowhere.txt"], ["Cannot read class names", "nowhere.txt"]),
        (["{run}", "{image}", "--classes", "{folder}/long.txt"], ["77"]),
        (["{run}", "{image}", "--device", "cuda:99"], ["cuda:99", "GPUs here"]),
        (["{run}", "{image}", "--csv", "{folder}"], ["{folder}"]),
    ],
)
def test_mistakes(words, parts, runs, tmp_path, capsys):
    (tmp_path / "none.txt").write_text("\n \n_\n")
    (tmp_path / "twice.txt").write_text("a cat\ndog\nA_cat\n")
    (tmp_path / "long.txt").write_text("very " * 100)
    places = {"folder": tmp_path, "run": runs("MMRL"), "image": runs.files()[0]}
    assert predict.main([word.format(**places) for word in words]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and "Traceback" not in printed.err
    message = next(line for line in printed.err.splitlines() if line.startswith("error: "))
    assert all(part.format(**places) in message for part in parts), message


def test_images_of_a_folder(tmp_path):
    for name in ("b.PNG", "a.jpg", "inner/c.webp", ".hidden/d.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = find_images([tmp_path, tmp_path / "notes.txt", tmp_path / "a.jpg"])
    assert [path.name for path in found] == ["a.jpg", "b.PNG", "c.webp", "notes.txt"]
    with pytest.raises(NoImagesError):
        find_images([])


def test_a_image_is_turned_as_its_camera_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by a quarter
    Image.new("RGB", (30, 20), "red").save(tmp_path / "turned.jpg", exif=exif)
    assert read_upright(tmp_path / "turned.jpg").size == (20, 30)
    damaged = (tmp_path / "turned.jpg").read_bytes().replace(b"Exif\0\0MM", b"Exif\0\0M?")
    (tmp_path / "damaged.jpg").write_bytes(damaged)
    assert read_upright(tmp_path / "damaged.jpg").size == (30, 20)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_batches_are_complete_and_in_order(size, runs):
    files = runs.files()[:5]
    parts = list(batches(files, lambda image: torch.zeros(1), size))
    assert [path for readable, _, _ in parts for path in readable] == files
    assert all(len(readable) == len(images) <= size for readable, images, _ in parts)


def test_names_are_compared_as_the_tokenizer_reads_them(tmp_path):
    assert positions(["Sea  lion", "cat", "dog"], ["dog", "sea_lion"]) == [1, None, 0]
    (tmp_path / "marked.txt").write_bytes("\ufeffcat\r\nd\u00f6g\r\n".encode())
    assert read_classes(tmp_path / "marked.txt") == ("cat", "d\u00f6g")
    (tmp_path / "latin.txt").write_bytes(b"d\xf6g")
    with pytest.raises(ClassesError, match=r"latin\.txt"):
        read_classes(tmp_path / "latin.txt")
    with pytest.raises(ClassesError, match="no class names"):
        check_classes([])
