"""Compare images per second of an evaluation: a plain torch DataLoader with the plain encoders, and this harness.

    python benchmarks/eval.py --method MMRL --classes 100 --images 400 --backbone ViT-B/16

Generated JPEGs of 500 x 375 pixels go the whole way from file to prediction, through encoders of random weights. The
plain way is the published code's: it decodes and resizes each image at each evaluation, and computes the text features
for every batch, from prompts of full length. The harness takes crops from its cache (`cached`) or decodes
(`uncached`), and computes text features once; for a method that does not change the image encoder, it takes the image
features from the cache of any earlier run (`again`). All ways must predict the same classes.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks._command import add_run, at_least, command, run


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = command(__doc__)
    add_run(parser, batch=100)
    parser.add_argument("--images", type=at_least(1), default=400, help="number of images (default: 400)")
    parser.add_argument("--workers", type=at_least(0), default=0, help="loader processes (default: 0)")
    return parser


if __name__ == "__main__":  # --help and a wrong option are answered before torch is loaded
    make_parser().parse_args()

from safeio import threads  # noqa: F401, I001  (before torch)

import torch
from torch.utils.data import DataLoader

from benchmarks._measure import hardware
from benchmarks._trainers import build_trainer, class_names, make_published, random_weights
from benchmarks.loader import make_photographs, settings
from dassl.data.crop_cache import evaluation_wrapper
from dassl.data.row_pack import FOLDER_VARIABLE
from dassl.data.transforms import build_transform
from dassl.data.wrapper import DatasetWrapper
from dassl.utils.environment import prepare_cpu_memory
from trainers.base.feature_cache import CachedRows


@torch.no_grad()
def predictions(trainer, dataset, args: argparse.Namespace) -> torch.Tensor:
    """Return the predicted classes of a dataset; the trainer computes text features at each batch, or keeps them."""
    loader = DataLoader(dataset, args.batch, num_workers=args.workers)
    found = [trainer.model_inference(batch["img"].to(trainer.device)).argmax(dim=1) for batch in loader]
    return torch.cat(found).cpu()


def product(trainer, dataset, args: argparse.Namespace) -> torch.Tensor:
    """Return the predictions with text features computed once."""
    with trainer.fixed_classes():
        return predictions(trainer, dataset, args)


def timed(predict, *words) -> tuple[tuple[float, float], torch.Tensor]:
    """Return the seconds by the clock, the seconds of this process's threads, and the predictions."""
    began = time.perf_counter(), time.process_time()
    found = predict(*words)
    return (time.perf_counter() - began[0], time.process_time() - began[1]), found


def measure(args: argparse.Namespace) -> dict:
    """Measure all ways, one after the other."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights, names = random_weights(args.backbone, folder), class_names(args.classes)
        (folder / "images").mkdir()
        images = make_photographs(folder / "images", args.images)
        ours, plain = build_trainer(args, weights, names), build_trainer(args, weights, names)
        make_published(plain)
        for trainer in (ours, plain):
            trainer.set_model_mode("eval")
        cfg = settings(cache=True, workers=args.workers)
        transform = build_transform(cfg, is_train=False)
        os.environ[FOLDER_VARIABLE] = str(folder / "crops")
        decoded = DatasetWrapper(cfg, images, transform, is_train=False)
        cached = evaluation_wrapper(cfg, images, transform)
        list(DataLoader(cached, args.batch))  # the first evaluation writes the crops; every later one reads them
        ways = [
            ("plain", predictions, plain, decoded),
            ("uncached", product, ours, decoded),
            ("cached", product, ours, cached),
        ]
        if ours.tests_rows:
            list(DataLoader(CachedRows(ours.cache, cached), args.batch))  # a run before
            ways.append(("again", product, ours, CachedRows(ours.cache, cached)))
        seconds, found = {}, {}
        for way, predict, trainer, dataset in ways:
            seconds[way], found[way] = timed(predict, trainer, dataset, args)
        same = all(torch.equal(found["uncached"], found[way]) for way in seconds.keys() - {"plain"})
        agree = (found["plain"] == found["cached"]).float().mean().item()
    result = {key: getattr(args, key) for key in ("method", "backbone", "classes", "images", "batch", "workers")}
    result |= {f"{way}_per_second": args.images / clock for way, (clock, _) in seconds.items()}
    result |= {f"{way}_processor_seconds": busy for way, (_, busy) in seconds.items()}
    result |= {"cached_equals_uncached": same, "plain_agrees": agree}
    return result | {"ratio": seconds["plain"][0] / seconds["cached"][0]} | hardware(torch.device(args.device))


def main() -> int:
    """Do what the command line asks for; returns the exit status."""
    prepare_cpu_memory()  # as train.py does
    return run(make_parser(), measure)


if __name__ == "__main__":
    raise SystemExit(main())
