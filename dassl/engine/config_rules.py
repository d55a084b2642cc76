"""Rules for the engine's settings, checked before any data is read.

Switches and free texts are not here: their type says all.
"""

from __future__ import annotations

from dassl.config.validators import (
    NUMBER,
    Dependency,
    Rule,
    Values,
    above,
    at_least,
    below_one,
    between,
    each,
    is_number,
    one_of,
)
from dassl.data.samplers import SAMPLERS
from dassl.data.transforms.transforms import AVAI_CHOICES, INTERPOLATION_MODES
from dassl.engine.batch_loop import COUNT_ITER
from dassl.engine.simple import FINAL_MODELS
from dassl.engine.trackers import TRACKER_NAMES
from dassl.optim.optimizer import AVAI_OPTIMS
from dassl.optim.schedules import AVAI_SCHEDS, UNITS, WARMUP_TYPES

ODD = Rule("an odd number of at least 1", lambda value: is_number(value) and value >= 1 and value % 2 == 1)
FRACTIONS = Rule(
    "two fractions, 0 < first <= second <= 1",
    lambda value: len(value) == 2 and all(map(is_number, value)) and 0 < value[0] <= value[1] <= 1,
)
LOADER = {
    "SAMPLER": one_of(*SAMPLERS),
    "BATCH_SIZE": at_least(1),
    "N_DOMAIN": at_least(0),
    "N_INS": at_least(1),
}
RULES: dict[str, Rule] = {
    "SEED": between(-(2**32), 2**32 - 1),  # what NumPy takes; negative: not seeded
    "INPUT.SIZE": each(at_least(1), 2),
    "INPUT.INTERPOLATION": one_of(*INTERPOLATION_MODES),
    "INPUT.TRANSFORMS": each(one_of(*AVAI_CHOICES)),
    "INPUT.PIXEL_MEAN": each(NUMBER, 3),
    "INPUT.PIXEL_STD": each(above(0), 3),
    "INPUT.CROP_PADDING": at_least(0),
    "INPUT.RRCROP_SCALE": FRACTIONS,
    "INPUT.CUTOUT_N": at_least(0),
    "INPUT.CUTOUT_LEN": at_least(0),
    "INPUT.GN_MEAN": NUMBER,
    "INPUT.GN_STD": at_least(0),
    "INPUT.RANDAUGMENT_N": at_least(0),
    "INPUT.RANDAUGMENT_M": between(0, 30),
    **{f"INPUT.COLORJITTER_{part}": at_least(0) for part in "BCS"},
    "INPUT.COLORJITTER_H": between(0, 0.5),
    "INPUT.RGS_P": between(0, 1),
    "INPUT.GB_P": between(0, 1),
    "INPUT.GB_K": ODD,
    "DATASET.NUM_LABELED": at_least(-1),
    "DATASET.NUM_SHOTS": at_least(-1),
    "DATASET.VAL_PERCENT": below_one(),
    "DATASET.STL10_FOLD": between(-1, 9),
    "DATASET.CIFAR_C_LEVEL": between(1, 5),
    "DATALOADER.NUM_WORKERS": at_least(0),
    "DATALOADER.K_TRANSFORMS": at_least(1),
    "DATALOADER.CACHE_DISK_GIB": at_least(0),
    "DATALOADER.CACHE_MEMORY_GIB": at_least(0),
    **{f"DATALOADER.{part}.{key}": rule for part in ("TRAIN_X", "TRAIN_U") for key, rule in LOADER.items()},
    **{f"DATALOADER.TEST.{key}": LOADER[key] for key in ("SAMPLER", "BATCH_SIZE")},
    "MODEL.HEAD.HIDDEN_LAYERS": each(at_least(1)),
    "MODEL.HEAD.DROPOUT": below_one(),
    "OPTIM.NAME": one_of(*AVAI_OPTIMS),
    "OPTIM.LR": above(0),
    "OPTIM.WEIGHT_DECAY": at_least(0),
    "OPTIM.MOMENTUM": below_one(),
    "OPTIM.SGD_DAMPNING": between(0, 1),
    "OPTIM.RMSPROP_ALPHA": below_one(),
    "OPTIM.ADAM_BETA1": below_one(),
    "OPTIM.ADAM_BETA2": below_one(),
    "OPTIM.ADAM_EPS": at_least(0),
    "OPTIM.BASE_LR_MULT": at_least(0),
    "OPTIM.LR_SCHEDULER": one_of(*AVAI_SCHEDS),
    "OPTIM.SCHEDULE_UNIT": one_of(*UNITS),
    "OPTIM.STEPSIZE": each(at_least(-1)),
    "OPTIM.GAMMA": above(0),
    "OPTIM.MAX_EPOCH": at_least(1),
    "OPTIM.WARMUP_EPOCH": at_least(-1),
    "OPTIM.WARMUP_TYPE": one_of(*WARMUP_TYPES),
    "OPTIM.WARMUP_CONS_LR": at_least(0),
    "OPTIM.WARMUP_MIN_LR": at_least(0),
    "TRAIN.TRACK": each(one_of(*TRACKER_NAMES)),
    "TRAIN.CHECKPOINT_STEPS": at_least(0),
    "TRAIN.CHECKPOINT_FREQ": at_least(0),
    "TRAIN.PRINT_FREQ": at_least(1),
    "TRAIN.COUNT_ITER": one_of(*COUNT_ITER),
    "TEST.SPLIT": one_of("val", "test"),
    "TEST.FINAL_MODEL": one_of(*FINAL_MODELS),
}


def _nesterov(v: Values) -> str | None:
    if v["OPTIM.SGD_NESTEROV"] and (v["OPTIM.MOMENTUM"] == 0 or v["OPTIM.SGD_DAMPNING"] != 0):
        return (
            f"OPTIM.SGD_NESTEROV needs a momentum and no dampening: OPTIM.MOMENTUM is {v['OPTIM.MOMENTUM']!r}, "
            f"OPTIM.SGD_DAMPNING is {v['OPTIM.SGD_DAMPNING']!r}"
        )
    return None


def _staged(v: Values) -> str | None:
    if v["OPTIM.STAGED_LR"] and not v["OPTIM.NEW_LAYERS"]:
        return "OPTIM.STAGED_LR is True, but OPTIM.NEW_LAYERS names no layers: name those that learn at the full rate"
    return None


def _warmup(v: Values) -> str | None:
    if v["OPTIM.WARMUP_EPOCH"] > v["OPTIM.MAX_EPOCH"]:
        return (
            f"OPTIM.WARMUP_EPOCH is {v['OPTIM.WARMUP_EPOCH']}, more than all epochs: OPTIM.MAX_EPOCH is "
            f"{v['OPTIM.MAX_EPOCH']} (--train-epoch)"
        )
    return None


def _copies(v: Values) -> str | None:
    if v["DATALOADER.K_TRANSFORMS"] > 1 and v["INPUT.NO_TRANSFORM"]:
        return (
            f"DATALOADER.K_TRANSFORMS is {v['DATALOADER.K_TRANSFORMS']}, but INPUT.NO_TRANSFORM is True: there is "
            f"nothing to draw copies with"
        )
    return None


DEPENDENCIES: tuple[Dependency, ...] = (_nesterov, _staged, _warmup, _copies)
