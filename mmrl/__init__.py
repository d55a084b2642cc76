"""Few-shot vision-language learning with CLIP: MMRL, MMRL++ and comparison methods.

    import mmrl

    model = mmrl.fit("images/", method="MMRL", shots=16)  # one folder per class
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

_HOME = {
    "fit": "mmrl.learning",
    "load": "mmrl.learning",
    "zero_shot": "mmrl.learning",
    "results": "mmrl.records",
    "methods": "mmrl.records",
    "MMRLClassifier": "mmrl.estimator",
    "Predictor": "inference.predictor",
    "Prediction": "inference.predictor",
    "Predictions": "inference.predictor",
    "UserError": "safeio.errors",
}
"""Each public name: the module that it is in."""

__all__ = ["__version__", *_HOME]

if TYPE_CHECKING:
    from inference.predictor import Prediction, Predictions, Predictor
    from mmrl.estimator import MMRLClassifier
    from mmrl.learning import fit, load, zero_shot
    from mmrl.records import methods, results
    from safeio.errors import UserError


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(_HOME)}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
