"""Short runs: of any method on a tiny random CLIP and images of four colours; on the embedded clothes; of plugins."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

from PIL import Image

import train
import trainers  # noqa: F401  (registers the methods)
from dassl.engine import TRAINER_REGISTRY
from tools.faults.tiny import SIDE, write_clip, write_images

CONFIGS = Path(__file__).parents[1] / "configs"
PROMPT_DEPTH = 2  # layers


def clothes(output: Path, *options: object, method: str = "CoOp", seeds: tuple = ("--seed", 1)) -> list[str]:
    """Return a command line of train.py: one epoch of three steps, one shot of five of the embedded clothes."""
    words = ["--trainer", method, *seeds, "--root", "none", "--output-dir", output, "--train-epoch", 1]
    words += ["--dataset-config-file", CONFIGS / "datasets/clothing_64.yaml"]
    words += ["--config-file", CONFIGS / f"trainers/{method}/photo.yaml", "DATALOADER.NUM_WORKERS", 0]
    words += ["DATASET.NUM_SHOTS", 1, "DATASET.SUBSAMPLE_CLASSES", "base", *options]
    return [str(word) for word in words]


class Runs:
    """Trains on demand and keeps the folders.

    Args:
        folder: for images (`images/`), weights (`clip.pt`) and runs.
    """

    def __init__(self, folder: Path):
        self.folder, self.images, self.done = folder, folder / "images", {}
        write_images(self.images)
        write_clip(folder / "clip.pt")

    def arguments(self, method: str, classes: str, output: Path, *options) -> list[str]:
        """A short run on the CPU; `classes` is base, new or all."""
        real = TRAINER_REGISTRY.get(method)
        settings = {
            "MODEL.BACKBONE.NAME": self.folder / "clip.pt",
            "DATASET.NAME": "Folder",
            "DATASET.SUBSAMPLE_CLASSES": classes,
            "TASK": "FS" if classes == "all" else "B2N",
            "USE_CUDA": False,
            "INPUT.SIZE": (SIDE, SIDE),
            "INPUT.TRANSFORMS": ("random_flip", "normalize"),
            "DATALOADER.NUM_WORKERS": 0,
            "DATALOADER.CACHE": False,
            "DATALOADER.TRAIN_X.BATCH_SIZE": 3,
            "OPTIM.MAX_EPOCH": 1,
            "OPTIM.LR": 0.01,
        }
        own = {key: PROMPT_DEPTH for key in real.defaults if key.startswith("PROMPT_DEPTH")}
        own |= {key: value for key, value in (("PREC", "fp32"), ("TEXTS", "templates")) if key in real.defaults}
        settings |= {f"TRAINER.{real.settings_node}.{key}": value for key, value in own.items()}
        words = ["--root", self.images, "--trainer", method, "--seed", 1, "--output-dir", output]
        return [str(word) for word in (*words, *(w for pair in settings.items() for w in pair), *options)]

    def __call__(self, method: str, classes: str = "base", *options) -> Path:
        """The folder of a finished run, trained once; not to be changed."""
        key = (method, classes, *options)
        if key not in self.done:
            output = self.folder / "runs" / str(len(self.done))
            with contextlib.redirect_stdout(io.StringIO()):
                assert train.main(self.arguments(method, classes, output, *options)) == 0
            self.done[key] = output
        return self.done[key]

    def files(self) -> list[Path]:
        """All images."""
        return sorted(self.images.rglob("*.png"))


class PluginRuns:
    """Command lines of train.py for trainers of others, on eight images of 8 x 8 in two colours.

    Args:
        folder: for images (`data/`), settings (`method.yaml`) and the run (`out/`).
    """

    def __init__(self, folder: Path, epochs: int):
        self.folder, self.yaml = folder, folder / "method.yaml"
        for name, colour in (("amber", (230, 170, 20)), ("blue", (20, 40, 220))):
            for part in ("train", "test"):
                (images := folder / "data" / part / name).mkdir(parents=True)
                for i in range(2):
                    Image.new("RGB", (8, 8), tuple(v + 5 * i for v in colour)).save(images / f"{i}.png")
        optim = f"OPTIM: {{LR: 0.01, MAX_EPOCH: {epochs}}}"
        self.yaml.write_text(f"INPUT: {{SIZE: '(8, 8)'}}\nDATALOADER: {{NUM_WORKERS: 0}}\nUSE_CUDA: False\n{optim}\n")

    def __call__(self, trainer: str, *words: str, config: Path | None = None) -> int:
        """Train; return the exit status."""
        flags = {"root": self.folder / "data", "trainer": trainer, "config-file": config or self.yaml}
        flags |= {"output-dir": self.folder / "out", "seed": 1, "dataset-config-file": "configs/datasets/folder.yaml"}
        return train.main([text for name, value in flags.items() for text in (f"--{name}", str(value))] + [*words])
