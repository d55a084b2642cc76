"""Load what was trained."""

from __future__ import annotations

import os
from collections.abc import Sequence

from inference.predictor import Prediction, Predictions, Predictor
from safeio.errors import UserError

__all__ = ["Prediction", "Predictions", "Predictor", "UserError", "load"]


def load(
    run: str | os.PathLike,
    classes: Sequence[str] | None = None,
    device: str | None = None,
    backbone: str | None = None,
) -> Predictor:
    """Return the model that a run left.

    Args:
        run: folder of the run that trained.
        classes: names to choose among; the run's own by default.
        device: cpu or cuda; a GPU if there is one by default.
        backbone: name or weights file of the CLIP, if it is not where the run found it.

    Raises:
        UserError: no run's folder, or one without a checkpoint; or class names that cannot be used.
    """
    return Predictor.load(run, classes, device, backbone)
