"""Few-shot vision-language learning with CLIP: MMRL, MMRL++ and comparison methods.

    import mmrl

    model = mmrl.fit("images/", method="MMRL", shots=16)  # a folder of images for each class
    model.predict("new.jpg")
    model.save("my-run")

    model = mmrl.load("my-run")
    mmrl.zero_shot("images/", ["cat", "dog"])
    mmrl.results("output")

`python -m mmrl help` lists the commands. Each name below is imported when it is first used, so `import mmrl` is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mmrl._clone import prefer_clone

__version__ = "0.1.0"

prefer_clone()

from safeio import threads  # noqa: E402, F401  (before torch)

_HOME = {"MMRLClassifier": f"{__name__}.estimator", "methods": f"{__name__}.records", "results": f"{__name__}.records"}
"""Public names that are not in `mmrl.learning`."""

__all__ = [
    "Evaluation",
    "MMRLClassifier",
    "Prediction",
    "Predictions",
    "Predictor",
    "UserError",
    "__version__",
    "fit",
    "load",
    "methods",
    "results",
    "zero_shot",
    "zero_shot_model",
]

if TYPE_CHECKING:
    from mmrl.estimator import MMRLClassifier
    from mmrl.learning import (
        Evaluation,
        Prediction,
        Predictions,
        Predictor,
        UserError,
        fit,
        load,
        zero_shot,
        zero_shot_model,
    )
    from mmrl.records import methods, results


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(_HOME.get(name, f"{__name__}.learning")), name)


def __dir__() -> list[str]:
    return sorted(__all__)
