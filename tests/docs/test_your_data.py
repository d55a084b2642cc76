"""docs/your-data.md: every command in it works, one after the other, on a folder of photos."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmrl.__main__ import main
from runs.record import read_record

PAGE = Path(__file__).parent.parent.parent / "docs" / "your-data.md"
COMMANDS = [
    line.strip() for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("    python -m mmrl")
]


def photo(path: Path, hue: int, number: int) -> None:
    """Write a JPEG as a phone does: on its side, with a note of that."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng([hue, number]).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    pixels[..., hue] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(path, exif=exif)


@pytest.fixture
def birds(tmp_path, monkeypatch):
    for hue, name in enumerate(("robin", "wren", "blue_tit")):
        for number in range(10):
            photo(tmp_path / "birds" / name / f"IMG_{number}.JPG", hue, number)
        photo(tmp_path / "new_photos" / f"{name}.jpg", hue, 99)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CROP_CACHE", str(tmp_path / "crops"))
    return tmp_path / "birds"


def test_from_photos_to_an_exported_model(birds, capsys, monkeypatch):
    assert len(COMMANDS) == 5
    before = sorted(birds.rglob("*"))
    for command in COMMANDS:
        words = shlex.split(command)[3:]
        monkeypatch.setattr("sys.argv", words)
        assert main([*words, "DATALOADER.NUM_WORKERS=0"] if words[0] == "train" else words) == 0, command
    said = capsys.readouterr().out
    assert "3 classes, 30 images: train 15, val 6, test 9" in said and "Prediction rule: seen" in said
    folder = birds.parent / "output/few_shot/birds/shots_4/MMRL/photo/seed1"
    record = read_record(folder)
    assert (record["dataset"], record["test_classes"]) == ("birds", "seen") and record["config"]["INPUT"][
        "UPRIGHT"
    ] is True
    assert record["classes"] == ["blue_tit", "robin", "wren"]
    assert list(folder.rglob("*.safetensors")) and (birds.parent / "birds-contact-sheet.png").is_file()
    assert sorted(birds.rglob("*")) == before
    assert "birds" in said.splitlines()[-1] or "birds" in said[-3000:]  # the report has the data's own name
