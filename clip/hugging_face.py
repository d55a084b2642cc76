"""CLIP in Hugging Face's layout: a folder or cache of a `CLIPModel`, or a name on the hub.

`config.json` gives what the weights do not show (heads, activation), `preprocessor_config.json` the normalisation of
images. `clip.weights` reads the weights; the hub's client only fetches files.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from torch import nn

from clip.architecture import Architecture
from clip.block import QuickGELU
from clip.pretrained import FILE_SUFFIXES, UnknownModelError
from safeio.errors import UserError
from safeio.read_back import number, read_back, read_json

PREFIX = "hf:"
CONFIG, PREPROCESSOR, PROCESSOR = "config.json", "preprocessor_config.json", "processor_config.json"
FILES = ("model.safetensors", "pytorch_model.bin")
INDEXES = tuple(f"{file}.index.json" for file in FILES)
"""Index of weights that are split over several files: tensor -> file."""
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")

TEXT_DEFAULTS = {"hidden_size": 512, "num_hidden_layers": 12, "num_attention_heads": 8}
VISION_DEFAULTS = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "image_size": 224,
                   "patch_size": 32}  # fmt: skip
"""Defaults of `CLIPConfig`, which a config.json may leave out."""
COMMON_DEFAULTS = {"hidden_act": "quick_gelu", "layer_norm_eps": 1e-5}
SIZES = {"projection_dim": 512, "max_position_embeddings": 77, "vocab_size": 49408}
"""Defaults of `CLIPConfig` and of its text_config."""
ENCODER = {
    **dict.fromkeys(("hidden_size?", "num_hidden_layers?", "num_attention_heads?", "image_size?", "patch_size?"), int),
    **dict.fromkeys(("max_position_embeddings?", "vocab_size?"), int),
    "hidden_act?": str,
    "layer_norm_eps?": number,
}
CONTENT = {"model_type?": str, "architectures?": [str], "projection_dim?": int, "text_config?": ENCODER,
           "vision_config?": ENCODER, "text_config_dict?": ENCODER, "vision_config_dict?": ENCODER}  # fmt: skip
INDEX = {"weight_map": {str: str}}
PREPARATION = {"image_mean?": [number], "image_std?": [number], "rescale_factor?": number}
"""Shapes of config.json, of an index, and of what a processor says."""
ACTIVATIONS: dict[str, type[nn.Module]] = {"quick_gelu": QuickGELU, "gelu": nn.GELU}
LAYER_NORM_EPS = 1e-5
BICUBIC = 3  # in Pillow's numbers


class UnsupportedLayout(UserError, ValueError):
    """A Hugging Face folder or file that is incomplete, or is no CLIP of OpenAI's architecture."""


def is_hugging_face(name: str) -> bool:
    """Return True for a folder with a config.json, a file in a CLIPModel's folder, or a name on the hub."""
    path = Path(name).expanduser()
    if path.is_dir():
        return (snapshot(path) / CONFIG).is_file()
    if path.is_file():
        return _model_type(path.parent) == "clip"
    return bool(hub_name(name))


def hub_name(name: str) -> str:
    """Return the hub name OWNER/NAME in a text: after the prefix `hf:`, or if the text can mean nothing else."""
    if name.startswith(PREFIX):
        return name.removeprefix(PREFIX)
    path = Path(name)
    local = path.suffix in FILE_SUFFIXES or path.parent.exists() or name.lower().startswith("vit-")
    return name if HUB_NAME.fullmatch(name) and not local else ""


def find(name: str) -> tuple[Path, Architecture]:
    """Return the folder or file of a model's weights, and what its configuration says.

    Args:
        name: a folder, a weights file beside a config.json, or `OWNER/NAME` on the hub, also `hf:OWNER/NAME`.

    Raises:
        UnknownModelError: the hub has no such model, or cannot be reached.
        UnsupportedLayout: another architecture, or files are missing.
    """
    path = Path(name).expanduser()
    if not path.exists() and (owner_and_name := hub_name(name)):
        path = _from_hub(owner_and_name)
    folder = snapshot(path) if path.is_dir() else path.parent
    architecture = read_architecture(folder)
    if path.is_file():
        return path, architecture
    weights_files(folder)  # refuses a folder without weights
    return folder, architecture


def snapshot(folder: Path) -> Path:
    """Return the folder itself or, of a model in the hub's cache (`models--OWNER--NAME`), its newest snapshot."""
    if not (folder / "snapshots").is_dir():
        return folder
    main = folder / "refs" / "main"
    if main.is_file():
        revision = read_back(main, lambda path: path.read_text(encoding="ascii").strip(), "Download the model again.")
        if (named := folder / "snapshots" / Path(revision).name).is_dir():
            return named
    found = sorted((folder / "snapshots").iterdir(), key=lambda path: path.stat().st_mtime)
    return found[-1] if found else folder


