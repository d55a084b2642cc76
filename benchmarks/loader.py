"""Compare images per second of three input pipelines: a plain torch DataLoader, the crop cache, decoded images.

    python benchmarks/loader.py --images 2000 --workers 0

The images are generated JPEGs of 500 x 375 pixels; the transforms are CLIP's for evaluation and the methods' for
training. All files are in the machine's page cache, so the caches save decoding and resizing, not reading from disk.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks._command import at_least, command, run


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = command(__doc__)
    parser.add_argument("--images", type=at_least(1), default=1000, help="number of images (default: 1000)")
    parser.add_argument("--workers", type=at_least(0), default=0, help="loader processes (default: 0)")
    return parser


if __name__ == "__main__":  # --help and a wrong option are answered before torch is loaded
    make_parser().parse_args()

from safeio import threads  # noqa: F401, I001  (before torch)

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader

from benchmarks._measure import hardware
from dassl.config import get_cfg_default
from dassl.data.crop_cache import evaluation_wrapper
from dassl.data.datasets import Datum
from dassl.data.transforms import build_transform
from dassl.data.wrapper import DatasetWrapper

SIZE = (500, 375)


def make_photographs(folder: Path, count: int) -> list[Datum]:
    """Write smooth random images with some noise, about as large in bytes as photographs of that size."""
    random = np.random.default_rng(0)
    found = []
    for i in range(count):
        coarse = Image.fromarray(random.integers(0, 256, (12, 16, 3), dtype=np.uint8)).resize(SIZE, Image.BICUBIC)
        noisy = np.asarray(coarse, np.int16) + random.integers(-12, 13, (SIZE[1], SIZE[0], 3))
        path = folder / f"{i}.jpg"
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path, quality=90)
        found.append(Datum(str(path), label=0, classname="photograph"))
    return found


def settings(cache: bool, workers: int):
    """Return a config with the input settings of the ViT-B/16 configs."""
    cfg = get_cfg_default()
    cfg.INPUT.SIZE, cfg.INPUT.INTERPOLATION = (224, 224), "bicubic"
    cfg.INPUT.TRANSFORMS = ("random_resized_crop", "random_flip", "normalize")
    cfg.INPUT.RRCROP_SCALE = (0.5, 1.0)
    cfg.DATALOADER.CACHE, cfg.DATALOADER.NUM_WORKERS = cache, workers
    return cfg


def rate(dataset, workers: int, batch: int = 100) -> float:
    """Return the images per second of one pass."""
    began = time.perf_counter()
    for _ in DataLoader(dataset, batch_size=batch, num_workers=workers):
        pass
    return len(dataset) / (time.perf_counter() - began)


def measure(args: argparse.Namespace) -> dict:
    """Measure evaluation (plain, filling the cache, from the cache) and training (plain, from decoded images)."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CROP_CACHE"] = str(Path(folder) / "crops")
        data = make_photographs(Path(folder), args.images)
        plain, cached = settings(False, args.workers), settings(True, args.workers)
        test, train = build_transform(plain, is_train=False), build_transform(plain, is_train=True)
        crops = evaluation_wrapper(cached, data, test)
        result = {
            "images": args.images,
            "workers": args.workers,
            "evaluation_plain_per_second": rate(DatasetWrapper(plain, data, test), args.workers),
            "filling_the_cache_per_second": rate(crops, args.workers),
            "evaluation_cached_per_second": rate(crops, args.workers),
        }
        wrapper = DatasetWrapper(plain, data, train, is_train=True)
        torch.manual_seed(0)
        result["training_plain_per_second"] = rate(wrapper, args.workers)
        wrapper.keep_decoded(gib=10)
        result["decoded_once_per_second"] = rate(wrapper, args.workers)
    return result | hardware(torch.device("cpu"))


def main() -> int:
    """Do what the command line asks for; returns the exit status."""
    return run(make_parser(), measure)


if __name__ == "__main__":
    raise SystemExit(main())
