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
        f"DATALOADER.{name}.SAMPLER": Setting("RandomSampler", SAMPLERS, "order of the images"),
        f"DATALOADER.{name}.BATCH_SIZE": Setting(32, at_least(1), "images of a batch"),
        f"DATALOADER.{name}.N_DOMAIN": Setting(0, at_least(0), "of RandomDomainSampler: domains in a batch; 0: all"),
        f"DATALOADER.{name}.N_INS": Setting(16, at_least(1), "of RandomClassSampler: images per class in a batch"),
    }


ENGINE: dict[str, Setting] = {
    "OUTPUT_DIR": Setting("./output", meaning="the run's folder"),
    "RESUME": Setting("", meaning="output folder of an earlier run to continue from; empty: the run's own"),
    "SEED": Setting(-1, SEEDS, "of all random numbers; negative: not seeded"),
    "USE_CUDA": Setting(True, meaning="whether to use a GPU where there is one"),
    "VERBOSE": Setting(True, meaning="whether to print the parts that are built and a summary of the data"),
    "INPUT.SIZE": Setting((224, 224), each(at_least(1), 2), "height and width of images, in pixels"),
    "INPUT.INTERPOLATION": Setting("bilinear", one_of("bilinear", "bicubic", "nearest"), "of resized images"),
    "INPUT.TRANSFORMS": Setting((), each(TRANSFORMS), "of training images; testing takes only those that normalize"),
    "INPUT.NO_TRANSFORM": Setting(False, meaning="whether images stay as they are"),
    "INPUT.UPRIGHT": Setting(
        False, meaning="whether images are turned as their EXIF orientation says; published code does not"
    ),
    "INPUT.PIXEL_MEAN": Setting([0.485, 0.456, 0.406], each(NUMBER, 3), "per channel, of values from 0 to 1"),
    "INPUT.PIXEL_STD": Setting([0.229, 0.224, 0.225], each(above(0), 3), "per channel, of values from 0 to 1"),
    "INPUT.CROP_PADDING": Setting(4, at_least(0), "of random_crop, in pixels"),
    "INPUT.RRCROP_SCALE": Setting((0.08, 1.0), FRACTIONS, "fractions of the area that random_resized_crop may keep"),
    "INPUT.CUTOUT_N": Setting(1, at_least(0), "of cutout: number of squares"),
    "INPUT.CUTOUT_LEN": Setting(16, at_least(0), "of cutout: side of a square, in pixels"),
    "INPUT.GN_MEAN": Setting(0.0, NUMBER, "of gaussian_noise: mean"),
    "INPUT.GN_STD": Setting(0.15, at_least(0), "of gaussian_noise: standard deviation"),
    "INPUT.RANDAUGMENT_N": Setting(2, at_least(0), "of randaugment: number of operations"),
    "INPUT.RANDAUGMENT_M": Setting(10, between(0, 30), "of randaugment: magnitude"),
    "INPUT.COLORJITTER_B": Setting(0.4, at_least(0), "of colorjitter: brightness"),
    "INPUT.COLORJITTER_C": Setting(0.4, at_least(0), "of colorjitter: contrast"),
    "INPUT.COLORJITTER_S": Setting(0.4, at_least(0), "of colorjitter: saturation"),
    "INPUT.COLORJITTER_H": Setting(0.1, between(0, 0.5), "of colorjitter: hue"),
    "INPUT.RGS_P": Setting(0.2, between(0, 1), "of randomgrayscale: probability"),
    "INPUT.GB_P": Setting(0.5, between(0, 1), "of gaussian_blur: probability"),
    "INPUT.GB_K": Setting(21, ODD, "of gaussian_blur: size of the kernel, in pixels"),
    "DATASET.ROOT": Setting("", meaning="the folder with the datasets"),
    "DATASET.NAME": Setting("", meaning="the dataset's registered name"),
    "DATASET.SOURCE_DOMAINS": Setting((), meaning="domains to train on"),
    "DATASET.TARGET_DOMAINS": Setting((), meaning="domains to test on"),
    "DATASET.NUM_SHOTS": Setting(-1, at_least(-1), "training images per class; below 1: all"),
    "DATALOADER.NUM_WORKERS": Setting(4, at_least(0), "processes that load images; 0: the run's own"),
    "DATALOADER.K_TRANSFORMS": Setting(1, at_least(1), "augmented copies of each training image"),
    "DATALOADER.RETURN_IMG0": Setting(False, meaning="whether to add the image without augmentation"),
    "DATALOADER.CACHE": Setting(
        True, meaning="whether test crops are kept on disk, and decoded training images in memory"
    ),
    "DATALOADER.CACHE_DISK_GIB": Setting(20.0, at_least(0), "of test crops on disk, all datasets together"),
    "DATALOADER.CACHE_MEMORY_GIB": Setting(2.0, at_least(0), "of decoded training images in memory"),
    **_loader("TRAIN_X"),
    "DATALOADER.TRAIN_U.SAME_AS_X": Setting(True, meaning="whether unlabelled images load as TRAIN_X says"),
    **_loader("TRAIN_U"),
    "DATALOADER.TEST.SAMPLER": Setting("SequentialSampler", SAMPLERS, "order of the images"),
    "DATALOADER.TEST.BATCH_SIZE": Setting(32, at_least(1), "images of a batch"),
    "MODEL.INIT_WEIGHTS": Setting("", meaning="file with weights to start from; empty: none"),
    "MODEL.BACKBONE.NAME": Setting("", meaning="the backbone's name, or its file or folder"),
    "MODEL.BACKBONE.PRETRAINED": Setting(True, meaning="whether a backbone of Dassl's starts from trained weights"),
    "MODEL.HEAD.NAME": Setting("", meaning="of Dassl's simple networks: the head's registered name; empty: none"),
    "MODEL.HEAD.HIDDEN_LAYERS": Setting((), each(at_least(1)), "the head's hidden layers: width of each"),
    "MODEL.HEAD.ACTIVATION": Setting("relu", meaning="the head's activation"),
    "MODEL.HEAD.BN": Setting(True, meaning="whether the head normalizes batches"),
    "MODEL.HEAD.DROPOUT": Setting(0.0, below_one(), "the head's dropout: probability"),
    "OPTIM.NAME": Setting("adam", one_of("adam", "amsgrad", "sgd", "rmsprop", "radam", "adamw"), "the optimiser"),
    "OPTIM.LR": Setting(3e-4, above(0), "learning rate"),
    "OPTIM.WEIGHT_DECAY": Setting(5e-4, at_least(0), "weight decay"),
    "OPTIM.MOMENTUM": Setting(0.9, below_one(), "of sgd and rmsprop"),
    "OPTIM.SGD_DAMPNING": Setting(0, between(0, 1), "dampening of sgd's momentum"),
    "OPTIM.SGD_NESTEROV": Setting(False, meaning="whether sgd's momentum is Nesterov's"),
    "OPTIM.RMSPROP_ALPHA": Setting(0.99, below_one(), "of rmsprop: decay of the mean of squares"),
    "OPTIM.ADAM_BETA1": Setting(0.9, below_one(), "of adam, amsgrad, radam and adamw: decay of the first moment"),
    "OPTIM.ADAM_BETA2": Setting(0.999, below_one(), "of these: decay of the second moment"),
    "OPTIM.ADAM_EPS": Setting(1e-8, above(0), "of these: added to the root of the second moment"),
    "OPTIM.STAGED_LR": Setting(False, meaning="whether all but NEW_LAYERS learn at LR * BASE_LR_MULT"),
    "OPTIM.NEW_LAYERS": Setting((), meaning="with STAGED_LR: layers that learn at the full rate"),
    "OPTIM.BASE_LR_MULT": Setting(0.1, at_least(0), "with STAGED_LR: factor of the other layers' rate"),
    "OPTIM.LR_SCHEDULER": Setting(
        "single_step", one_of("single_step", "multi_step", "cosine"), "curve of the learning rate"
    ),
    "OPTIM.SCHEDULE_UNIT": Setting(
        "epoch", one_of("epoch", "step"), "when the learning rate changes: after every epoch or every step"
    ),
    "OPTIM.STEPSIZE": Setting(
        (-1,), each(at_least(-1)), "epochs at which the rate falls by GAMMA; single_step: not positive is never"
    ),
    "OPTIM.GAMMA": Setting(0.1, above(0), "factor of the learning rate at such an epoch"),
    "OPTIM.MAX_EPOCH": Setting(10, at_least(1), "epochs of the training"),
    "OPTIM.WARMUP_EPOCH": Setting(-1, at_least(-1), "epochs of the warm-up; below 1: none"),
    "OPTIM.WARMUP_TYPE": Setting("linear", one_of("constant", "linear"), "curve of the warm-up"),
    "OPTIM.WARMUP_CONS_LR": Setting(1e-5, at_least(0), "learning rate of a constant warm-up"),
    "OPTIM.WARMUP_MIN_LR": Setting(1e-5, at_least(0), "learning rate at the start of a linear warm-up"),
    "OPTIM.WARMUP_RECOUNT": Setting(True, meaning="whether the schedule starts to count after the warm-up"),
    "TRAIN.TRACK": Setting(
        ("tensorboard",), each(one_of("tensorboard", "wandb", "mlflow")), "where curves and results are reported"
    ),
    "TRAIN.CALLBACKS": Setting((), meaning="registered classes of plugins (dassl/engine/callbacks.py)"),
    "TRAIN.CHECKPOINT_STEPS": Setting(
        200, at_least(0), "steps between saved positions within an epoch; 0: only when the run is asked to stop"
    ),
    "TRAIN.CHECKPOINT_FREQ": Setting(0, at_least(0), "epochs between checkpoints; 0: only after the last"),
    "TRAIN.PRINT_FREQ": Setting(10, at_least(1), "batches between lines of the log"),
    "TRAIN.SKIP_NONFINITE": Setting(
        False, meaning="whether a step whose loss is infinite or NaN is left out; else it ends the run"
    ),
    "TRAIN.COUNT_ITER": Setting(
        "train_x", one_of("train_x", "train_u", "smaller_one"), "the loader whose length is an epoch"
    ),
    "TEST.EVALUATOR": Setting("Classification", meaning="the evaluator's registered name"),
    "TEST.PER_CLASS_RESULT": Setting(False, meaning="whether to print the accuracy of each class"),
    "TEST.COMPUTE_CMAT": Setting(False, meaning="whether to save the confusion matrix as Dassl does"),
    "TEST.NO_TEST": Setting(False, meaning="whether to end without a test"),
    "TEST.SPLIT": Setting("test", one_of("val", "test"), "the images to test on"),
    "TEST.FINAL_MODEL": Setting("last_step", one_of("last_step", "best_val"), "the model to test"),
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
