"""Projection of image features onto a plane, and a measure of how well they separate classes."""

from __future__ import annotations

import numpy as np

from safeio.errors import WrongChoice

PROJECTIONS = ("pca", "tsne")


def on_a_plane(features: np.ndarray, projection: str, seed: int = 0) -> np.ndarray:
    """(n, E) -> (n, 2), by principal components or by t-SNE.

    Raises:
        WrongChoice: an unknown projection, or fewer than three images.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    if projection not in PROJECTIONS:
        raise WrongChoice(f"The projection is {projection!r}; it must be one of {', '.join(PROJECTIONS)}")
    if len(features) < 3:
        raise WrongChoice(f"A map of features needs three images or more, not {len(features)}")
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
