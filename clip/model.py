"""CLIP: two encoders and a scale (Radford et al., 2021), under OpenAI's parameter names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from clip.architecture import OF_A_FILE, Architecture
from clip.block import Attention, LayerNorm, QuickGELU, ResidualAttentionBlock, TokenBranch, causal_mask
from clip.prompt_batch import PromptBatch
from clip.published_start import draw_as_published
from clip.reference import FullTextEncoder
from clip.resnet import AttentionPool2d, Bottleneck, ModifiedResNet
from clip.transformer import Transformer
from clip.vision import VisionTransformer

__all__ = [
    "CLIP",
    "AttentionPool2d",
    "Bottleneck",
    "LayerNorm",
    "ModifiedResNet",
    "QuickGELU",
    "ResidualAttentionBlock",
    "Transformer",
    "VisionTransformer",
    "build_model",
    "convert_weights",
    "from_state_dict",
]
HEAD_WIDTH = 64
"""Every OpenAI encoder has heads of this width (a ResNet: of its stem's width times 32)."""
HEADS_KNOWN_TO_WIDTH = 1024
"""Up to this width open_clip's vision transformers have such heads too; those of the wider ones are wider."""


class CLIP(nn.Module):
    """Image and text encoders that share an embedding space.

    Args:
        embed_dim: size E of the shared space.
        image_resolution: side of the images in pixels.
        vision_layers: blocks of the ViT, or the four stage depths of a ResNet.
        vision_width, vision_patch_size: of the image encoder; no patch size for a ResNet.
        context_length, vocab_size, transformer_width, transformer_heads, transformer_layers: of the text encoder.
        activation, vision_heads, vision_mlp, transformer_mlp: OpenAI's by default (heads of 64, four times the width).

    Attributes:
        architecture: facts that the weights do not show.
    """

    architecture: Architecture = OF_A_FILE

    def __init__(
        self,
        embed_dim: int,
        image_resolution: int,
        vision_layers: int | tuple[int, int, int, int],
        vision_width: int,
        vision_patch_size: int | None,
        context_length: int,
        vocab_size: int,
        transformer_width: int,
        transformer_heads: int,
        transformer_layers: int,
        activation: type[nn.Module] = QuickGELU,
        vision_heads: int | None = None,
        vision_mlp: int | None = None,
        transformer_mlp: int | None = None,
    ):
        super().__init__()
        self.context_length, self.vocab_size = context_length, vocab_size
        if isinstance(vision_layers, tuple):
            heads = vision_heads or vision_width * 32 // HEAD_WIDTH
            self.visual = ModifiedResNet(vision_layers, embed_dim, heads, image_resolution, vision_width)
        else:
            heads = vision_heads or vision_width // HEAD_WIDTH
            shape = (image_resolution, vision_patch_size, vision_width, vision_layers, heads, embed_dim)
            self.visual = VisionTransformer(*shape, activation, vision_mlp)
        self.transformer = Transformer(
            transformer_width,
            transformer_layers,
            transformer_heads,
            causal=True,
            activation=activation,
            mlp_width=transformer_mlp,
        )
        self.token_embedding = nn.Embedding(vocab_size, transformer_width)
        self.positional_embedding = nn.Parameter(torch.empty(context_length, transformer_width))
        self.ln_final = LayerNorm(transformer_width)
        self.text_projection = nn.Parameter(torch.empty(transformer_width, embed_dim))
        self.logit_scale = nn.Parameter(torch.tensor(np.log(1 / 0.07), dtype=torch.float32))
        self._initialise()

    def _initialise(self) -> None:
        """Set start values for pre-training: residual branches shrink with depth, as in the published code."""
        nn.init.normal_(self.token_embedding.weight, std=0.02)
        nn.init.normal_(self.positional_embedding, std=0.01)
        nn.init.normal_(self.text_projection, std=self.transformer.width**-0.5)
        encoders = [
            self.transformer,
            *([self.visual.transformer] if isinstance(self.visual, VisionTransformer) else []),
        ]
        for encoder in encoders:
            residual_std = encoder.width**-0.5 * (2 * encoder.layers) ** -0.5
            for block in encoder.resblocks:
                nn.init.normal_(block.attn.in_proj_weight, std=encoder.width**-0.5)
                nn.init.normal_(block.attn.out_proj.weight, std=residual_std)
                nn.init.normal_(block.mlp.c_fc.weight, std=(2 * encoder.width) ** -0.5)
                nn.init.normal_(block.mlp.c_proj.weight, std=residual_std)

    def build_attention_mask(self) -> Tensor:
        """Return the text encoder's mask, (77, 77), as files for OpenAI's package ask for it."""
        return causal_mask(self.context_length)

    @property
    def dtype(self) -> torch.dtype:
        """Number type of the encoders' matrices, and of the images they take."""
        return self.visual.conv1.weight.dtype

    def embed_text(
        self,
        ids: Tensor,
        positions: Tensor,
        slots: Tensor | None = None,
        context: Tensor | None = None,
        branch: TokenBranch | None = None,
    ) -> Tensor:
        """Token plus positional embedding, learned rows in the place of some tokens.

        Args:
            ids: (..., T) token ids; positions: (T,), where they stand.
            slots: (..., T), row of the context that replaces a token; -1: the token's own embedding.
            context: (G, N, D), learned rows for each of G groups.
            branch: a method's addition to the rows, before the positions are added.

        Returns:
            (G, ..., T, D), G = 1 without context.
        """
        words = self.token_embedding(ids).to(self.dtype)[None]
        if context is not None:
            words = torch.where((slots >= 0)[..., None], context.to(words.dtype)[:, slots.clamp(min=0)], words)
        words = words if branch is None else words + branch(words)
        return words + self.positional_embedding[positions].to(self.dtype)

    def encode_image(self, image: Tensor) -> Tensor:
        """(B, 3, S, S) -> (B, E), not normalised."""
        return self.visual(image.to(self.dtype))

    def encode_text(self, text: Tensor) -> Tensor:
        """(C, T) token ids -> (C, E), not normalised."""
        return FullTextEncoder(self).encode(PromptBatch(text))

    def forward(self, image: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        """Scaled cosines of B images and C texts: (B, C) and its transpose."""
        image_features = nn.functional.normalize(self.encode_image(image), dim=-1)
        text_features = nn.functional.normalize(self.encode_text(text), dim=-1)
        logits = self.logit_scale.exp() * image_features @ text_features.t()
        return logits, logits.t()


def convert_weights(model: nn.Module, dtype: torch.dtype = torch.float16) -> None:
    """Hold convolutions, matrices and projections in `dtype`; norms, embeddings and the scale stay float32."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            held = [module.weight, module.bias]
        elif isinstance(module, Attention):
            held = [module.in_proj_weight, module.in_proj_bias]
        else:
            held = [getattr(module, name, None) for name in ("proj", "text_projection")]
        for parameter in held:
            if isinstance(parameter, nn.Parameter):
                parameter.data = parameter.data.to(dtype)


def build_model(state_dict: Mapping[str, Tensor], design_details: Mapping[str, Any] | None = None) -> CLIP:
    """Build a CLIP as `from_state_dict` does, with matrices in half precision; plugin files for OpenAI's CLIP call it.

    It draws as many random numbers as OpenAI's, so that under the same seed such a file continues with the same ones.

    Args:
        design_details: what files of MaPLe's family say of learned tokens in their copy of CLIP. This one has none.

    Raises:
        ValueError: the design has learned tokens.
    """
    if any(value for key, value in (design_details or {}).items() if key != "trainer"):
        raise ValueError(
            f"design_details {dict(design_details)} asks for a CLIP with learned tokens built in, which this "
            f"one does not have: a method passes them to its encoders (DeepTokens in docs/add-a-method.md)."
        )
    model = from_state_dict(state_dict)
    draw_as_published(model)
    convert_weights(model)
    return model


def from_state_dict(state_dict: Mapping[str, Tensor], architecture: Architecture = OF_A_FILE) -> CLIP:
    """Build a CLIP from weights, whose shapes give its sizes; in float32 and evaluation mode.

    Args:
        architecture: facts that the weights do not show.

    Raises:
        ValueError: the state dict is not that of a CLIP, or not of that architecture, or an entry is missing, left
            over or of another shape.
    """
    weights = {k: v for k, v in state_dict.items() if k not in ("input_resolution", "context_length", "vocab_size")}
    try:
        shape = _complete(_shape_from(weights), architecture)
    except KeyError as missing:
        raise ValueError(f"not the weights of a CLIP in OpenAI's naming: there is no entry {missing}") from None
    with torch.device("meta"):
        model = CLIP(**shape)
    model.architecture = architecture
    expected, given = model.state_dict(), dict(weights)
    problems = [f"missing {name}" for name in expected if name not in given and "num_batches_tracked" not in name]
    problems += [f"left over {name}" for name in given if name not in expected]
    problems += [
        f"{name} is {tuple(given[name].shape)}, expected {tuple(expected[name].shape)}"
        for name in expected
        if name in given and given[name].shape != expected[name].shape
    ]
    if problems:
        shown = "; ".join(problems[:5]) + (f"; and {len(problems) - 5} more" if len(problems) > 5 else "")
        raise ValueError(f"these weights do not fit a CLIP of the shape they suggest: {shown}")
    model = model.to_empty(device="cpu")
    for name, tensor in model.state_dict().items():
        tensor.copy_(given[name] if name in given else torch.zeros_like(tensor))
    return model.eval()


def _complete(shape: dict, architecture: Architecture) -> dict:
    """Return the constructor arguments of `CLIP`, from the shapes of the weights and the architecture."""
    declared = architecture.declared
    wrong = [f"{key} {shape[key]}, not {value}" for key, value in declared.items() if shape.get(key, value) != value]
    if wrong:
        raise ValueError(f"these weights are of another architecture than the one named: they have {', '.join(wrong)}")
    if not declared and shape["vision_patch_size"] and shape["vision_width"] > HEADS_KNOWN_TO_WIDTH:
        raise ValueError(
            f"the file does not say how many heads an image encoder of width {shape['vision_width']} has: "
            "name the architecture too, open_clip:ARCHITECTURE/FILE (docs/backbones.md)"
        )
    heads = {"transformer_heads": shape["transformer_width"] // HEAD_WIDTH}
    return heads | shape | declared | {"activation": architecture.activation}


def _shape_from(weights: Mapping[str, Tensor]) -> dict:
    """Return the constructor arguments of `CLIP` that follow from the shapes of its weights."""
    text_width = weights["ln_final.weight"].shape[0]
    common = {
        "embed_dim": weights["text_projection"].shape[1],
        "context_length": weights["positional_embedding"].shape[0],
        "vocab_size": weights["token_embedding.weight"].shape[0],
        "transformer_width": text_width,
        "transformer_layers": _count(weights, "transformer.resblocks."),
        "transformer_mlp": weights["transformer.resblocks.0.mlp.c_fc.bias"].shape[0],
    }
    if "visual.proj" in weights:
        width, _, patch, _ = weights["visual.conv1.weight"].shape
        side = round((weights["visual.positional_embedding"].shape[0] - 1) ** 0.5)
        return common | {
            "image_resolution": side * patch,
            "vision_layers": _count(weights, "visual.transformer.resblocks."),
            "vision_width": width,
            "vision_patch_size": patch,
            "vision_mlp": weights["visual.transformer.resblocks.0.mlp.c_fc.bias"].shape[0],
        }
    side = round((weights["visual.attnpool.positional_embedding"].shape[0] - 1) ** 0.5)
    return common | {
        "image_resolution": side * 32,
        "vision_layers": tuple(_count(weights, f"visual.layer{stage}.") for stage in (1, 2, 3, 4)),
        "vision_width": weights["visual.layer1.0.conv1.weight"].shape[0],
        "vision_patch_size": None,
    }


def _count(weights: Mapping[str, Tensor], prefix: str) -> int:
    """Return the number of consecutively numbered modules below `prefix`."""
    return len({name[len(prefix) :].split(".")[0] for name in weights if name.startswith(prefix)})
