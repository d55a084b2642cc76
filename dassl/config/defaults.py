"""Every key that the engine reads, and its value when nobody sets it.

A method's own keys do not belong here: they go below ``TRAINER.<NAME>``.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from yacs.config import CfgNode

from dassl.config.unread_keys import UNREAD
from dassl.config.yaml_files import RootNode

TRAIN_LOADER = {
    "SAMPLER": "RandomSampler",
    "BATCH_SIZE": 32,
    "N_DOMAIN": 0,  # RandomDomainSampler: domains in a batch, 0 for all
    "N_INS": 16,  # RandomClassSampler: images per class in a batch
}

DEFAULTS: dict[str, Any] = {
    **UNREAD[""],
    "OUTPUT_DIR": "./output",
    "RESUME": "",  # output folder of an earlier run to continue from
    "SEED": -1,  # negative: not seeded
    "USE_CUDA": True,
    "VERBOSE": True,
    "INPUT": {
        "SIZE": (224, 224),  # height, width in pixels
        "INTERPOLATION": "bilinear",
        "TRANSFORMS": (),
        "NO_TRANSFORM": False,
        "UPRIGHT": False,  # turn images as their EXIF orientation says; published code does not
        "PIXEL_MEAN": [0.485, 0.456, 0.406],  # ImageNet's, per channel, of values in 0..1
        "PIXEL_STD": [0.229, 0.224, 0.225],
        "CROP_PADDING": 4,  # pixels
        "RRCROP_SCALE": (0.08, 1.0),  # fraction of the area that random_resized_crop keeps
        "CUTOUT_N": 1,
        "CUTOUT_LEN": 16,  # pixels
        "GN_MEAN": 0.0,
        "GN_STD": 0.15,
        "RANDAUGMENT_N": 2,
        "RANDAUGMENT_M": 10,
        "COLORJITTER_B": 0.4,
        "COLORJITTER_C": 0.4,
        "COLORJITTER_S": 0.4,
        "COLORJITTER_H": 0.1,
        "RGS_P": 0.2,  # randomgrayscale: probability
        "GB_P": 0.5,  # gaussian_blur: probability
        "GB_K": 21,  # gaussian_blur: kernel size in pixels
    },
    "DATASET": {
        "ROOT": "",
        "NAME": "",
        "SOURCE_DOMAINS": (),
        "TARGET_DOMAINS": (),
        "NUM_SHOTS": -1,  # training images per class, below 1 for all
        **UNREAD["DATASET"],
    },
    "DATALOADER": {
        "NUM_WORKERS": 4,
        "K_TRANSFORMS": 1,  # augmented copies of each training image
        "RETURN_IMG0": False,  # add the image without augmentation
        "CACHE": True,  # keep evaluation crops on disk and decoded training images in memory
        "CACHE_DISK_GIB": 20.0,  # of evaluation crops on disk, all datasets together
        "CACHE_MEMORY_GIB": 2.0,  # of decoded training images in memory
        "TRAIN_X": dict(TRAIN_LOADER),
        "TRAIN_U": {"SAME_AS_X": True, **TRAIN_LOADER},
        "TEST": {"SAMPLER": "SequentialSampler", "BATCH_SIZE": 32},
    },
    "MODEL": {
        "INIT_WEIGHTS": "",
        "BACKBONE": {"NAME": "", "PRETRAINED": True},
        "HEAD": {"NAME": "", "HIDDEN_LAYERS": (), "ACTIVATION": "relu", "BN": True, "DROPOUT": 0.0},
    },
    "OPTIM": {
        "NAME": "adam",
        "LR": 3e-4,
        "WEIGHT_DECAY": 5e-4,
        "MOMENTUM": 0.9,
        "SGD_DAMPNING": 0,
        "SGD_NESTEROV": False,
        "RMSPROP_ALPHA": 0.99,
        "ADAM_BETA1": 0.9,
        "ADAM_BETA2": 0.999,
        "ADAM_EPS": 1e-8,  # of adam, amsgrad, radam and adamw, beside the root of the second moment
        "STAGED_LR": False,  # all but NEW_LAYERS learn at LR * BASE_LR_MULT
        "NEW_LAYERS": (),
        "BASE_LR_MULT": 0.1,
        "LR_SCHEDULER": "single_step",
        "SCHEDULE_UNIT": "epoch",  # or step: the rate changes after every step, along the same curve
        "STEPSIZE": (-1,),  # epochs; not positive: never, for single_step
        "GAMMA": 0.1,
        "MAX_EPOCH": 10,
        "WARMUP_EPOCH": -1,  # below 1: no warm-up
        "WARMUP_TYPE": "linear",
        "WARMUP_CONS_LR": 1e-5,
        "WARMUP_MIN_LR": 1e-5,
        "WARMUP_RECOUNT": True,  # the schedule proper starts counting after the warm-up
    },
    "TRAIN": {
        "TRACK": ("tensorboard",),  # and wandb, mlflow: where curves and results are reported
        "CALLBACKS": (),  # registered classes of plugins (dassl/engine/callbacks.py)
        "CHECKPOINT_STEPS": 200,  # steps between saved positions within an epoch; 0: only when asked to stop
        "CHECKPOINT_FREQ": 0,  # epochs between checkpoints, below 1: only the last
        "PRINT_FREQ": 10,  # batches
        "SKIP_NONFINITE": False,  # leave out steps whose loss is infinite or NaN instead of ending the run
        "COUNT_ITER": "train_x",
    },
    "TEST": {
        "EVALUATOR": "Classification",
        "PER_CLASS_RESULT": False,
        "COMPUTE_CMAT": False,
        "NO_TEST": False,
        "SPLIT": "test",
        "FINAL_MODEL": "last_step",  # or best_val
    },
    "TRAINER": {"NAME": ""},
}


def with_defaults(section: str, given: CfgNode) -> CfgNode:
    """Return a section of a foreign configuration tree, completed by the defaults of the keys that it lacks."""
    return CfgNode({**DEFAULTS[section], **given})


def completed(cfg: CfgNode) -> CfgNode:
    """Return a configuration tree with the engine's defaults of keys that it lacks; itself if it has all."""
    missing = list(_missing(cfg, DEFAULTS))
    if not missing:
        return cfg
    whole = cfg.clone()
    whole.defrost()
    for *path, name, value in missing:
        node = whole
        for part in path:
            node = node[part]
        node[name] = CfgNode(deepcopy(value)) if isinstance(value, dict) else deepcopy(value)
    if cfg.is_frozen():
        whole.freeze()
    return whole


def _missing(cfg: CfgNode, defaults: dict[str, Any], *above: str) -> Iterator[tuple[Any, ...]]:
    """Yield the path of each key that a tree lacks, and the key's default."""
    for name, value in defaults.items():
        if name not in cfg:
            yield (*above, name, value)
        elif isinstance(value, dict) and isinstance(cfg[name], CfgNode):
            yield from _missing(cfg[name], value, *above, name)


def get_cfg_default() -> CfgNode:
    """A fresh configuration tree with the default of every key."""
    root = RootNode()
    for key, value in deepcopy(DEFAULTS).items():
        root[key] = CfgNode(value) if isinstance(value, dict) else value
    return root


def clean_cfg(cfg: CfgNode, trainer: str) -> None:
    """Remove the sections of other trainers than ``trainer`` below ``cfg.TRAINER``, in place."""
    for key in list(cfg.TRAINER):
        if key != "NAME" and key.upper() != trainer.upper():
            cfg.TRAINER.pop(key)
