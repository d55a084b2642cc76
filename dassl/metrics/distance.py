"""Distances between two sets of vectors."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from dassl.utils.names import check_availability


def cosine_distance(input1: Tensor, input2: Tensor) -> Tensor:
    """1 - cosine of each row of (M, D) with each row of (N, D); (M, N)."""
    return 1 - F.normalize(input1, dim=1) @ F.normalize(input2, dim=1).t()


def euclidean_squared_distance(input1: Tensor, input2: Tensor) -> Tensor:
    """Squared Euclidean distance of each row of (M, D) to each row of (N, D); (M, N)."""
    squares = input1.square().sum(1, keepdim=True) + input2.square().sum(1)
    return squares - 2 * input1 @ input2.t()


DISTANCES = {"cosine": cosine_distance, "euclidean": euclidean_squared_distance}


def compute_distance_matrix(input1: Tensor, input2: Tensor, metric: str = "euclidean") -> Tensor:
    """All distances between rows of (M, D) and (N, D); (M, N). ``euclidean`` (squared) or ``cosine``.

    Raises:
        ValueError: not two matrices of equal width, or another metric.
    """
    check_availability(metric, DISTANCES, kind="metric")
    if input1.dim() != 2 or input2.dim() != 2 or input1.size(1) != input2.size(1):
        raise ValueError(f"Expected (M, D) and (N, D), got {tuple(input1.shape)} and {tuple(input2.shape)}")
    return DISTANCES[metric](input1, input2)
