"""Every method with each of its settings at the ends of the declared range, and on the smallest and oddest tasks.

Each trains for an epoch or two and predicts: with numbers, or it is refused with the setting's name.
"""

from __future__ import annotations

from collections.abc import Iterator
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from dassl.config.coercion import AUTO
from dassl.config.setting import Setting
from dassl.config.validators import LEAST, MOST
from dassl.engine import TRAINER_REGISTRY
from safeio.errors import UserError
from trainers.base.frozen_clip import one_copy_of_weights
from trainers.base.templates import ensemble

METHODS = [name for name in TRAINER_REGISTRY.registered_names() if hasattr(TRAINER_REGISTRY.get(name), "method_class")]
CLIP, WIDTH = "small", 128
CLASSES, OTHERS = ("cat", "a_long name", "ox"), ("heron",)
WHOLE = (-MOST, -1, 0, 1, 75, 76, 1000, MOST)
FRACTIONS = (LEAST, 0.5, 1 - 1e-9)
"""With WHOLE, what the ends of ranges are looked for among."""
SIZES = {"R": WIDTH + 1, "REP_DIM": WIDTH + 1, "ADAPTER_DIM": WIDTH + 1, "PROJ_LORA_DIM": WIDTH + 1}
SIZES |= {"RES_LORA_DIM": WIDTH + 1, "AUGMENT_EPOCH": 3, "AUG_VIEWS": 3, "N_ITERS": 3}
"""In place of the upper end, where that many numbers or images would have to be held."""
QUICK = {"AUGMENT_EPOCH": 2, "AUG_VIEWS": 2, "N_ITERS": 2, "SEARCH_STEP": (3, 2), "N_CTX": 4}
WORDS = ("", "a", "a_photo_of_a", "an unusually long fluorescent photograph of a")
LISTED = {
    "CTX_INIT": WORDS,
    "TEXT_CTX_INIT": WORDS,
    "TEMPLATE": ("a {}.", "[ctx] {}", "{} [ctx]."),
    "TEMPLATES": ((), ("a {}.",), ("a {}.", "the {}")),
    "PARAMS": ((), ("o",), ("q", "q"), ("q", "k", "v", "o")),
    "REP_LAYERS": ((), (1,), (3,), (4,), (1, 2, 3), (2, 2)),
    "SEARCH_SCALE": ((0, 0), (LEAST, LEAST), (1000, 1000)),
    "SEARCH_STEP": ((1, 1),),
    "TEXTS": ("templates", "nowhere.json"),
    "ENHANCED_BASE": ("", "none", "nowhere.pt"),
    "TEACHER": ("", "nowhere.pt"),
    "TEACHER_RUN": ("", "nowhere"),
}
"""Values of settings that no range has ends of."""


def ends(key: str, setting: Setting) -> list[Any]:
    """Return the values that are tried: the ends of the range, zero and one; every name; `auto`."""
    default, rule = setting.default, setting.rule
    if key in LISTED:
        return [*LISTED[key]]
    if isinstance(default, bool):
        return [True, False]
    if isinstance(default, str) and default != AUTO:
        return [*rule.choices]
    tried = sorted((*WHOLE, *FRACTIONS)) if isinstance(default, float) or rule.fits(0.5) else WHOLE
    allowed = [value for value in tried if rule.fits(value)]
    found = dict.fromkeys((allowed[0], *(v for v in (0, 1) if v in allowed), SIZES.get(key, allowed[-1])))
    return [*found, *([AUTO] if default == AUTO else [])]


def live(workshop, method: str, classes=CLASSES, others=OTHERS, images=(1, 1, 1), **given) -> str:
    """Train, predict, and predict for other classes; return what is wrong."""
    with TemporaryDirectory() as folder:
        options = {"OUTPUT_DIR": folder, "TEST.NO_TEST": True, "TRAIN.TRACK": (), "DATASET.NUM_SHOTS": 1}
        options |= {"OPTIM.MAX_EPOCH": 1, "OPTIM.WARMUP_EPOCH": 0}
        given = QUICK | {"images": images} | given | {"options": options | given.get("options", {})}
        trainer = workshop.build(method, CLIP, classes, **given)
        trainer.train()
    shown = workshop.batch(CLIP, 4, 1)["img"]
    asked = [(trainer, classes)]
    if trainer.method.transfers:
        other = workshop.build(method, CLIP, others, test_classes="unseen", **given)
        other.method.load_state_dict(trainer.method.state_dict())
        asked.append((other, others))
    learned = {name: value for name, value in trainer.method.state_dict().items() if value.is_floating_point()}
    wrong = [name for name, value in learned.items() if not value.isfinite().all()]
    for built, names in asked:
        with built.fixed_classes():
            scores = built.model_inference(shown)
        if scores.shape != (4, len(names)) or not scores.isfinite().all():
            wrong.append(f"scores {tuple(scores.shape)} of {len(names)} classes: {scores}")
    return ", ".join(wrong)


@pytest.fixture(autouse=True)
def quick(monkeypatch) -> Iterator[None]:
    """One copy of the CLIP, and few templates."""
    monkeypatch.setattr("trainers.base.class_texts.ensemble", lambda name: ensemble(name)[:2])
    with one_copy_of_weights():
        yield


def settings_of(method: str, inherited: bool) -> dict[str, Setting]:
    """Return the settings that a method has from the method it is made from, or those that are its own."""
    trainer = TRAINER_REGISTRY.get(method)
    before = next((base.declared for base in trainer.__mro__[1:] if getattr(base, "declared", None)), {})
    return {key: setting for key, setting in trainer.declared.items() if (before.get(key) == setting) is inherited}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("inherited", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["own", "inherited"])
def test_a_setting_at_the_ends_of_its_range(workshop, method, inherited):
    faults = []
    for key, setting in settings_of(method, inherited).items():
        for value in ends(key, setting):
            try:
                fault = live(workshop, method, **{key: value})
            except UserError as error:
                fault = "" if key in str(error) else f"refused, but not by name: {error}"
            except Exception as error:
                fault = f"{type(error).__name__}: {error}"
            faults += [f"{key} {value!r}: {fault}"] if fault else []
    assert not faults, "\n".join(faults)


TASKS = {
    "one class": {"classes": ("cat",), "images": (2,)},
    "one image": {"classes": ("cat",), "images": (1,), "at_once": 1},
    "two classes and more others": {
        "classes": ("cat", "dog"),
        "images": (1, 1),
        "others": ("elm", "fir", "oak", "yew"),
    },
    "batches of one image": {"at_once": 1, "images": (2, 1, 1)},
    "no validation images": {"validation": False},
    "a class without images": {"images": (2, 0, 1)},
    "the last class without images": {"images": (1, 2, 0)},
    "all images": {"options": {"DATASET.NUM_SHOTS": -1}},
    "bfloat16": {"PREC": "bf16"},
    "autocast": {"PREC": "amp"},
}
"""Arguments of `live`. The batch is larger than the training set in all that do not say otherwise."""


@pytest.mark.parametrize("method", METHODS)
def test_the_smallest_and_oddest_tasks(workshop, method):
    faults = {task: live(workshop, method, **about) for task, about in TASKS.items()}
    assert not any(faults.values()), faults
