"""Image features before a method (frozen CLIP's) and after it, and a plane to draw them on."""

from __future__ import annotations

from functools import singledispatch
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from trainers.base.cosine import CosineMethod
from trainers.base.method import Method
from trainers.clip_adapter import CLIPAdapterMethod
from trainers.mmrl import MMRLMethod

if TYPE_CHECKING:
    from inference.predictor import Predictor

BEFORE = "frozen CLIP"
PROJECTIONS = ("pca", "tsne")


@singledispatch
def adapted_features(method: Method, images: Tensor) -> dict[str, Tensor]:
    """Unit image features (B, E) that a method classifies by, by what they are called; here: CLIP's own, unchanged."""
    return {}


@adapted_features.register
def _(method: CosineMethod, images: Tensor) -> dict[str, Tensor]:
    own = type(method)
    changed = any(getattr(own, name) is not getattr(CosineMethod, name) for name in ("image_features", "image_output"))
    return {"adapted": method.image_features(images)} if changed else {}


@adapted_features.register
def _(method: CLIPAdapterMethod, images: Tensor) -> dict[str, Tensor]:
    return {"adapted": method.adapted(method.image_features(images))}


@adapted_features.register
def _(method: MMRLMethod, images: Tensor) -> dict[str, Tensor]:
    return dict(zip(("class token", "representation tokens"), method.image_features(method.lower(images)), strict=True))


@torch.no_grad()
def feature_sets(predictor: Predictor, images: Tensor) -> dict[str, np.ndarray]:
    """Features (n, E) of images (n, 3, S, S): frozen CLIP's, and the method's where it has other ones."""
    with predictor.precision.context():
        images = images.to(predictor.clip.device)
        found = {BEFORE: predictor.clip.image_features(images)} | adapted_features(predictor.method, images)
    return {name: features.float().cpu().numpy() for name, features in found.items()}


def on_a_plane(features: np.ndarray, projection: str, seed: int = 0) -> np.ndarray:
    """(n, E) -> (n, 2), by principal components or by t-SNE.

    Raises:
        ValueError: an unknown projection, or fewer than three images.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    if projection not in PROJECTIONS:
        raise ValueError(f"The projection is {projection!r}; it must be one of {', '.join(PROJECTIONS)}")
    if len(features) < 3:
        raise ValueError(f"A map of features needs three images or more, not {len(features)}")
    if projection == "pca":
        return PCA(n_components=2, random_state=seed).fit_transform(features)
    nearest = min(30.0, (len(features) - 1) / 3)
    return TSNE(perplexity=nearest, init="pca", random_state=seed).fit_transform(features)


def separation(features: np.ndarray, labels: np.ndarray) -> float | None:
    """Mean silhouette by cosine, -1 to 1, higher where classes lie apart; None unless 2 <= classes < images."""
    from sklearn.metrics import silhouette_score

    if not 2 <= len(np.unique(labels)) < len(labels):
        return None
    return float(silhouette_score(features, labels, metric="cosine"))
