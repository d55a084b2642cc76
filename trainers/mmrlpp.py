"""MMRL++: Parameter-Efficient and Interaction-Aware Representation Learning (Guo and Gu, IJCV 2026).

MMRL with three changes: the maps of all layers share one matrix, to which each layer adds a low-rank residual (SRRA); a
layer's tokens are mixed with the output of the layer below (PRC); and the representation tokens' projection is the
frozen one plus a low-rank residual.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dassl.config.validators import at_least, between
from dassl.engine import TRAINER_REGISTRY
from trainers.base.setting import Setting
from trainers.mmrl import MMRL, MMRLMethod, RepresentationTokens


class ResidualAligner(nn.Module):
    """R (W + A B)^T + b: A (D, r), B (r, d_r) and b are this layer's, W (D, d_r) belongs to all layers."""

    def __init__(self, shared: nn.Linear, rank: int):
        super().__init__()
        self.A, self.B = low_rank(*shared.weight.shape, rank)
        self.bias = nn.Parameter(shared.bias.detach().clone())

    def forward(self, space: Tensor, weight: Tensor) -> Tensor:
        """(K, d_r) -> (K, D)"""
        return space @ weight.t() + (space @ self.B.t()) @ self.A.t() + self.bias


class SharedResidualAligner(nn.Module):
    """Shared-residual representation aligner: one W for all layers of an encoder, a low-rank residual for each."""

    def __init__(self, rep_dim: int, width: int, layers: int, rank: int):
        super().__init__()
        first = nn.Linear(rep_dim, width)
        self.weight = nn.Parameter(first.weight.detach().clone())
        self.residuals = nn.ModuleList(ResidualAligner(first, rank) for _ in range(layers))

    def __iter__(self):
        """The layers' maps, R (K, d_r) -> tokens (K, D), from the first to the last."""
        return iter([lambda space, residual=residual: residual(space, self.weight) for residual in self.residuals])


class ComposedTokens(RepresentationTokens):
    """Progressive representation composition: beta M_i + (1 - beta) times the output of the layer below."""

    def __init__(self, space, maps, layers, beta: float):
        super().__init__(space, maps, layers)
        self.beta = beta

    def tokens(self, layer: int, previous: Tensor | None) -> Tensor | None:
        mapped = super().tokens(layer, previous)
        if mapped is None or previous is None:
            return mapped
        return self.beta * mapped.to(previous.dtype) + (1 - self.beta) * previous

    def replaced_at(self, layer: int) -> bool:
        return layer == self.grow_at


class MMRLppMethod(MMRLMethod):
    """MMRL with shared-residual maps, composed tokens and a low-rank projection."""

    published_names = (
        ("space", "representation_learner.compound_rep_tokens"),
        ("image_aligner.weight", "representation_learner.srra_r2vproj.weight"),
        ("image_aligner.residuals.", "representation_learner.srra_r2vproj.srra."),
        ("text_aligner.weight", "representation_learner.srra_r2tproj.weight"),
        ("text_aligner.residuals.", "representation_learner.srra_r2tproj.srra."),
        ("proj_", "image_encoder."),
    )

    def make_aligner(self, width: int, layers: int) -> SharedResidualAligner:
        return SharedResidualAligner(self.settings.REP_DIM, width, layers, self.settings.RES_LORA_DIM)

    def make_rep_projection(self, width: int, embed_dim: int) -> None:
        self.proj_A, self.proj_B = low_rank(width, embed_dim, self.settings.PROJ_LORA_DIM)

    def rep_projection(self) -> Tensor:
        return self.clip.visual.proj + self.proj_A @ self.proj_B

    def deep_tokens(self, maps: SharedResidualAligner, layers: Sequence[int]) -> ComposedTokens:
        return ComposedTokens(self.space, list(maps), layers, self.settings.BETA)


def low_rank(rows: int, columns: int, rank: int) -> tuple[nn.Parameter, nn.Parameter]:
    """A (rows, rank), Kaiming-uniform, and B (rank, columns), zero: their product starts as zero."""
    a = torch.empty(rows, rank)
    nn.init.kaiming_uniform_(a, a=math.sqrt(5))
    return nn.Parameter(a), nn.Parameter(torch.zeros(rank, columns))


@TRAINER_REGISTRY.register()
class MMRLpp(MMRL):
    """Trains MMRL++ with the engine's optimiser and schedule."""

    method_class = MMRLppMethod
    settings_node = "MMRLpp"
    settings_source = "yunncheng/MMRL configs/trainers/MMRLpp/vit_b16.yaml"
    defaults = MMRL.defaults | {
        "BETA": Setting(
            0.9, between(0, 1), "weight of a layer's new tokens; the output of the layer below has 1 - BETA", symbol="β"
        ),
        "PROJ_LORA_DIM": Setting(
            64, at_least(1), "rank of the projection's residual", search="8..128:log", symbol="r_p"
        ),
        "RES_LORA_DIM": Setting(4, at_least(1), "rank of each layer's residual", search="1..16:log", symbol="r"),
    }
