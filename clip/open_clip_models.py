"""Models by their open_clip names: open_clip:ARCHITECTURE/TAG, or a local file in place of the tag.

open_clip_torch only gives an architecture's sizes and the place of its weights; the network is this project's, and
`clip.weights` reads the weights. A model of another architecture than OpenAI's is refused, with the reason.
"""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from torch import nn

from clip.architecture import Architecture
from clip.block import QuickGELU
from clip.pretrained import UnknownModelError
from clip.tokenizer import SIZE as VOCABULARY_SIZE
from safeio.errors import UserError
from safeio.read_back import parse_json, read_back

PREFIX = "open_clip:"
CONFIG, FILES = "open_clip_config.json", ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
"""Files of a folder written by open_clip_torch or copied from a model hub."""

TOP = {"embed_dim", "vision_cfg", "text_cfg", "quick_gelu", "init_logit_scale"}
VISION = {"image_size", "layers", "width", "patch_size", "head_width", "mlp_ratio"}
TEXT = {"context_length", "vocab_size", "width", "heads", "layers", "mlp_ratio"}


class UnsupportedModelError(UserError, ValueError):
    """An open_clip model of another architecture than OpenAI's; the message says what differs."""


def is_open_clip(name: str) -> bool:
    """Return True for one of open_clip's names, or a folder that open_clip_torch has written."""
    folder = Path(name).expanduser()
    return name.startswith(PREFIX) or ((folder / CONFIG).is_file() and any((folder / file).is_file() for file in FILES))


def find(name: str) -> tuple[Path, Architecture]:
    """Return a model's weights file, downloaded by open_clip_torch if necessary, and its architecture.

    Args:
        name: `open_clip:ARCHITECTURE/TAG`, `open_clip:ARCHITECTURE/FILE` (an absolute path then stands after two
            slashes), or `open_clip:FOLDER` with the configuration that open_clip_torch writes beside weights.

    Raises:
        UnknownModelError: no such architecture, tag or file; or open_clip_torch is needed and not installed.
        UnsupportedModelError: another architecture than OpenAI's.
    """
    given = name.removeprefix(PREFIX)
    folder = Path(given).expanduser()
    if folder.is_dir():
        return _of_folder(folder)
    architecture, _, source = given.partition("/")
    config = _config_of(architecture)
    if source and (file := Path(source).expanduser()).is_file():
        return file, as_architecture(config, architecture)
    return _of_tag(architecture, source, config)


def is_resnet(name: str) -> bool:
    """Return True if a model's open_clip name is a ResNet's; a folder must be read to know."""
    given = name.removeprefix(PREFIX)
    if Path(given).expanduser().is_dir():
        return False
    vision = _config_of(given.partition("/")[0]).get("vision_cfg", {})
    return isinstance(vision.get("layers"), list | tuple)


def as_architecture(
    config: Mapping[str, Any], name: str, about_images: Mapping[str, Any] | None = None, quick_gelu: bool = False
) -> Architecture:
    """Read the parts of open_clip's model description that the weights do not determine.

    Args:
        config: `embed_dim`, `vision_cfg`, `text_cfg` and so on, as in open_clip_torch's files.
        about_images: `mean`, `std`, `resize_mode`, where they are known.
        quick_gelu: the weights were trained with it, whatever the description says.

    Raises:
        UnsupportedModelError: the description asks for something that OpenAI's architecture does not have.
    """
    if reason := why_not(config):
        raise UnsupportedModelError(
            f"{PREFIX}{name} cannot be a backbone: {reason}. Backbones have OpenAI's architecture: a CLIP ViT or "
            "ResNet with a causal text encoder that reads OpenAI's tokens (docs/backbones.md)."
        )
    vision, text, images = config["vision_cfg"], config["text_cfg"], about_images or {}
    layers = vision["layers"]
    stages = isinstance(layers, list | tuple)
    declared = {
        "embed_dim": config["embed_dim"],
        "vision_layers": tuple(layers) if stages else layers,
        "vision_width": vision["width"],
        "vision_heads": vision["width"] * (32 if stages else 1) // vision.get("head_width", 64),
        "transformer_width": text["width"],
        "transformer_heads": text["heads"],
        "transformer_layers": text["layers"],
    }
    if images.get("resize_mode", "shortest") != "shortest":
        warnings.warn(
            f"{PREFIX}{name} was trained on images brought to size by {images['resize_mode']!r}; here the shorter "
            "edge is resized and the middle cut out, so its accuracy may differ from what is published.",
            stacklevel=2,
        )
    activation = QuickGELU if quick_gelu or config.get("quick_gelu") else nn.GELU
    mean, std = (tuple(images[key]) if key in images else None for key in ("mean", "std"))
    return Architecture(activation, declared, mean, std)


