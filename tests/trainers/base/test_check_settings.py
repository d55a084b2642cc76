"""Every setting's range, checked before data is read: what is refused, in which words, and that none is forgotten."""

from __future__ import annotations

import re

import pytest

import train
from dassl.config import ConfigError
from dassl.config.defaults import ENGINE, RULES, choices
from dassl.data.samplers import SAMPLERS
from dassl.data.transforms import AVAI_CHOICES, INTERPOLATION_MODES
from dassl.engine import TRAINER_REGISTRY
from dassl.engine.trackers import TRACKERS
from dassl.optim.lr_scheduler import AVAI_SCHEDS
from dassl.optim.optimizer import AVAI_OPTIMS
from safeio.trees import leaves
from trainers.base.check_settings import OF_THE_HARNESS
from trainers.base.harness_settings import HARNESS
from trainers.base.run_settings import declared, settings_of_run
from trainers.base.setting import OURS, rows
from trainers.dept import PUBLISHED_KEYS

START_BEHIND_END = ("TRAINER.MMADAPTER.ADAPTER_START", 5, "TRAINER.MMADAPTER.ADAPTER_END", 2)
TEXT_LISTS = {"DATASET.SOURCE_DOMAINS", "DATASET.TARGET_DOMAINS", "OPTIM.NEW_LAYERS", "SWEPT", "TRAIN.CALLBACKS"}
FREE_NUMBERS = {"VERSION"}


def ranged(keys, rules) -> set[str]:
    """Keys of numbers and lists that have no rule."""
    return {key for key, value in keys if not isinstance(value, (bool, str)) and key not in rules}


def test_every_number_and_list_has_a_range():
    keys = [(key, value) for key, value in leaves(declared().cfg) if not key.startswith("TRAINER.")]
    assert ranged(keys, RULES | OF_THE_HARNESS) == TEXT_LISTS | FREE_NUMBERS
    for name in TRAINER_REGISTRY.registered_names():
        declared_ones = getattr(TRAINER_REGISTRY.get(name), "declared", {})
        defaults = {key: setting.default for key, setting in declared_ones.items()}
        assert not ranged(defaults.items(), {key for key, setting in declared_ones.items() if setting.rule}), name


def test_every_range_is_of_a_setting_and_holds_its_default():
    values = dict(leaves(declared().cfg))
    assert RULES.keys() | OF_THE_HARNESS.keys() <= values.keys()
    decided = {"TEST.CLASSES"}  # empty until the protocol decides
    wrong = {k for k, rule in (RULES | OF_THE_HARNESS).items() if k not in decided and not rule.fits(values[k])}
    assert not wrong
    for name in TRAINER_REGISTRY.registered_names():
        for key, setting in getattr(TRAINER_REGISTRY.get(name), "declared", {}).items():
            assert setting.rule is None or setting.rule.fits(setting.default), (name, key)


def test_the_engine_has_what_its_settings_name():
    """Their names stand in one table, which can import none of the parts that they name."""
    parts = {
        "INPUT.INTERPOLATION": INTERPOLATION_MODES,
        "INPUT.TRANSFORMS": AVAI_CHOICES,
        "DATALOADER.TRAIN_X.SAMPLER": SAMPLERS,
        "OPTIM.NAME": AVAI_OPTIMS,
        "OPTIM.LR_SCHEDULER": AVAI_SCHEDS,
        "TRAIN.TRACK": ("tensorboard", *TRACKERS),
    }
    for key, names in parts.items():
        assert set(choices(key)) == set(names), key


def test_every_setting_of_the_engine_and_the_harness_says_what_it_does():
    assert not [key for key, setting in (ENGINE | HARNESS).items() if not setting.meaning]


def test_every_setting_of_a_method_says_what_it_does_and_where_its_default_was_read():
    for name in TRAINER_REGISTRY.registered_names():
        trainer = TRAINER_REGISTRY.get(name)
        for row in rows(getattr(trainer, "declared", {})):
            assert all(row.values()), (name, row)
            assert row["source"] == OURS or re.match(r"[\w-]+/[\w-]+ \S", row["source"]), (name, row)


def test_a_default_that_a_method_changes_has_its_own_source():
    declared_ones = TRAINER_REGISTRY.get("KgCoOp").declared
    assert declared_ones["N_CTX"].source.startswith("htyao89/KgCoOp")
    assert declared_ones["CSC"].source.startswith("KaiyangZhou/CoOp"), "inherited as it is"


