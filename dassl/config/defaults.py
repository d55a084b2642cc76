"""Every setting that the engine reads: default, range and meaning, beside each other.

From this table come the configuration tree, the check of a run's values (`dassl.config.checks`) and the table in
docs/settings.md. A method's own settings do not belong here: its file declares them, and they go below
``TRAINER.<NAME>``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from copy import deepcopy
from typing import Any

from yacs.config import CfgNode

from dassl.config.setting import Setting
from dassl.config.unread_keys import UNREAD
from dassl.config.validators import NUMBER, Rule, above, at_least, below_one, between, each, is_number, one_of
from dassl.config.yaml_files import RootNode

ODD = Rule("an odd number of at least 1", lambda value: is_number(value) and value >= 1 and value % 2 == 1)
FRACTIONS = Rule(
    "two fractions, 0 < first <= second <= 1",
    lambda value: len(value) == 2 and all(map(is_number, value)) and 0 < value[0] <= value[1] <= 1,
)
SEEDS = between(-(2**32), 2**32 - 1)
"""Seeds that NumPy takes."""
SAMPLERS = one_of("RandomSampler", "SequentialSampler", "RandomDomainSampler", "SeqDomainSampler", "RandomClassSampler")
TRANSFORMS = one_of(
    *("random_translation", "random_crop", "random_resized_crop", "random_flip"),
    *("imagenet_policy", "cifar10_policy", "svhn_policy", "randaugment"),
    *("colorjitter", "randomgrayscale", "gaussian_blur"),
    *("cutout", "normalize", "gaussian_noise", "instance_norm"),
)


def _loader(name: str) -> dict[str, Setting]:
    """Return the settings of a training loader."""
    return {
        f"DATALOADER.{name}.SAMPLER": Setting("RandomSampler", SAMPLERS, "order in which images are drawn"),
        f"DATALOADER.{name}.BATCH_SIZE": Setting(32, at_least(1), "images in a batch"),
        f"DATALOADER.{name}.N_DOMAIN": Setting(0, at_least(0), "RandomDomainSampler: domains in a batch; 0: all"),
        f"DATALOADER.{name}.N_INS": Setting(16, at_least(1), "RandomClassSampler: images per class in a batch"),
    }


ENGINE: dict[str, Setting] = {
    "OUTPUT_DIR": Setting("./output", meaning="the run's folder"),
    "RESUME": Setting("", meaning="folder of an earlier run whose checkpoint to continue from; empty: OUTPUT_DIR"),
    "SEED": Setting(-1, SEEDS, "seed of all random generators; negative: they are not seeded"),
    "USE_CUDA": Setting(True, meaning="whether to use a GPU where there is one"),
    "VERBOSE": Setting(True, meaning="whether to print a summary of the data and of what is built"),
    "INPUT.SIZE": Setting((224, 224), each(at_least(1), 2), "height and width of images, in pixels"),
    "INPUT.INTERPOLATION": Setting("bilinear", one_of("bilinear", "bicubic", "nearest"), "how images are resized"),
    "INPUT.TRANSFORMS": Setting(
        (),
        each(TRANSFORMS),
        "transforms of training images, in the engine's order; a test applies only those that normalize",
    ),
    "INPUT.NO_TRANSFORM": Setting(False, meaning="whether to leave images as they are, without any transform"),
    "INPUT.UPRIGHT": Setting(
        False, meaning="whether to turn images as their EXIF orientation says; published code does not"
    ),
    "INPUT.PIXEL_MEAN": Setting([0.485, 0.456, 0.406], each(NUMBER, 3), "normalize: mean of each channel, from 0 to 1"),
    "INPUT.PIXEL_STD": Setting([0.229, 0.224, 0.225], each(above(0), 3), "normalize: deviation of each channel"),
    "INPUT.CROP_PADDING": Setting(4, at_least(0), "random_crop: padding on each side, in pixels"),
    "INPUT.RRCROP_SCALE": Setting((0.08, 1.0), FRACTIONS, "random_resized_crop: fractions of the area a crop may keep"),
    "INPUT.CUTOUT_N": Setting(1, at_least(0), "for cutout: number of squares"),
    "INPUT.CUTOUT_LEN": Setting(16, at_least(0), "for cutout: side of a square, in pixels"),
    "INPUT.GN_MEAN": Setting(0.0, NUMBER, "for gaussian_noise: mean"),
    "INPUT.GN_STD": Setting(0.15, at_least(0), "for gaussian_noise: standard deviation"),
    "INPUT.RANDAUGMENT_N": Setting(2, at_least(0), "for randaugment: number of operations"),
    "INPUT.RANDAUGMENT_M": Setting(10, between(0, 30), "for randaugment: magnitude of the operations"),
    "INPUT.COLORJITTER_B": Setting(0.4, at_least(0), "for colorjitter: largest change of brightness, as a fraction"),
    "INPUT.COLORJITTER_C": Setting(0.4, at_least(0), "for colorjitter: largest change of contrast, as a fraction"),
    "INPUT.COLORJITTER_S": Setting(0.4, at_least(0), "for colorjitter: largest change of saturation, as a fraction"),
    "INPUT.COLORJITTER_H": Setting(
        0.1, between(0, 0.5), "for colorjitter: largest change of hue, a fraction of the colour circle"
    ),
    "INPUT.RGS_P": Setting(0.2, between(0, 1), "for randomgrayscale: probability"),
    "INPUT.GB_P": Setting(0.5, between(0, 1), "for gaussian_blur: probability"),
    "INPUT.GB_K": Setting(21, ODD, "for gaussian_blur: side of the kernel, in pixels"),
    "DATASET.ROOT": Setting("", meaning="folder that holds the datasets' folders"),
    "DATASET.NAME": Setting("", meaning="the dataset's registered name"),
    "DATASET.SOURCE_DOMAINS": Setting((), meaning="domains to train on"),
    "DATASET.TARGET_DOMAINS": Setting((), meaning="domains to test on"),
    "DATASET.NUM_SHOTS": Setting(-1, at_least(-1), "training images of each class; below 1: all"),
    "DATALOADER.NUM_WORKERS": Setting(4, at_least(0), "worker processes that load images; 0: no workers"),
    "DATALOADER.K_TRANSFORMS": Setting(1, at_least(1), "augmented views of each training image in a batch"),
    "DATALOADER.RETURN_IMG0": Setting(False, meaning="whether batches also hold images without augmentation"),
    "DATALOADER.CACHE": Setting(
        True, meaning="whether to keep preprocessed test images on disk and decoded training images in memory"
    ),
    "DATALOADER.CACHE_DISK_GIB": Setting(20.0, at_least(0), "GiB of disk for test images, all datasets together"),
    "DATALOADER.CACHE_MEMORY_GIB": Setting(2.0, at_least(0), "GiB of memory for decoded training images"),
    **_loader("TRAIN_X"),
    "DATALOADER.TRAIN_U.SAME_AS_X": Setting(True, meaning="whether unlabelled images load as TRAIN_X says"),
    **_loader("TRAIN_U"),
    "DATALOADER.TEST.SAMPLER": Setting("SequentialSampler", SAMPLERS, "order in which images are read"),
    "DATALOADER.TEST.BATCH_SIZE": Setting(32, at_least(1), "images in a batch"),
    "MODEL.INIT_WEIGHTS": Setting("", meaning="file of weights to start training from; empty: none"),
    "MODEL.BACKBONE.NAME": Setting("", meaning="name of the CLIP (`mmrl list backbones`), or its file or folder"),
    "MODEL.BACKBONE.PRETRAINED": Setting(True, meaning="Dassl's backbones: whether to start pretrained"),
    "MODEL.HEAD.NAME": Setting("", meaning="for Dassl's simple networks: registered name of the head; empty: none"),
    "MODEL.HEAD.HIDDEN_LAYERS": Setting((), each(at_least(1)), "width of each hidden layer of the head"),
    "MODEL.HEAD.ACTIVATION": Setting("relu", meaning="activation function of the head"),
    "MODEL.HEAD.BN": Setting(True, meaning="whether the head has batch normalization"),
    "MODEL.HEAD.DROPOUT": Setting(0.0, below_one(), "probability of dropout in the head"),
    "OPTIM.NAME": Setting("adam", one_of("adam", "amsgrad", "sgd", "rmsprop", "radam", "adamw"), "the optimiser"),
    "OPTIM.LR": Setting(3e-4, above(0), "learning rate"),
    "OPTIM.WEIGHT_DECAY": Setting(5e-4, at_least(0), "weight decay"),
    "OPTIM.MOMENTUM": Setting(0.9, below_one(), "for sgd and rmsprop: momentum"),
    "OPTIM.SGD_DAMPNING": Setting(0, between(0, 1), "sgd: dampening of the momentum"),
    "OPTIM.SGD_NESTEROV": Setting(False, meaning="sgd: whether the momentum is Nesterov's"),
    "OPTIM.RMSPROP_ALPHA": Setting(0.99, below_one(), "rmsprop: decay of the mean of squared gradients"),
    "OPTIM.ADAM_BETA1": Setting(0.9, below_one(), "for adam, amsgrad, radam and adamw: decay of the first moment"),
    "OPTIM.ADAM_BETA2": Setting(0.999, below_one(), "for the same: decay of the second moment"),
    "OPTIM.ADAM_EPS": Setting(1e-8, above(0), "for the same: number added to the root of the second moment"),
    "OPTIM.STAGED_LR": Setting(False, meaning="whether layers but NEW_LAYERS learn at LR * BASE_LR_MULT"),
    "OPTIM.NEW_LAYERS": Setting((), meaning="with STAGED_LR: names of the layers that learn at the full rate"),
    "OPTIM.BASE_LR_MULT": Setting(0.1, at_least(0), "with STAGED_LR: factor on the other layers' learning rate"),
    "OPTIM.LR_SCHEDULER": Setting(
        "single_step", one_of("single_step", "multi_step", "cosine"), "schedule of the learning rate"
    ),
    "OPTIM.SCHEDULE_UNIT": Setting(
        "epoch", one_of("epoch", "step"), "when the learning rate changes: after every epoch or every step"
    ),
    "OPTIM.STEPSIZE": Setting(
        (-1,),
        each(at_least(-1)),
        "epochs after which the learning rate is multiplied by GAMMA; for single_step, -1 or 0 is never",
    ),
    "OPTIM.GAMMA": Setting(0.1, above(0), "factor on the learning rate at each epoch of STEPSIZE"),
    "OPTIM.MAX_EPOCH": Setting(10, at_least(1), "number of training epochs"),
    "OPTIM.WARMUP_EPOCH": Setting(-1, at_least(-1), "number of warm-up epochs; below 1: no warm-up"),
    "OPTIM.WARMUP_TYPE": Setting("linear", one_of("constant", "linear"), "learning rate during the warm-up"),
    "OPTIM.WARMUP_CONS_LR": Setting(1e-5, at_least(0), "learning rate of a constant warm-up"),
    "OPTIM.WARMUP_MIN_LR": Setting(1e-5, at_least(0), "learning rate at the start of a linear warm-up"),
    "OPTIM.WARMUP_RECOUNT": Setting(True, meaning="whether the schedule counts its epochs from the end of the warm-up"),
    "TRAIN.TRACK": Setting(
        ("tensorboard",),
        each(one_of("tensorboard", "wandb", "mlflow")),
        "where losses, accuracies and results are logged",
    ),
    "TRAIN.CALLBACKS": Setting((), meaning="registered names of a plugin's callbacks (dassl/engine/callbacks.py)"),
    "TRAIN.CHECKPOINT_STEPS": Setting(
        200,
        at_least(0),
        "steps between saved positions in an epoch, to continue from; 0: only when the run is asked to stop",
    ),
    "TRAIN.CHECKPOINT_FREQ": Setting(0, at_least(0), "epochs between checkpoints; 0: only after the last"),
    "TRAIN.PRINT_FREQ": Setting(10, at_least(1), "batches between two lines of the log"),
    "TRAIN.SKIP_NONFINITE": Setting(
        False, meaning="whether to skip a step whose loss is infinite or NaN; otherwise it ends the run"
    ),
    "TRAIN.COUNT_ITER": Setting(
        "train_x", one_of("train_x", "train_u", "smaller_one"), "loader whose number of batches makes an epoch"
    ),
    "TEST.EVALUATOR": Setting("Classification", meaning="registered name of the evaluator"),
    "TEST.PER_CLASS_RESULT": Setting(False, meaning="whether to print the accuracy of each class"),
    "TEST.COMPUTE_CMAT": Setting(False, meaning="whether to save the confusion matrix, in Dassl's format"),
    "TEST.NO_TEST": Setting(False, meaning="whether to end after training, without a test"),
    "TEST.SPLIT": Setting("test", one_of("val", "test"), "images to test on: validation or test"),
    "TEST.FINAL_MODEL": Setting(
        "last_step", one_of("last_step", "best_val"), "model to test: after the last step, or best on validation images"
    ),
    "TRAINER.NAME": Setting("", meaning="the method's registered name"),
    **UNREAD,
}
RULES = {key: setting.rule for key, setting in ENGINE.items() if setting.rule}


def choices(key: str) -> Collection[str]:
    """Return the names that a setting of the engine, or each part of its list, is one of."""
    return RULES[key].choices


def _tree(settings: dict[str, Setting]) -> dict[str, Any]:
    """Return the defaults as nested dictionaries."""
    root: dict[str, Any] = {}
    for key, setting in settings.items():
        *path, name = key.split(".")
        node = root
        for part in path:
            node = node.setdefault(part, {})
        node[name] = setting.default
    return root


DEFAULTS = _tree(ENGINE)


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