def why_not(config: Mapping[str, Any]) -> str:
    """Return the features that keep a model from being OpenAI's architecture; empty if there are none."""
    vision, text = config.get("vision_cfg", {}), config.get("text_cfg", {})
    if "multimodal_cfg" in config:
        return "it is a CoCa, which has a text decoder and pools its image tokens by attention"
    if "timm_model_name" in vision:
        return f"its image encoder is timm's {vision['timm_model_name']} (so are SigLIP's, EVA's and ConvNeXt's)"
    if "hf_model_name" in text:
        return f"its text encoder is Hugging Face's {text['hf_model_name']}"
    if "init_logit_bias" in config:
        return "it was trained with SigLIP's loss, whose scores need a bias"
    if "hf_tokenizer_name" in text or text.get("vocab_size", VOCABULARY_SIZE) != VOCABULARY_SIZE:
        return f"its text encoder reads the tokens of {text.get('hf_tokenizer_name', 'another vocabulary')}"
    foreign = [f"vision_cfg.{key} = {vision[key]!r}" for key in sorted(vision.keys() - VISION)]
    foreign += [f"text_cfg.{key} = {text[key]!r}" for key in sorted(text.keys() - TEXT)]
    foreign += [f"{key} = {config[key]!r}" for key in sorted(config.keys() - TOP)]
    return f"it has {', '.join(foreign)}, which OpenAI's has not" if foreign else ""


def _of_folder(folder: Path) -> tuple[Path, Architecture]:
    files = [folder / file for file in FILES if (folder / file).is_file()]
    if not files or not (folder / CONFIG).is_file():
        raise UnknownModelError(
            f"{folder} is no folder of an open_clip model: it needs {CONFIG} and {' or '.join(FILES)}."
        )

    def described(path: Path) -> Architecture:
        content = parse_json(path.read_bytes())
        return as_architecture(content.get("model_cfg", content), str(folder), content.get("preprocess_cfg"))

    return files[0], read_back(folder / CONFIG, described, what="the description of an open_clip model")


def _of_tag(architecture: str, tag: str, config: Mapping[str, Any]) -> tuple[Path, Architecture]:
    import open_clip

    about = open_clip.get_pretrained_cfg(architecture, tag) if tag else {}
    if not about:
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(architecture)) or "none: give a file"
        raise UnknownModelError(
            f"{PREFIX}{architecture}/{tag}: {tag!r} is neither a tag of this architecture nor a file. Tags: {tags}."
        )
    described = as_architecture(config, architecture, about, about.get("quick_gelu", False))  # refuses before loading
    try:
        return Path(open_clip.download_pretrained(about)), described
    except Exception as error:  # whatever the hub's client, or the network, may raise
        raise UnknownModelError(
            f"The weights {PREFIX}{architecture}/{tag} could not be fetched: {error}. On a machine without network, "
            f"copy the weights file there and write {PREFIX}{architecture}/PATH-OF-THE-FILE."
        ) from error


def _config_of(architecture: str) -> dict[str, Any]:
    if find_spec("open_clip") is None:
        raise UnknownModelError(
            f"The architecture {architecture!r} needs the package open_clip_torch, which is not installed: "
            f"pip install -e '.[open-clip]', or give a folder with {CONFIG} beside the weights."
        )
    import open_clip  # optional, and slow to import

    config = open_clip.get_model_config(architecture)
    if config is None:
        near = difflib.get_close_matches(architecture, open_clip.list_models(), 3, cutoff=0.3)
        raise UnknownModelError(
            f"open_clip has no architecture {architecture!r}. The name is {PREFIX}ARCHITECTURE/TAG; "
            f"near ones: {', '.join(near) or 'none'}."
        )
    return config