def refused(*words: object) -> str:
    with pytest.raises(ConfigError) as error:
        settings_of_run(train.parse([str(word) for word in ("--trainer", "MMRL", *words)]))
    return str(error.value)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("OPTIM.LR", 0, "a number above 0"),
        ("OPTIM.LR", -0.1, "a number above 0"),
        ("OPTIM.LR", "1e999", "a number above 0"),
        ("OPTIM.NAME", "adamW", "Did you mean 'adamw'?"),
        ("OPTIM.LR_SCHEDULER", "cosin", "Did you mean 'cosine'?"),
        ("OPTIM.MAX_EPOCH", 0, "at least 1"),
        ("OPTIM.WEIGHT_DECAY", -1, "at least 0"),
        ("OPTIM.MOMENTUM", 1.0, "from 0 to below 1"),
        ("DATALOADER.TRAIN_X.BATCH_SIZE", 0, "at least 1"),
        ("DATALOADER.TEST.BATCH_SIZE", -5, "at least 1"),
        ("DATALOADER.TRAIN_X.SAMPLER", "Random", "Did you mean 'RandomSampler'?"),
        ("DATALOADER.NUM_WORKERS", -1, "at least 0"),
        ("INPUT.SIZE", "(224,)", "a list of 2"),
        ("INPUT.SIZE", "(0, 224)", "at least 1"),
        ("INPUT.PIXEL_STD", "[0.2, 0.2, 0]", "above 0"),
        ("INPUT.INTERPOLATION", "cubic", "Did you mean 'bicubic'?"),
        ("INPUT.TRANSFORMS", "('random_flop',)", "random_flip"),
        ("INPUT.RRCROP_SCALE", "(1.0, 0.1)", "0 < first <= second <= 1"),
        ("INPUT.GB_K", 4, "an odd number"),
        ("DATASET.NUM_SHOTS", -5, "at least -1"),
        ("DATASET.TEMPLATE", "a photo", "one {} for the class name"),
        ("DATASET.LABEL_NOISE", 1.5, "from 0 to 1"),
        ("TRAIN.PRINT_FREQ", 0, "at least 1"),
        ("TRAIN.CHECKPOINT_STEPS", -1, "at least 0"),
        ("TEST.SPLIT", "train", "one of val, test"),
        ("TEST.FINAL_MODEL", "best", "Did you mean 'best_val'?"),
        ("TEST.CLASSES", "new", "one of seen, unseen"),
        ("SEED", 2**40, "from"),
        ("TRAINER.MMRL.PREC", "fp8", "one of fp32, fp16, bf16, amp"),
        ("TRAINER.MMRL.ALPHA", 1.2, "from 0 to 1"),
        ("TRAINER.MMRL.N_REP_TOKENS", 0, "from 1 to 75"),
        ("TRAINER.MMRL.REP_LAYERS", "[0, 1]", "numbered from 1"),
        ("TRAINER.MMRL.REG_WEIGHT", -1, "at least 0"),
    ],
)
def test_out_of_range(key, value, expected):
    said = refused(key, value)
    assert said.startswith(f"{key} in command line is ") and expected in said


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("OPTIM.SGD_NESTEROV", True, "OPTIM.MOMENTUM", 0), ["SGD_NESTEROV", "MOMENTUM is 0"]),
        (("OPTIM.STAGED_LR", True), ["STAGED_LR", "NEW_LAYERS"]),
        (("OPTIM.WARMUP_EPOCH", 3, "--train-epoch", 2), ["WARMUP_EPOCH is 3", "MAX_EPOCH is 2", "--train-epoch"]),
        (("DATALOADER.K_TRANSFORMS", 2, "INPUT.NO_TRANSFORM", True), ["K_TRANSFORMS is 2", "NO_TRANSFORM"]),
        (("--trainer", "MMA", *START_BEHIND_END), ["ADAPTER_START is 5"]),
    ],
)
def test_values_that_exclude_one_another(words, parts):
    said = refused(*words)
    assert all(part in said for part in parts), said


def test_all_mistakes_are_named_at_once_and_nothing_is_started(tmp_path, capsys):
    words = ["--output-dir", str(tmp_path / "run"), "OPTIM.LR", "-1", "OPTIM.NAME", "sdg", "--trainer", "CoOp"]
    assert train.main(words) == 2
    said = capsys.readouterr().err
    assert "OPTIM.LR" in said and "'sdg'" in said and "'sgd'" in said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("key", PUBLISHED_KEYS)
def test_a_published_key_of_another_name_is_answered_with_the_name_here(key):
    builder = declared()
    for spelling in (key, key.removeprefix("TRAINER.")):
        with pytest.raises(ConfigError) as caught:
            builder.set(spelling, 0.7, "method yaml")
        message = str(caught.value)
        assert message == f"Unknown key {spelling} in method yaml: {PUBLISHED_KEYS[key]}"
    keys = {known for known, _ in leaves(builder.cfg)}
    assert {*re.findall(r"TRAINER\.\w+\.\w+", message.partition(":")[2])} <= keys


@pytest.mark.parametrize(
    ("method", "key", "value", "expected"),
    [
        ("TaskRes", "TaskRes.RESIDUAL_SCALE", "1e300", "a finite number; at most 2,147,483,647"),
        ("TaskRes", "TaskRes.RESIDUAL_SCALE", "-1e300", "a finite number; at most 2,147,483,647 in size"),
        ("MMA", "MMADAPTER.ADAPTER_SCALE", "1e-300", "a number other than 0; at least 1e-30 in size"),
        ("LinearProbe", "LINEARPROBE.C", "1e-300", "a number above 0, or auto; at least 1e-30 in size"),
    ],
)
def test_sizes_that_no_tensor_computes_with_are_refused(method, key, value, expected):
    with pytest.raises(ConfigError) as caught:
        settings_of_run(train.parse(["--trainer", method, f"TRAINER.{key}", value]))
    assert str(caught.value).endswith(f"expected {expected}")
