"""Records of a study of a paper's size, with made-up numbers: 1,649 runs.

11 datasets, 10 methods, 3 seeds of base-to-novel; cross-dataset and domain generalization; few-shot of three methods;
an ablation; one run that failed.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

METHODS = ["ZeroshotCLIP", "CoOp", "CoCoOp", "MaPLe", "KgCoOp", "PromptSRC", "TCP", "MMA", "MMRL", "MMRLpp"]
DATASETS = [
    *("ImageNet", "Caltech101", "OxfordPets", "StanfordCars", "OxfordFlowers", "Food101", "FGVCAircraft", "SUN397"),
    *("DescribableTextures", "EuroSAT", "UCF101"),
]
VARIANTS = ["ImageNetV2", "ImageNetSketch", "ImageNetA", "ImageNetR"]
SEEDS = (1, 2, 3)
SIZE = 1649


class Study:
    """Writes records below a folder; every number follows from the run's own description."""

    def __init__(self, root: Path):
        self.root, self.count = root, 0

    def run(self, protocol, part, dataset, method, seed, shots=16, swept=None, status="complete"):
        words = [protocol, part, dataset, method, str(shots), json.dumps(swept or {}), str(seed)]
        chance = random.Random("/".join(words))
        ease, skill = random.Random(dataset).uniform(40, 90), METHODS.index(method) * 0.9
        accuracy = min(
            99.5, ease + skill * (0.4 if part in ("new", "target") else 1) + shots / 8 + chance.gauss(0, 0.6)
        )
        trained = part in ("base", "all", "source")
        record = {
            "method": method,
            "dataset": dataset,
            "protocol": protocol,
            "preset": "paper",
            "swept": swept or {},
            "symbols": {"TRAINER.MMRL.ALPHA": "α"} if swept else {},
            "subsample_classes": part if part in ("base", "new") else "all",
            "test_classes": "seen" if trained else "unseen",
            "shots": shots,
            "seed": seed,
            "backbone": "ViT-B/16",
            "config": {"SEED": seed, "OPTIM": {"MAX_EPOCH": 5}},
            "status": status,
        }
        seconds = 60 + 20 * METHODS.index(method) + chance.uniform(0, 5)
        if status == "complete":
            error = (100 - accuracy) / 100
            record |= {
                "metrics": {"accuracy": accuracy},
                "timing": {"started": 1.0, "ended": 2.0, "seconds": seconds},
                "trainable_params": [0, 8192, 35360, 3555072, 8192, 46080, 331904, 674816, 4992256, 813568][
                    METHODS.index(method)
                ],
                "efficiency": {
                    "device": "NVIDIA GeForce RTX 3090",
                    "train_seconds": seconds * 0.8,
                    "train_images_per_second": 9000 / seconds,
                    "test_images_per_second": 800 - seconds,
                    "peak_memory_mib": 3000 + 10 * seconds,
                    "train_epochs": 5,
                    "runs_in_process": 1,
                },
                "calibration": {
                    "ece": 100 * error * chance.uniform(0.05, 0.2),
                    "nll": error * 4,
                    "brier": error * 1.4,
                    "coverage": [[k / 10, 100 - 100 * error * k / 10] for k in range(1, 11)],
                },
            }
        else:
            record |= {"metrics": {}, "failure": "RuntimeError: CUDA out of memory", "timing": {"started": 1.0}}
        folder = self.root.joinpath(*(word.replace("/", "_").replace('"', "") for word in words))
        folder.mkdir(parents=True)
        (folder / "run.json").write_text(json.dumps(record))
        self.count += 1


def write(root: Path) -> int:
    """Write the study's records below `root`; return how many."""
    study = Study(root)
    for method in METHODS:
        for seed in SEEDS:
            for dataset in DATASETS:
                for part in ("base", "new"):
                    lost = (method, dataset, part, seed) == ("MMA", "UCF101", "new", 3)
                    study.run("base2new", part, dataset, method, seed, status="failed" if lost else "complete")
            study.run("cross_dataset", "source", "ImageNet", method, seed)
            for dataset in DATASETS[1:]:
                study.run("cross_dataset", "target", dataset, method, seed)
            for dataset in VARIANTS:
                study.run("domain_generalization", "target", dataset, method, seed)
    for method in ("CoOp", "MMRL", "MMRLpp"):
        for seed in SEEDS:
            for dataset in DATASETS:
                for shots in (1, 2, 4, 8, 16):
                    study.run("few_shot", "all", dataset, method, seed, shots)
    for value in (0.1, 0.3, 0.5, 0.7, 0.9, 1.0):
        for seed in SEEDS:
            for part in ("base", "new"):
                swept = {"TRAINER.MMRL.ALPHA": value}
                study.run("base2new", part, "EuroSAT", "MMRL", seed, swept=swept)
    for seed in SEEDS:
        study.run("base2new", "base", "EuroSAT", "MMRL", seed, swept={"TRAINER.MMRL.ALPHA": 0.0})
    assert study.count <= SIZE, study.count
    for i in range(SIZE - study.count):
        study.run("few_shot", "all", DATASETS[9 - i // 3], "ZeroshotCLIP", i % 3 + 1, 1)
    return study.count
