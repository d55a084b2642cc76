"""Make the embedded dataset from the npm package `openmoji` (CC BY-SA 4.0): pictures, line-art twins, split.

    npm pack openmoji@17.0.0 && tar xzf openmoji-17.0.0.tgz
    pip install resvg-py==0.5.0
    python tools/build_openmoji.py package/

Deterministic: the same package gives the same files. Nothing here runs at installation or at run time.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import shutil
import sys
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from PIL import Image

from tools.emoji_classes import CLASS_OF_SUBGROUP

TARGET = Path(__file__).parent.parent / "datasets" / "embedded" / "openmoji"
SIDE = 64  # pixels
COLOURS = {"color": 64, "black": 8}  # palette entries per style; more cannot be told apart at this size
MOST_PER_CLASS = 70
LEAST_PER_CLASS = 24
LEAST_TRAIN = 16  # so that 16 shots are 16 different pictures
SEED = 1


def main() -> None:
    """Render, split, write."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("package", type=Path, help="the unpacked npm package")
    package = parser.parse_args().package
    for part in ("images", "line"):
        shutil.rmtree(TARGET / part, ignore_errors=True)
    split = {"train": [], "val": [], "test": []}
    for label, (name, codes) in enumerate(sorted(codes_of_classes(package).items())):
        for part, chosen in cut(codes).items():
            for code in chosen:
                picture = f"{name.replace(' ', '_')}/{code}.png"
                write(render(package, "color", code), TARGET / "images" / picture)
                if part == "test":
                    write(render(package, "black", code), TARGET / "line" / picture)
                split[part].append([picture, label, name])
    text = json.dumps(split, indent=4, separators=(",", ": "))
    write(text.encode(), TARGET / "split_zhou_OpenMoji.json")
    print({part: len(items) for part, items in split.items()}, "pictures of", label + 1, "classes in", TARGET)


def codes_of_classes(package: Path) -> dict[str, list[str]]:
    """Code points of every class with enough emojis, one per distinct picture, in the package's order."""
    found, seen = defaultdict(list), set()
    for emoji in json.loads((package / "data" / "openmoji.json").read_text(encoding="utf-8")):
        name = CLASS_OF_SUBGROUP.get((emoji["group"], emoji["subgroups"]))
        if name is None or is_variant(emoji):
            continue
        picture = render(package, "color", emoji["hexcode"])
        if picture not in seen:
            seen.add(picture)
            found[name].append(emoji["hexcode"])
    return {name: codes for name, codes in found.items() if len(codes) >= LEAST_PER_CLASS}


def is_variant(emoji: dict) -> bool:
    """Return whether an emoji differs only in skin tone or gender: it would leak from train to test."""
    code = emoji["hexcode"]
    gendered = code.startswith(("1F468-", "1F469-")) or any(sign in code for sign in ("-2640", "-2642"))
    return bool(emoji["skintone"]) or gendered


def cut(codes: list[str]) -> dict[str, list[str]]:
    """Half for training but at least 16, a tenth for validation, the rest for testing; at most 70 in all."""
    order = list(codes)
    random.Random(f"{SEED} {codes[0]}").shuffle(order)
    order = order[:MOST_PER_CLASS]
    train = max(LEAST_TRAIN, round(0.5 * len(order)))
    val = train + max(2, round(0.1 * len(order)))
    return {"train": order[:train], "val": order[train:val], "test": order[val:]}


def render(package: Path, style: str, code: str) -> bytes:
    """A palette PNG of SIDE x SIDE pixels on white; `style` is the package's folder, color or black."""
    import resvg_py

    svg = package / style / "svg" / f"{code}.svg"
    png = bytes(resvg_py.svg_to_bytes(svg_path=str(svg), width=SIDE, height=SIDE, background="#ffffff"))
    picture = Image.open(io.BytesIO(png)).convert("RGB").quantize(COLOURS[style], dither=Image.Dither.NONE)
    out = io.BytesIO()
    picture.save(out, "PNG", optimize=True)
    return out.getvalue()


def write(content: bytes, path: Path) -> None:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


if __name__ == "__main__":
    main()
