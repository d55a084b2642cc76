"""Keys that nothing here reads, accepted because yaml files and scripts written for Dassl name them."""

from __future__ import annotations

from typing import Any

UNREAD: dict[str, dict[str, Any]] = {
    "": {"VERSION": 1},
    "DATASET": {
        "NUM_LABELED": -1,  # semi-supervised learning
        "VAL_PERCENT": 0.1,
        "STL10_FOLD": -1,
        "CIFAR_C_TYPE": "",
        "CIFAR_C_LEVEL": 1,
        "ALL_AS_UNLABELED": False,
    },
}
