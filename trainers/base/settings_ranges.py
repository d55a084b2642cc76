"""What the values of the harness' and of the methods' settings must be. Checked before any data is read."""

from __future__ import annotations

from clip.hugging_face import is_hugging_face
from clip.open_clip_models import is_open_clip
from clip.pretrained import unknown
from dassl.config import ConfigBuilder
from dassl.config.validators import (
    NUMBER,
    Rule,
    Values,
    above,
    at_least,
    below_one,
    between,
    check_ranges,
    each,
    is_number,
    one_of,
    or_auto,
)
from dassl.data.datasets.build import DATASET_REGISTRY
from dassl.engine import TRAINER_REGISTRY
from dassl.engine.config_rules import DEPENDENCIES
from dassl.engine.config_rules import RULES as OF_THE_ENGINE
from dassl.evaluation import EVALUATOR_REGISTRY
from dassl.utils.names import unknown_name_message
from trainers.base.low_rank import ENCODERS, POSITIONS, PROJECTIONS
from trainers.base.precision import PRECISIONS
from trainers.base.templates import check_template
from trainers.base.trainer import ROLES


def _is_template(value: object) -> bool:
    try:
        return value == "" or bool(check_template(str(value)))
    except ValueError:
        return False


TEMPLATE = Rule("one {} for the class name, as in 'a photo of a {}.'", _is_template)
OF_THE_HARNESS = {
    "DATASET.LABEL_NOISE": between(0, 1),
    "DATASET.IMBALANCE": at_least(1),
    "DATASET.VAL_SHARE": Rule("a share below 1, or below 0 for the default", lambda v: is_number(v) and v < 1),
    "DATASET.ALLOW": Rule("a list of words", lambda value: all(isinstance(word, str) for word in value)),
    "DATASET.TEMPLATE": TEMPLATE,
    "TEST.ROLE": Rule(f"one of {', '.join(ROLES)}", lambda value: value in ("", *ROLES)),
}
OF_METHODS = {  # by the setting's name: methods that share a name mean the same by it
    "PREC": one_of(*PRECISIONS),
    "CLASS_TOKEN_POSITION": one_of("end", "middle", "front"),
    **dict.fromkeys(("N_CTX", "N_CTX_TEXT"), between(1, 76)),  # of 77 positions, one is the start
    "N_CTX_VISION": between(0, 76),
    **dict.fromkeys(("PROMPT_DEPTH", "CLASS_TOKENS_LAYER"), or_auto(at_least(1))),
    **dict.fromkeys(("PROMPT_DEPTH_TEXT", "PROMPT_DEPTH_VISION"), or_auto(at_least(0))),
    **dict.fromkeys(("ADAPTER_START", "ADAPTER_END"), or_auto(at_least(0))),
    **dict.fromkeys(("ADAPTER_DIM", "REP_DIM", "PROJ_LORA_DIM", "RES_LORA_DIM", "REDUCTION"), at_least(1)),
    "N_REP_TOKENS": between(1, 75),
    "REP_LAYERS": Rule("layers, numbered from 1", lambda value: all(is_number(v) and v >= 1 for v in value)),
    **dict.fromkeys(("ALPHA", "BETA", "RATIO"), between(0, 1)),
    **dict.fromkeys(("REG_WEIGHT", "W", "C", "TEXT_LOSS_WEIGHT", "IMAGE_LOSS_WEIGHT"), at_least(0)),
    **dict.fromkeys(("INIT_ALPHA", "INIT_BETA"), at_least(0)),
    **dict.fromkeys(("T", "GPA_STD"), above(0)),
    "ADAPTER_SCALE": Rule("a number other than 0", lambda value: is_number(value) and value != 0),
    **dict.fromkeys(("GPA_MEAN", "LAMBDA"), NUMBER),
    "SELECT_ON": one_of("val", "test"),
    "SEARCH_SCALE": each(above(0), 2),
    "SEARCH_STEP": each(at_least(1), 2),
    **dict.fromkeys(("AUGMENT_EPOCH", "AUG_VIEWS", "ALPHA_EVERY"), at_least(1)),
    **dict.fromkeys(("RESIDUAL_SCALE", "LR_EXP"), NUMBER),
    **dict.fromkeys(("R", "N_ITERS"), at_least(1)),
    "PARAMS": each(one_of(*PROJECTIONS)),
    "POSITION": one_of(*POSITIONS),
    "ENCODER": one_of(*ENCODERS),
    "DROPOUT": below_one(),
    **dict.fromkeys(("N_ITERS_FRAC", "WEIGHT", "IMAGE_ADAPTER_M", "TEXT_ADAPTER_M"), between(0, 1)),
    "PEFT": one_of("ln", "lora", "bitfit"),
    "MODE": one_of("few_shot", "base2new"),
    "TEMPLATE": TEMPLATE,
    "TEMPLATES": each(TEMPLATE),
}


def _adapters(values: Values) -> str | None:
    start, end = (values[f"TRAINER.MMADAPTER.ADAPTER_{edge}"] for edge in ("START", "END"))
    if isinstance(start, int) and isinstance(end, int) and start > end:
        return f"TRAINER.MMADAPTER.ADAPTER_START is {start}, behind ADAPTER_END, which is {end}"
    return None


def _dataset(values: Values) -> str | None:
    name, known = values["DATASET.NAME"], DATASET_REGISTRY.registered_names()
    return unknown_name_message("dataset", name, known) if name and name not in known else None


def _backbone(values: Values) -> str | None:
    name = values["MODEL.BACKBONE.NAME"]
    return None if not name or is_open_clip(name) or is_hugging_face(name) else unknown(name)


def check_settings(builder: ConfigBuilder) -> None:
    """Hold all settings to their ranges; of methods only those of the one that runs.

    Raises:
        dassl.config.ConfigError: with a line for each wrong value: key, origin, value, what was expected.
    """
    name = builder.cfg.TRAINER.NAME
    node = getattr(TRAINER_REGISTRY.get(name), "settings_node", "") if name else ""
    of_method = {f"TRAINER.{node}.{key}": rule for key, rule in OF_METHODS.items()} if node else {}
    registered = {"TEST.EVALUATOR": one_of(*EVALUATOR_REGISTRY.registered_names())}  # plugins' ones among them
    dependencies = [*DEPENDENCIES, _adapters, _dataset]
    if node or not name:  # a plugin may have backbones of its own
        dependencies.append(_backbone)
    check_ranges(builder, OF_THE_ENGINE | OF_THE_HARNESS | registered | of_method, dependencies)
