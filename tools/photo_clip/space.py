"""The embedding space of both encoders: the teacher's classifier space and one more direction for each modality.

With f the teacher's features (1280), W its classifier (1000, 1280), f0 the mean feature and w0 the mean row, the
teacher's logits are (W - w0)(f - f0) up to a bias and a constant. The first D right singular vectors V of W - w0 keep
most of that: an image is z = l2(V (f - f0)), a class r = l2(V (w - w0)).

Both are placed in E = D + 2 dimensions as CLIP's features lie: in two narrow cones apart from each other,

    image  (sqrt(1 - s/100) , 0, sqrt(s/100) z)      text  (0, sqrt(1 - s/100), sqrt(s/100) r)

so that 100 * cos(image, text) = s * cos(z, r). s is the scale at which the softmax over classes fits the labels best.
Without it the constant 100 of the published methods would be far too large for features that lie far apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

EMBEDDING = 256  # E
LOGIT_SCALE = 100.0  # OpenAI's released models end there, and the published methods write it as a constant


@dataclass
class Space:
    """Targets of both encoders. Rows are normalised, in D = E - 2 dimensions."""

    mean: Tensor  # (1280,) f0
    basis: Tensor  # (1280, D) V
    rows: Tensor  # (1000, D) ImageNet's classes
    scale: float  # s

    def images(self, features: Tensor) -> Tensor:
        """(N, 1280) teacher features -> (N, D), normalised."""
        return F.normalize((features.float() - self.mean) @ self.basis, dim=-1)

    def place_images(self, z: Tensor) -> Tensor:
        """(N, D) -> (N, E) in the images' cone."""
        return place(z, self.scale, 0)

    def place_texts(self, rows: Tensor) -> Tensor:
        """(N, D) -> (N, E) in the texts' cone."""
        return place(rows, self.scale, 1)


def place(x: Tensor, scale: float, cone: int) -> Tensor:
    """(N, D), normalised -> (N, D + 2), normalised, in one of the two cones."""
    fraction = scale / LOGIT_SCALE
    common = x.new_zeros(len(x), 2)
    common[:, cone] = (1 - fraction) ** 0.5
    return torch.cat([common, fraction**0.5 * x], dim=-1)


def best_scale(cosines: Tensor, labels: Tensor) -> float:
    """Return the scale of (N, C) cosines whose softmax has the least cross-entropy with the labels."""
    scales = torch.arange(5.0, 60.0, 0.5)
    return scales[torch.stack([F.cross_entropy(scale * cosines, labels) for scale in scales]).argmin()].item()


def main_directions(weight: Tensor) -> Tensor:
    """Return the D directions in which a classifier's rows differ most: (1000, 1280) -> (1280, D), orthonormal."""
    basis = torch.linalg.svd(weight - weight.mean(0), full_matrices=False).Vh[: EMBEDDING - 2].T.contiguous()
    return basis * basis.gather(0, basis.abs().argmax(0)[None]).sign()  # else signs depend on the number of threads


def make_space(teacher: Path, val_labels: Tensor, tiny_rows: Tensor) -> Space:
    """Build the space from the teacher's file; the scale is fitted on Tiny-ImageNet's validation images.

    Args:
        val_labels: (N,) Tiny-ImageNet classes of the validation images.
        tiny_rows: (200,) their ImageNet classes.
    """
    with np.load(teacher) as file:
        weight, val = (torch.from_numpy(file[name]).float() for name in ("weight", "val"))
        imagenet = torch.from_numpy(file["imagenet"])
    mean = imagenet.float().mean(0)
    basis = main_directions(weight)
    rows = F.normalize((weight - weight.mean(0)) @ basis, dim=-1)
    space = Space(mean, basis, rows, 0.0)
    cosines = space.images(val) @ rows[tiny_rows].T
    space.scale = best_scale(cosines, val_labels)
    right = (cosines.argmax(1) == val_labels).float().mean()
    print(f"teacher by cosine, Tiny-ImageNet validation, 200 classes: {100 * right:.1f} %, scale {space.scale}")
    return space
