"""Python on the pages runs from the first block of a page to the last, in a folder that has what the page speaks of.

The CLIP is the small one inside the package, where the pages let ViT-B/16 be fetched. The methods of
docs/add-a-method.md have a test of their own.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mmrl
from clip.pretrained import embedded
from dassl.engine.callbacks import CALLBACK_REGISTRY

pytest.importorskip("pandas")
PROJECT = Path(__file__).parents[2]
BACKBONE = next(iter(embedded()))
PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]
BLOCKS = {
    page: blocks
    for page in PAGES
    if page.name != "add-a-method.md"
    and (blocks := re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S))
}
COLOURS = {"cat": (200, 120, 40), "dog": (40, 60, 200)}
MODELS = ("my-model", "RUN_DIR", "out")
"""Names of a trained run on the pages."""


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with images of two classes, single images, and a trained run under each name that a page gives it."""
    folder = tmp_path_factory.mktemp("pages")
    rng = np.random.default_rng(0)
    for of in ("images", "test-images"):
        for name, colour in COLOURS.items():
            (folder / of / name).mkdir(parents=True)
            for index in range(6):
                pixels = np.clip(np.array(colour) + rng.normal(0, 20, (40, 40, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / of / name / f"{index}.png")
    for name in ("new.jpg", "a.jpg", "image.jpg", "image.png"):
        Image.fromarray(pixels).save(folder / name)
    shutil.copytree(folder / "images" / "cat", folder / "folder")
    model = mmrl.fit(folder / "images", method="CoOp", backbone=BACKBONE, epochs=1, shots=1, device="cpu")
    for name in MODELS[1:]:
        model.save(folder / name)
    return folder


def test_the_pages_have_some():
    assert {page.name for page in BLOCKS} >= {"README.md", "python.md", "predict.md", "packaging.md"}


@pytest.mark.parametrize("page", BLOCKS, ids=lambda page: page.name)
def test_it_runs(page, place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    monkeypatch.setattr("mmrl.learning.BACKBONE", BACKBONE)
    monkeypatch.setattr(CALLBACK_REGISTRY, "_objects", dict(CALLBACK_REGISTRY._objects))
    files = sorted((place / "images").rglob("*.png"))
    images = np.stack([np.asarray(Image.open(file)) for file in files])
    names = {"mmrl": mmrl, "images": images, "labels": [file.parent.name for file in files]}
    for block in BLOCKS[page]:
        exec(compile(block.replace("ViT-B/16", BACKBONE), page.name, "exec"), names)
    assert "model" not in names or set(COLOURS) <= set(names["model"].classes)
