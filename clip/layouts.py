"""Layouts that the weights of a CLIP are published in, brought to OpenAI's names.

The name of the token embedding shows the layout, and the prefix that a wrapper has added: `module.` (data parallel),
`model.` (Lightning), `clip_model.` and others.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from safeio.errors import UserError

CONTAINERS = ("state_dict", "model_state_dict", "model", "module", "model_state", "net", "weights", "params")
"""Keys under which training checkpoints keep the weights."""
NOT_WEIGHTS = {"input_resolution", "context_length", "vocab_size", "attn_mask"}
"""Stored beside the weights, but not part of them: shapes in OpenAI's archives, a causal mask in open_clip's."""
ANCHORS = {
    "hugging_face": "text_model.embeddings.token_embedding.weight",
    "open_clip": "text.token_embedding.weight",
    "openai": "token_embedding.weight",
}
"""Names of the token embedding, the longest first."""
LAYER = {
    "self_attn.out_proj": "attn.out_proj",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}
"""A block's parts: Hugging Face's name -> OpenAI's."""
OUTSIDE = {
    "logit_scale": "logit_scale",
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.final_layer_norm.weight": "ln_final.weight",
    "text_model.final_layer_norm.bias": "ln_final.bias",
    "vision_model.embeddings.class_embedding": "visual.class_embedding",
    "vision_model.embeddings.patch_embedding.weight": "visual.conv1.weight",
    "vision_model.embeddings.position_embedding.weight": "visual.positional_embedding",
    "vision_model.pre_layrnorm.weight": "visual.ln_pre.weight",
    "vision_model.pre_layrnorm.bias": "visual.ln_pre.bias",
    "vision_model.post_layernorm.weight": "visual.ln_post.weight",
    "vision_model.post_layernorm.bias": "visual.ln_post.bias",
}
TRANSPOSED = {"text_projection.weight": "text_projection", "visual_projection.weight": "visual.proj"}
BLOCK = re.compile(r"(text|vision)_model\.encoder\.layers\.(\d+)\.(.+)\.(weight|bias)")


class LayoutError(UserError, ValueError):
    """Weights of a known layout of which a part is missing; the message says which."""


def named_tensors(content: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint: its own, or those under the key that holds the weights."""
    tensors = {name: value for name, value in content.items() if isinstance(value, Tensor)}
    for key in CONTAINERS:
        inner = content.get(key)
        if isinstance(inner, Mapping) and (found := named_tensors(inner)):
            return found
    return tensors


def openai_layout(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights under OpenAI's names.

    Raises:
        LayoutError: there are two CLIPs, or Hugging Face's layout lacks an encoder.
    """
    layout, prefix = _layout(tensors)
    inside = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    if left := [name for name in tensors if not name.startswith(prefix)]:
        warnings.warn(f"{len(left)} entries outside of the CLIP at {prefix!r} are ignored: {left[0]} ...", stacklevel=3)
    if layout == "hugging_face":
        inside = of_hugging_face(inside)
    found = {name.removeprefix("text."): value for name, value in inside.items()}
    found = {name: value for name, value in found.items() if name not in NOT_WEIGHTS}
    if "logit_scale" in found and found["logit_scale"].numel() == 1:
        found["logit_scale"] = found["logit_scale"].reshape(())  # open_clip can keep it as a vector
    return found


def _layout(tensors: Mapping[str, Tensor]) -> tuple[str, str]:
    """Return which layout weights are in, and the prefix before all of its names."""
    for layout, anchor in ANCHORS.items():
        prefixes = [n.removesuffix(anchor) for n in tensors if n == anchor or n.endswith("." + anchor)]
        if len(prefixes) > 1:
            raise LayoutError(
                f"it holds {len(prefixes)} CLIPs, at {' and '.join(repr(prefix) for prefix in prefixes[:3])}: save one "
                f"of them in a file of its own."
            )
        if prefixes:
            return layout, prefixes[0]
    if any(name.startswith(("text_model.", "vision_model.")) for name in tensors):
        return "hugging_face", ""
    return "openai", ""


def of_hugging_face(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of a `CLIPModel` under OpenAI's names; queries, keys and values are joined.

    Raises:
        LayoutError: one of the encoders or a projection is missing; the message says which.
    """
    missing = [
        part for part in ("text_model.", "vision_model.", *TRANSPOSED) if not any(n.startswith(part) for n in tensors)
    ]
    if missing:
        raise LayoutError(
            f"these are weights in Hugging Face's layout, but {', '.join(missing)} is missing: a CLIPModel has both "
            f"encoders and both projections."
        )
    found: dict[str, Tensor] = {}
    projections: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name in OUTSIDE:
            found[OUTSIDE[name]] = tensor
        elif name in TRANSPOSED:
            found[TRANSPOSED[name]] = tensor.t().contiguous()
        elif block := BLOCK.fullmatch(name):
            encoder, number, part, kind = block.groups()
            place = f"{'visual.' if encoder == 'vision' else ''}transformer.resblocks.{number}"
            if part in LAYER:
                found[f"{place}.{LAYER[part]}.{kind}"] = tensor
            else:
                projections.setdefault(f"{place}.attn.in_proj_{kind}", {})[part.rpartition(".")[2]] = tensor
        elif not name.endswith("position_ids"):  # a buffer of older versions
            found[name] = tensor
    for name, parts in projections.items():
        if set(parts) == {"q_proj", "k_proj", "v_proj"}:
            found[name] = torch.cat([parts[f"{letter}_proj"] for letter in "qkv"])
    return found
