"""Show the facts for a bug report: versions, devices, extras, caches, and the weights and data that are found."""

from __future__ import annotations

import argparse
import csv
import os
import platform
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import mmrl
from runs.command_line import CommandParser, add_root
from runs.protocol import CONFIGS

REQUIRED = ("torch", "torchvision", "numpy", "pillow", "yacs", "scikit-learn", "scipy", "safetensors")
EXTRAS = {
    "export": "onnxruntime", "figures": "matplotlib", "open-clip": "open-clip-torch", "ray": "ray",
    "search": "optuna", "wandb": "wandb", "mlflow": "mlflow-skinny", "tensorboard": "tensorboard",
    "hub": "huggingface-hub", "pandas": "pandas",
}  # fmt: skip
"""Extra: a package that it brings."""


def make_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    parser = CommandParser(prog="mmrl doctor", description=__doc__, example="mmrl doctor --root data")
    add_root(parser)
    return parser


def main(arguments: Sequence[str]) -> int:
    """Print the report; 1 if something required is missing."""
    args = make_parser().parse_args(arguments)
    missing = [name for name in REQUIRED if _version(name) is None]
    sections = {
        "versions": _versions(),
        "devices": _devices() if "torch" not in missing else iter([("torch", "missing")]),
        "extras": (
            (name, _version(package) or f'missing: pip install ".[{name}]"') for name, package in EXTRAS.items()
        ),
        "caches": _caches(),
        "weights": _weights(),
        f"data in {args.root}": _data(Path(args.root).expanduser()),
    }
    for title, rows in sections.items():
        print(title)
        print("\n".join(f"  {name:22} {text}" for name, text in rows) + "\n")
    print(f"missing: {', '.join(missing)}" if missing else "Everything required is installed.")
    return 1 if missing else 0


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _versions() -> Iterator[tuple[str, str]]:
    yield "mmrl", f"{mmrl.__version__} in {CONFIGS.parent}"
    yield "python", f"{platform.python_version()} on {platform.platform()}"
    yield from ((name, _version(name) or "missing") for name in REQUIRED)


def _devices() -> Iterator[tuple[str, str]]:
    import torch

    yield "cpu", f"{os.cpu_count()} cores, {torch.get_num_threads()} threads"
    for index in range(torch.cuda.device_count()):
        card = torch.cuda.get_device_properties(index)
        yield f"cuda:{index}", f"{card.name}, {card.total_memory / 2**30:.0f} GiB"
    if not torch.cuda.is_available():
        yield "cuda", "none"


def _caches() -> Iterator[tuple[str, str]]:
    from clip.pretrained import cache_folder
    from dassl.data.crop_cache import cache_folder as crop_folder

    for name, folder in (("weights (CLIP_CACHE)", cache_folder()), ("crops (CROP_CACHE)", crop_folder())):
        yield name, f"{folder}" if folder.is_dir() else f"{folder}, not there yet"


def _weights() -> Iterator[tuple[str, str]]:
    from clip.pretrained import cache_folder, embedded, releases

    yield from ((name, "embedded") for name in embedded())
    for name, release in releases().items():
        file = cache_folder() / release.file_name
        yield name, f"{file}, {file.stat().st_size / 2**20:.0f} MiB" if file.is_file() else "not downloaded"


def _data(root: Path) -> Iterator[tuple[str, str]]:
    """Yield each benchmark whose folder is there; `mmrl data check` looks closer."""
    import datasets  # noqa: F401  (registers the datasets)
    from dassl.data.datasets import DATASET_REGISTRY

    found = 0
    with open(CONFIGS.parent / "datasets" / "facts.csv", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            folder = root / DATASET_REGISTRY.get(row["registry_name"]).dataset_dir
            if folder.is_dir():
                found += 1
                yield row["config"], str(folder)
    if not found:
        yield "none", f"no benchmark in {root}; `mmrl data prepare NAME --root {root}` fetches one"
