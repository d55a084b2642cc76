"""Zero-shot CLIP: class names make the classifier; nothing is trained and no run is needed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from dassl.config import ConfigError
from dassl.engine import TRAINER_REGISTRY
from dassl.utils.environment import device_of
from inference.classes import check_classes
from inference.predictor import Predictor
from inference.run_folder import TrainedRun
from runs.protocol import CONFIGS, config_for, protocols_of
from runs.record import COMPLETE
from runs.train_arguments import parse_words
from safeio.errors import UserError
from trainers.base.build import build_clip
from trainers.base.precision import Precision
from trainers.base.run_settings import settings_of_run

METHOD = "ZeroshotCLIP"
EMBEDDED = "photo-ViT-8"
"""The CLIP of photographs inside the package: the one where none is named, because it needs no download."""


class ZeroShotError(UserError, ValueError):
    """A CLIP that does not exist, or a template without a place for the class name."""


def zero_shot_model(
    names: Sequence[str], backbone: str | None = None, device: str | None = None, template: str = "a photo of a {}."
) -> Predictor:
    """Return a zero-shot CLIP for these classes; nothing is trained.

    Args:
        names: of the classes.
        backbone: a CLIP by name or the path of its weights. By default photo-ViT-8, which is inside the package and
            is far less accurate than ViT-B/16, whose weights are downloaded once.
        device: cpu or cuda; a GPU if there is one by default.
        template: the prompt, with {} for the class name.

    Raises:
        UserError: names that cannot be used, no such CLIP, or a template without {}.
    """
    backbone = backbone or EMBEDDED
    if not isinstance(template, str) or "{}" not in template:
        raise ZeroShotError(f"The template {template!r} is no text with {{}}, which stands for the class name")
    if not isinstance(backbone, str | os.PathLike):
        raise ZeroShotError(f"The backbone is {backbone!r}; expected the name of a CLIP or the path of its weights")
    backbone = os.fspath(backbone)
    classes = check_classes(names)
    place = device_of(device)
    file = config_for(backbone) or protocols_of(METHOD)["few_shot"]["cfg"]["default"]
    words = ["--trainer", METHOD, "--config-file", str(CONFIGS / f"trainers/{METHOD}/{file}.yaml")]
    _, args = parse_words([*words, f"--backbone={backbone}", "DATASET.TEMPLATE", template])
    args.record = None
    try:
        builder = settings_of_run(args)
    except (ConfigError, KeyError) as error:
        raise ZeroShotError(error.args[0]) from error
    record = {
        "method": METHOD, "config": builder.plain(), "status": COMPLETE, "metrics": {}, "classes": list(classes),
    }  # fmt: skip
    run = TrainedRun(Path(), record, builder.cfg, TRAINER_REGISTRY.get(METHOD), classes, None, {}, {})
    precision = Precision("fp32", place)
    return Predictor(run, None, build_clip(builder.cfg, precision, place), precision)
