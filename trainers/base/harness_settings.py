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
    "DETERMINISTIC": Setting(False, meaning="on a GPU: the same numbers in every run, slower; a CPU gives them anyway"),
    "TRAIN.CUDA_GRAPHS": Setting(
        True, meaning="on a GPU: steps and predictions of one shape are recorded and replayed"
    ),
    "TASK": Setting("B2N", meaning="the kind of protocol: base-to-novel (B2N), few-shot (FS), cross-dataset (CD)"),
    "PROTOCOL": Setting("", meaning="for the record: the protocol that the run belongs to"),
    "STAGE": Setting("", meaning="for the record: the protocol's stage"),
    "PRESET": Setting("paper", meaning="of configs/presets.yaml: published values per dataset, or one value for all"),
    "SWEPT": Setting((), meaning="for the record: keys whose values a sweep varies"),
    "DATASET.LABEL_NOISE": Setting(
        0.0, between(0, 1), "fraction of the training images that get another class's label"
    ),
    "DATASET.IMBALANCE": Setting(1.0, at_least(1), "largest class of the few-shot set over the smallest"),
    "DATASET.UNLABELLED": Setting(
        False, meaning="whether all training images of all classes are given too, without labels"
    ),
    "DATASET.OWN_NAME": Setting(
        "", meaning="of own images in folders, records and reports; empty: the name of their folder"
    ),
    "DATASET.VAL_FRACTION": Setting(
        -1.0,
        FRACTION_OR_DEFAULT,
        "of own images: fraction of each class set aside for validation; below 0: the default",
    ),
    "DATASET.ALLOW": Setting((), WORDS, "faults of own images that are accepted: datasets/own/table.py lists them"),
    "DATASET.SUBSAMPLE_CLASSES": Setting("all", meaning="all, base or new"),
    "DATASET.TEMPLATE": Setting("", TEMPLATE, "a {} for the class name; empty: configs/templates.yaml"),
    "MODEL.BACKBONE.RESIZE_POSITIONS": Setting(False, meaning="whether INPUT.SIZE may be another than the backbone's"),
    "TEST.FIT_TEMPERATURE": Setting(
        False, meaning="calibration of logits over a temperature fitted on validation images, too"
    ),
    "TEST.CLASSES": Setting(
        "", CLASSES, "seen or unseen; empty: by the protocol, or by the classes where there is none"
    ),
}
