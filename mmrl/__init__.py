"""Few-shot vision-language learning with CLIP: MMRL, MMRL++ and comparison methods.

    import mmrl

    model = mmrl.load("output/few_shot/openmoji/shots_16/MMRL/emoji/seed1")
    model.predict("new.jpg")

`python -m mmrl help` lists the commands. Each name below is imported when it is first used, so `import mmrl` is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mmrl._clone import prefer_clone

__version__ = "0.1.0"

prefer_clone()

_HOME = dict.fromkeys(("load", "Prediction", "Predictions", "Predictor", "UserError"), "mmrl.learning")
"""Each public name: the module that it is in."""

__all__ = ["Prediction", "Predictions", "Predictor", "UserError", "__version__", "load"]

if TYPE_CHECKING:
    from mmrl.learning import Prediction, Predictions, Predictor, UserError, load


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(_HOME)}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
