"""Make the embedded datasets from packed photographs: a tar of small WebP images, its index and a split file each.

    python -m tools.photo_clip.pack_images PHOTOS

Writes `datasets/embedded/caltech101_64` and `datasets/embedded/clothing_64`. Names, labels and parts are those of the
packs; images are scaled to a short side of 64 pixels.
"""

from __future__ import annotations

import argparse
import io
import json
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

from safeio.atomic import atomic_write, atomic_write_text

EMBEDDED = Path(__file__).parents[2] / "datasets" / "embedded"
PACKS = {
    "caltech101_64": ("caltech101_short96.npz", "split_zhou_Caltech101.json"),
    "clothing_64": ("clothing_short96.npz", "split_clothing.json"),
}
PARTS = {"train": "train", "val": "val", "validation": "val", "test": "test"}
SIDE, QUALITY = 64, 66


def small(data: bytes) -> bytes:
    """Scale an encoded image to a short side of 64 pixels; returns WebP."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    scale = SIDE / min(image.size)
    image = image.resize([max(SIDE, round(length * scale)) for length in image.size], Image.Resampling.LANCZOS)
    out = io.BytesIO()
    image.save(out, "WEBP", quality=QUALITY, method=6)
    return out.getvalue()


def pack(source: Path, folder: Path, split_file: str) -> None:
    """Write `images.tar`, its index `images.json` and the split file of one dataset."""
    folder.mkdir(parents=True, exist_ok=True)
    split: dict[str, list] = {"train": [], "val": [], "test": []}
    with np.load(source) as packed, atomic_write(folder / "images.tar") as file:
        data, offsets = packed["bytes"], packed["offsets"]
        with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for i, (label, described) in enumerate(zip(packed["labels"], packed["names"], strict=True)):
                part, path, name = str(described).split("|")
                image = small(data[offsets[i] : offsets[i + 1]].tobytes())
                member = tarfile.TarInfo(path)
                member.size = len(image)
                tar.addfile(member, io.BytesIO(image))
                split[PARTS[part]].append([path, int(label), name])
    with tarfile.open(folder / "images.tar") as tar:
        index = {member.name: [member.offset_data, member.size] for member in tar}
    atomic_write_text(folder / "images.json", json.dumps(index, separators=(",", ":")).replace('],"', '],\n"') + "\n")
    rows = {part: [json.dumps(row) for row in items] for part, items in split.items()}
    text = ",\n".join(f'"{part}": [\n' + ",\n".join(items) + "\n]" for part, items in rows.items())
    atomic_write_text(folder / split_file, "{\n" + text + "\n}\n")


def main() -> None:
    """Read the command line and pack both datasets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="folder with the packed photographs")
    args = parser.parse_args()
    for name, (source, split_file) in PACKS.items():
        pack(args.photos / source, EMBEDDED / name, split_file)


if __name__ == "__main__":
    main()
