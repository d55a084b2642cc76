"""`from predictor import Predictor`: predictions with a trained run, from Python. The code is in inference/."""

from __future__ import annotations

from inference.predictor import Prediction, Predictions, Predictor

__all__ = ["Prediction", "Predictions", "Predictor"]
