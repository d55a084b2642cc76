"""A scikit-learn classifier: pipelines, cross-validation, grid search and calibration take it as it is."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from inference.classes import check_labels
from inference.inputs import InputError
from mmrl.learning import fit as train_on


class MMRLClassifier(ClassifierMixin, BaseEstimator):
    """Few-shot classification of images with a frozen CLIP.

    X is an array of images (N, H, W, 3), or an array or list of N paths or PIL images; y is N class names. They are put
    into words for CLIP, so real names do better than numbers.

    Args:
        method: in any spelling; shots: training images of each class, None for all; backbone: a CLIP by name or path.
        epochs: instead of the method's own number; settings: further keys of the configuration.
        random_state: seed of every random choice; device: cpu or cuda.

    Attributes:
        classes_: the labels, sorted; model_: the trained model, as `mmrl.fit` returns it.
    """

    def __init__(
        self,
        method: str = "MMRL",
        shots: int | None = None,
        backbone: str | None = None,
        epochs: int | None = None,
        settings: dict[str, Any] | None = None,
        random_state: int = 1,
        device: str | None = None,
        batch_size: int = 32,
    ):
        self.method, self.shots, self.backbone, self.epochs = method, shots, backbone, epochs
        self.settings, self.random_state, self.device, self.batch_size = settings, random_state, device, batch_size

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        tags.target_tags.required = True
        tags.classifier_tags.poor_score = True
        return tags

    def fit(self, X: Any, y: Any) -> MMRLClassifier:
        """Train on images X with labels y; return self."""
        check_classification_targets(y)
        check_labels(y)
        y = np.asarray(y)
        if len(y) != _count(X):
            raise ValueError(f"X has {_count(X)} images and y {len(y)} labels")
        self.classes_ = np.unique(y)
        if len(self.classes_) < 2:
            raise ValueError(f"y has one class only, {self.classes_[0]!r}: at least two are needed")
        self.model_ = train_on(
            _listed(X),
            [str(label) for label in y],
            method=self.method,
            shots=self.shots,
            backbone=self.backbone,
            epochs=self.epochs,
            seed=self.random_state,
            device=self.device,
            settings=self.settings,
        )
        order = {str(label): column for column, label in enumerate(self.classes_)}
        self._columns = np.argsort([order[name] for name in self.model_.classes])
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return probabilities (N, C), columns as in `classes_`."""
        check_is_fitted(self)
        return self.model_.predict_proba(_listed(X), self.batch_size)[:, self._columns].astype(np.float64)

    def predict(self, X: Any) -> np.ndarray:
        """Return the labels (N,)."""
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]

    def transform(self, X: Any) -> np.ndarray:
        """Return image features (N, E), for other estimators after this one."""
        check_is_fitted(self)
        return self.model_.embed(_listed(X), self.batch_size)


def _count(X: Any) -> int:
    if isinstance(X, str) or not hasattr(X, "__len__"):
        raise InputError(f"X is a {type(X).__name__}; expected an array of images or a list of paths or images")
    return len(X)


def _listed(X: Any) -> Any:
    """Return X as `mmrl.fit` takes it: an array of images, or a list of paths and images."""
    array = np.asarray(X) if not isinstance(X, list | tuple) else None
    if array is not None and array.dtype.kind in "uif" and array.ndim in (3, 4):
        return array if array.ndim == 4 else list(array)
    if array is not None and array.dtype.kind in "uif":
        raise InputError(f"X has shape {array.shape}; expected images (N, H, W, 3), or paths")
    return [str(item) if isinstance(item, str) else item for item in X]
