"""Picture/annotation pairs of emoji sets, read from unpacked npm packages: what the tiny CLIP learns from.

Pictures come from Iconify's `icons.json` files, annotations (label, tags, subgroup) from `emojibase-data`.
OpenMoji is not among them: its pictures are what the model is tested on.
"""

from __future__ import annotations

import io
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from tools.emoji_classes import CLASS_OF_SUBGROUP

PICTURE_SETS = {  # npm package below @iconify-json: licence
    "noto": "Apache-2.0",
    "noto-v1": "Apache-2.0",
    "twemoji": "CC-BY-4.0",
    "fluent-emoji": "MIT",
    "fluent-emoji-flat": "MIT",
    "fluent-emoji-high-contrast": "MIT",
}
ANNOTATIONS = "emojibase-data"  # MIT


@dataclass
class Emoji:
    """One meaning with all pictures of it.

    Attributes:
        label: its name, "red apple".
        phrases: everything that may be said of it: the name, the tags, the class name if there is one.
        class_name: class of the embedded dataset, None for subgroups that are in no class.
        subgroup: group and subgroup in Unicode's order of emojis.
        pictures: rows of the picture array.
    """

    label: str
    phrases: list[str]
    class_name: str | None
    subgroup: tuple[str, str]
    pictures: list[int] = field(default_factory=list)


def read_pairs(packages: Path, side: int) -> tuple[list[Emoji], np.ndarray]:
    """All emojis with at least one picture, and the pictures as (N, 3, side, side) uint8 on white.

    Args:
        packages: folder with one sub-folder per unpacked package, `noto`, ..., `emojibase-data`.
        side: in pixels.

    Raises:
        FileNotFoundError: a package is missing; the message names it.
    """
    emojis = _annotations(packages / ANNOTATIONS)
    by_name = {_slug(emoji.label): code for code, emoji in emojis.items()}
    icons = {name: _read(packages / name / "icons.json") for name in PICTURE_SETS}
    for name in PICTURE_SETS:
        if (packages / name / "chars.json").exists():
            codes = _read(packages / name / "chars.json").items()
            by_name |= {icon: _plain(code) for code, icon in codes if _plain(code) in emojis}
    pictures = []
    for content in icons.values():
        for icon, picture in sorted(content["icons"].items()):
            if (code := by_name.get(icon)) is not None:
                emojis[code].pictures.append(len(pictures))
                pictures.append(_render(picture, content, side))
    return [emoji for emoji in emojis.values() if emoji.pictures], np.stack(pictures)


def _annotations(package: Path) -> dict[str, Emoji]:
    messages = _read(package / "en" / "messages.json")
    groups, subgroups = ({m["order"]: m["key"] for m in messages[kind]} for kind in ("groups", "subgroups"))
    emojis = {}
    for entry in _read(package / "en" / "data.json"):
        if "subgroup" not in entry:  # letters that only build flags
            continue
        label = entry["label"].replace(":", "").lower()
        subgroup = (groups[entry["group"]], subgroups[entry["subgroup"]])
        name = CLASS_OF_SUBGROUP.get(subgroup)
        said = [label, *(tag.lower() for tag in entry.get("tags", [])), *([name] if name else [])]
        emojis[_plain(entry["hexcode"])] = Emoji(label, list(dict.fromkeys(said)), name, subgroup)
    return emojis


def _read(path: Path) -> dict | list:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: unpack the npm package, see pretrain_tiny_clip.py.")
    return json.loads(path.read_text(encoding="utf-8"))


def _plain(code: str) -> str:
    """Code points in upper case without the sign that asks for a coloured picture."""
    return "-".join(part for part in code.upper().split("-") if part != "FE0F")


def _slug(label: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")


def _render(icon: dict, icons: dict, side: int) -> np.ndarray:
    import resvg_py

    width, height = icon.get("width", icons["width"]), icon.get("height", icons["height"])
    body = icon["body"].replace("currentColor", "#000")
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{icon.get("left", 0)} {icon.get("top", 0)} {width} {height}">{body}</svg>'
    )
    png = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=side, height=side, background="#ffffff"))
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    return np.asarray(picture.resize((side, side))).transpose(2, 0, 1)
