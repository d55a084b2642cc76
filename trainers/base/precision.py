"""Number types of a run: PREC fp32, fp16, bf16 or amp."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn

from clip.block import Attention
from clip.model import CLIP, convert_weights
from dassl.config import ConfigError

PRECISIONS = ("fp32", "fp16", "bf16", "amp")


class Precision:
    """Number type of a run's computation.

    fp32: everything in float32. fp16, bf16: the frozen encoders in that type, learned parameters in float32.
    amp: mixed precision (float16 on a GPU, bfloat16 on a CPU) with the residual streams in float32. The frozen
    matrices are then stored in the compute type, which saves casting them at every step and changes no result.

    Raises:
        dassl.config.ConfigError: an unknown name, or fp16 on a CPU.
    """

    def __init__(self, name: str, device: torch.device):
        if name not in PRECISIONS:
            raise ConfigError(f"PREC is {name!r}; it must be one of {', '.join(PRECISIONS)}")
        if name == "fp16" and device.type == "cpu":
            raise ConfigError("PREC fp16 needs a GPU: on a CPU use PREC amp (bfloat16 autocast), bf16 or fp32")
        self.name, self.device = name, device
        self.compute = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}.get(
            name, torch.float16 if device.type == "cuda" else torch.bfloat16
        )
        self.scaler = torch.amp.GradScaler(device.type, enabled=name == "amp" and device.type == "cuda")

    def hold(self, clip: CLIP) -> CLIP:
        """Cast a float32 CLIP to the number types it computes in."""
        if self.name == "amp":
            _hold_matrices(clip, self.compute)
        elif self.name != "fp32":
            convert_weights(clip, self.compute)
        return clip

    def context(self) -> AbstractContextManager:
        """The context every forward pass runs in."""
        return torch.autocast(self.device.type, self.compute) if self.name == "amp" else nullcontext()


def _hold_matrices(clip: CLIP, dtype: torch.dtype) -> None:
    """Cast what autocast would cast at every use, except the patch embedding, whose type is that of the stream."""
    for module in clip.modules():
        if isinstance(module, nn.Linear):
            module.to(dtype)
        elif isinstance(module, Attention):
            module.in_proj_weight.data = module.in_proj_weight.data.to(dtype)
            module.in_proj_bias.data = module.in_proj_bias.data.to(dtype)