def weights_files(folder: Path) -> list[Path]:
    """Return the files of a model's weights: one, or those that an index names.

    Raises:
        UnsupportedLayout: there are none, or some are missing.
    """
    for file, index in zip(FILES, INDEXES, strict=True):
        if (folder / file).is_file():
            return [folder / file]
        if (folder / index).is_file():
            parts = sorted(set(_json(folder / index, INDEX)["weight_map"].values()))
            if odd := [part for part in parts if Path(part).name != part]:
                raise UnsupportedLayout(f"{folder / index} names files outside of its folder: {', '.join(odd[:3])}.")
            if missing := [part for part in parts if not (folder / part).is_file()]:
                raise UnsupportedLayout(
                    f"{folder} is a CLIPModel in {len(parts)} files, of which {len(missing)} are missing: "
                    f"{', '.join(missing[:3])}."
                )
            return [folder / part for part in parts]
    found = sorted(file.name for file in folder.glob("*"))
    others = [name for name in found if name.endswith((".h5", ".msgpack", ".onnx", ".gguf"))]
    torch = [name for name in found if Path(name).suffix in FILE_SUFFIXES]
    hint = f" {', '.join(others[:3])} are of other frameworks." if others else ""
    if any(re.search(r"-of-\d+\.", name) for name in torch):
        hint = f" {', '.join(torch[:3])} are parts of such a file; their index is missing ({' or '.join(INDEXES)})."
    elif any(name.startswith("open_clip_") for name in torch):
        hint = f" {torch[0]} is in open_clip's layout: open_clip:{folder}, with open_clip_config.json in it."
    elif torch:
        hint = f" There is {', '.join(torch[:3])}: if those are the weights, give that file."
    raise UnsupportedLayout(
        f"{folder} is a Hugging Face folder ({CONFIG} is there), but lacks the weights: {' or '.join(FILES)}.{hint}"
    )


def read_architecture(folder: Path) -> Architecture:
    """Read what `config.json` and `preprocessor_config.json` say beyond the weights.

    Raises:
        UnsupportedLayout: the configuration is of another architecture than OpenAI's.
    """
    config = _json(folder / CONFIG, CONTENT)
    kind = config.get("model_type")
    if kind != "clip" or "CLIPModel" not in (config.get("architectures") or ["CLIPModel"]):
        what = ", ".join(config.get("architectures") or [str(kind)])
        raise UnsupportedLayout(
            f"{folder} is a Hugging Face model of another kind: {what}. A backbone is a CLIPModel with both encoders "
            f"(model_type 'clip')."
        )
    sizes = SIZES | {key: config[key] for key in SIZES if config.get(key) is not None}
    text = sizes | TEXT_DEFAULTS | _part(config, "text_config")
    vision = VISION_DEFAULTS | _part(config, "vision_config")
    activations = {part["hidden_act"] for part in (text, vision)}
    if len(activations) > 1 or not activations <= set(ACTIVATIONS):
        raise UnsupportedLayout(
            f"{folder / CONFIG}: hidden_act is {', '.join(sorted(activations))}; it must be the same for both, "
            f"quick_gelu or gelu."
        )
    if any(abs(part["layer_norm_eps"] - LAYER_NORM_EPS) > 1e-9 for part in (text, vision)):
        raise UnsupportedLayout(f"{folder / CONFIG}: layer_norm_eps is not {LAYER_NORM_EPS}, as in OpenAI's CLIP.")
    if text["vocab_size"] < SIZES["vocab_size"]:
        raise UnsupportedLayout(
            f"{folder / CONFIG}: vocab_size is {text['vocab_size']}, so its tokenizer is not OpenAI's "
            f"({SIZES['vocab_size']}), which is used here for class names."
        )
    declared = {
        "embed_dim": sizes["projection_dim"],
        "image_resolution": vision["image_size"],
        "context_length": text["max_position_embeddings"],
        "vision_layers": vision["num_hidden_layers"],
        "vision_width": vision["hidden_size"],
        "vision_heads": vision["num_attention_heads"],
        "vision_patch_size": vision["patch_size"],
        "transformer_width": text["hidden_size"],
        "transformer_heads": text["num_attention_heads"],
        "transformer_layers": text["num_hidden_layers"],
    }
    mean, std = _normalisation(folder, vision["image_size"])
    return Architecture(ACTIVATIONS[activations.pop()], declared, mean, std)


