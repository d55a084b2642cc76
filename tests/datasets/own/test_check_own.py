"""`mmrl data check folder`: how own images are read and, with --deep, what is wrong with them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from mmrl.commands import data_check

from .conftest import fill, image


@pytest.fixture
def pets(tmp_path):
    for part, start in (("train", 0), ("test", 10)):
        fill(tmp_path / "pets" / part, start=start, cat=3, dog=3)
    return tmp_path / "pets"


def run(*words) -> int:
    return data_check.main([*map(str, words)])


def test_it_shows_how_a_folder_or_list_is_read(pets, capsys):
    before = sorted(pets.rglob("*"))
    assert run("folder", "--root", pets) == 0
    said = capsys.readouterr().out
    assert "train/ is train" in said and "2 classes, 12 images: train 6, val 0, test 6" in said
    lines = [f"{path.relative_to(pets)},{path.parent.name}" for path in before if path.suffix]
    (pets / "mine.csv").write_text("\n".join(["path,label", *lines]))
    assert run("folder", "--root", pets / "mine.csv") == 0
    assert "list: mine.csv, 12 lines" in capsys.readouterr().out


def test_what_is_in_doubt_is_an_error(pets, capsys):
    fill(pets, extra=1)
    assert run("folder", "--root", pets) == 1
    assert "error: " in (said := capsys.readouterr().err) and "extra" in said and "Traceback" not in said


def test_deep_finds_what_is_broken_or_twice_and_draws_a_sheet(pets, capsys, tmp_path, monkeypatch):
    imagehash = pytest.importorskip("imagehash")
    assert imagehash
    monkeypatch.chdir(tmp_path)
    (pets / "test" / "cat" / "copy.png").write_bytes((pets / "train" / "cat" / "0.png").read_bytes())
    large = Image.open(pets / "train" / "dog" / "1.png").resize((64, 64), Image.Resampling.BICUBIC)
    large.save(pets / "test" / "dog" / "again.jpg", quality=80)
    (pets / "train" / "dog" / "empty.png").touch()
    (pets / "train" / "dog" / "cut.png").write_bytes((pets / "train" / "dog" / "2.png").read_bytes()[:60])
    assert run("folder", "--root", pets, "--deep") == 1
    said = capsys.readouterr().out
    assert "unreadable images: 2" in said and "empty.png" in said and "cut.png" in said
    assert "exact duplicates across splits: 1" in said and "copy.png" in said
    assert "near duplicates across splits: 1" in said and "again.jpg" in said
    sheet = np.asarray(Image.open(tmp_path / "pets-contact-sheet.png"))
    assert sheet.shape[0] > 200 and (sheet == (255, 0, 0)).all(-1).any()  # two classes; what is broken is red
    for broken in ("train/dog/empty.png", "train/dog/cut.png", "test/cat/copy.png"):
        (pets / broken).unlink()
    assert run("folder", "--root", pets, "--deep", "--sheet", tmp_path / "sheet.png") == 0
    assert (tmp_path / "sheet.png").is_file()


def test_without_imagehash_exact_duplicates_are_found(pets, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("datasets.own.inspect.find_spec", lambda name: None)
    (pets / "test" / "cat" / "copy.png").write_bytes((pets / "train" / "cat" / "0.png").read_bytes())
    assert run("folder", "--root", pets, "--deep") == 1
    said = capsys.readouterr().out
    assert "exact duplicates across splits: 1" in said and "pip install imagehash" in said


def test_images_of_other_formats_are_named_and_not_run(tmp_path, capsys):
    fill(tmp_path, cat=2, dog=2)
    image(tmp_path / "dog" / "3.png", 3)
    (tmp_path / "dog" / "3.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n")
    assert run("folder", "--root", tmp_path, "--deep", "--sheet", tmp_path / "s" / "sheet.png") == 1
    assert "3.png" in capsys.readouterr().out
