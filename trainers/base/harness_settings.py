"""Settings of the harness, declared like a method's; the engine's are in `dassl/config/defaults.py`, as in Dassl."""

from __future__ import annotations

from dassl.config.validators import Rule, at_least, between, is_number
from trainers.base.setting import Setting
from trainers.base.templates import TEMPLATE
from trainers.base.trainer import TEST_CLASSES

WORDS = Rule("a list of words", lambda value: all(isinstance(word, str) for word in value))
FRACTION_OR_DEFAULT = Rule("a fraction below 1, or below 0 for the default", lambda v: is_number(v) and v < 1)
CLASSES = Rule(f"one of {', '.join(TEST_CLASSES)}", lambda value: value in ("", *TEST_CLASSES))

HARNESS = {
    "DETERMINISTIC": Setting(
        False, meaning="whether repeated runs on a GPU give equal numbers; slower. On a CPU they always do"
    ),
    "TRAIN.CUDA_GRAPHS": Setting(
        True, meaning="on a GPU: whether to record steps and predictions of one shape as CUDA graphs and replay them"
    ),
    "TASK": Setting("B2N", meaning="kind of protocol: base-to-novel (B2N), few-shot (FS) or cross-dataset (CD)"),
    "PROTOCOL": Setting("", meaning="for the record: the protocol that the run belongs to"),
    "STAGE": Setting("", meaning="for the record: the protocol's stage"),
    "PRESET": Setting(
        "paper", meaning="name in configs/presets.yaml; paper: published values per dataset, fair: one value for all"
    ),
    "SWEPT": Setting((), meaning="for the record: keys whose values a sweep varies"),
    "DATASET.LABEL_NOISE": Setting(
        0.0, between(0, 1), "fraction of the training images that get another class's label"
    ),
    "DATASET.IMBALANCE": Setting(
        1.0, at_least(1), "images of the largest class of the few-shot set, divided by those of the smallest"
    ),
    "DATASET.UNLABELLED": Setting(
        False, meaning="whether the method also gets all training images of all classes, without labels"
    ),
    "DATASET.OWN_NAME": Setting(
        "", meaning="name of your own images in folders, records and reports; empty: the name of their folder"
    ),
    "DATASET.VAL_FRACTION": Setting(
        -1.0,
        FRACTION_OR_DEFAULT,
        "for your own images: fraction of each class for validation; negative: 0.2 where the split is drawn, else 0",
    ),
    "DATASET.ALLOW": Setting(
        (),
        WORDS,
        "faults of your own images to accept: duplicates, leaks, partial, nested, one_class (docs/your-data.md)",
    ),
    "DATASET.SUBSAMPLE_CLASSES": Setting(
        "all", meaning="classes to use: all, base (the first half) or new (the second half)"
    ),
    "DATASET.TEMPLATE": Setting(
        "", TEMPLATE, "prompt of each class, {} for its name; empty: that of configs/templates.yaml"
    ),
    "MODEL.BACKBONE.RESIZE_POSITIONS": Setting(
        False, meaning="whether to resize the position embeddings, so that INPUT.SIZE may differ from the backbone's"
    ),
    "TEST.FIT_TEMPERATURE": Setting(
        False, meaning="whether to report calibration also with a temperature fitted on validation images"
    ),
    "TEST.CLASSES": Setting(
        "",
        CLASSES,
        "whether tested classes were seen or unseen in training; empty: as the protocol or the class names say",
    ),
}