def _part(config: dict[str, Any], name: str) -> dict[str, Any]:
    """Return what the configuration says of an encoder, and the defaults of both."""
    said = (config.get(f"{name}_dict") or {}) | (config.get(name) or {})
    return COMMON_DEFAULTS | {key: value for key, value in said.items() if value is not None}


def _normalisation(folder: Path, side: int) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    """Read the channel statistics of the processor, whose image size must be the model's.

    Raises:
        UnsupportedLayout: the processor prepares images of another size, or in another range of values.
    """
    file, about = _preparation(folder)
    crop = about.get("crop_size") if about.get("do_center_crop", True) else about.get("size")
    sides = set(crop.values()) if isinstance(crop, dict) else {crop}
    if crop and sides != {side}:
        raise UnsupportedLayout(
            f"{file} prepares images of {' x '.join(map(str, sorted(sides, key=str)))} pixels, but "
            f"{CONFIG} says that the model takes {side} (image_size). One of the files is of another model."
        )
    if abs((about.get("rescale_factor") or 1 / 255) * 255 - 1) > 1e-3:
        raise UnsupportedLayout(f"{file}: rescale_factor is {about['rescale_factor']}; it must be 1/255.")
    _warn_of_other_crops(file, about, side)
    if about.get("do_normalize") is False:
        return (0.0,) * 3, (1.0,) * 3
    mean, std = about.get("image_mean"), about.get("image_std")
    if not mean and not std:
        return None, None
    if len(mean or ()) != 3 or len(std or ()) != 3 or min(std) <= 0:
        raise UnsupportedLayout(
            f"{file}: expected three numbers each for image_mean and image_std, the latter above 0; found {mean} and "
            f"{std}."
        )
    return tuple(map(float, mean)), tuple(map(float, std))


def _preparation(folder: Path) -> tuple[Path, dict[str, Any]]:
    """Return the file that says how images are prepared, and what it says; nothing where there is none."""
    if (folder / PREPROCESSOR).is_file():
        return folder / PREPROCESSOR, _json(folder / PREPROCESSOR, PREPARATION)
    if (folder / PROCESSOR).is_file():  # of transformers 5, which has the tokenizer in it too
        content = _json(folder / PROCESSOR, {"image_processor?": PREPARATION})
        return folder / PROCESSOR, content.get("image_processor") or {}
    return folder / PREPROCESSOR, {}


def _warn_of_other_crops(file: Path, about: dict[str, Any], side: int) -> None:
    """Warn if a processor scales or crops images differently from this project's test transform."""
    size = about.get("size")
    edges = set(size.values()) if isinstance(size, dict) else {size or side}
    found = ["without a crop"] if about.get("do_center_crop") is False else []
    found += [f"from images scaled to {max(edges, key=str)} pixels"] if edges != {side} else []
    found += ["with another interpolation than bicubic"] if about.get("resample", BICUBIC) != BICUBIC else []
    if found:
        warnings.warn(
            f"{file} prepares images {', '.join(found)}. Here the shorter edge becomes {side} pixels, bicubic, and the "
            f"middle is taken: features may differ a little from those of the model's own processor.",
            stacklevel=2,
        )


def _model_type(folder: Path) -> str | None:
    try:
        return _json(folder / CONFIG).get("model_type")
    except UserError:
        return None


def _json(file: Path, shape: Any = dict) -> dict[str, Any]:
    return read_json(file, shape)


def _from_hub(name: str) -> Path:
    """Return the folder of a model on the hub: the cache's copy, else downloaded.

    Raises:
        UnknownModelError: it cannot be downloaded; the message says how to provide it without network.
    """
    if find_spec("huggingface_hub") is None:
        raise UnknownModelError(
            f"The model {name!r} on the Hugging Face hub needs huggingface_hub: pip install huggingface_hub, or "
            f"download the folder elsewhere and give its path."
        )
    import huggingface_hub  # optional, and slow to import

    wanted = [CONFIG, PREPROCESSOR, PROCESSOR, *INDEXES, "*.safetensors"]
    get: Callable[..., str] = huggingface_hub.snapshot_download
    try:
        cached = Path(get(name, allow_patterns=wanted, local_files_only=True))
        weights_files(cached)
        return cached
    except Exception:  # not in the cache, or not whole: the client has many kinds of errors
        pass
    try:
        folder = Path(get(name, allow_patterns=wanted))
        if not list(folder.glob("*.safetensors")):
            folder = Path(get(name, allow_patterns=[*wanted, "pytorch_model*.bin"]))
        return folder
    except Exception as error:  # whatever the client, or the network, may raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UnknownModelError(
            f"The model {name!r} is not in the Hugging Face cache and could not be downloaded ({reason}). On a machine "
            f"with network: hf download {name} --local-dir FOLDER; copy FOLDER here and give its path."
        ) from error
