"""Keys that nothing here reads, accepted because yaml files and scripts written for Dassl name them."""

from __future__ import annotations

from dassl.config.setting import Setting
from dassl.config.validators import at_least, below_one, between

MEANING = "of Dassl; has no effect here"
UNREAD: dict[str, Setting] = {
    "VERSION": Setting(1, None, MEANING),
    "DATASET.NUM_LABELED": Setting(-1, at_least(-1), MEANING),
    "DATASET.VAL_PERCENT": Setting(0.1, below_one(), MEANING),
    "DATASET.STL10_FOLD": Setting(-1, between(-1, 9), MEANING),
    "DATASET.CIFAR_C_TYPE": Setting("", None, MEANING),
    "DATASET.CIFAR_C_LEVEL": Setting(1, between(1, 5), MEANING),
    "DATASET.ALL_AS_UNLABELED": Setting(False, None, MEANING),
}
