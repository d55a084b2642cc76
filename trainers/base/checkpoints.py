"""Identity of the run that wrote a checkpoint, and whether another run may use it.

Parameters of the same shape fit many models: without this check, those of another backbone or other classes would load
and silently predict nonsense. Checkpoints of published code hold no identity; for them only shapes can be compared.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from yacs.config import CfgNode

from safeio.errors import UserError
from trainers.base.frozen_clip import FrozenCLIP

ASIDE = {"PREC", "SEARCH", "SELECT_ON", "TEXTS", "BASE_RULE"}
"""Settings of methods that may differ between training and testing. So may settings that are fractions: they are
weights, which published protocols change between datasets. All other settings decide what was learned and must be
equal."""
COURSE = ("SEED", "INPUT.SIZE", "INPUT.TRANSFORMS", "DATALOADER.TRAIN_X", "DATASET.NUM_SHOTS", "OPTIM")
"""Settings that must be equal for a training to continue, besides the method's. OPTIM.MAX_EPOCH may be raised."""


class CheckpointMismatch(UserError, ValueError):
    """The checkpoint is of another run; the message shows both values of everything that differs."""


def identity(cfg: CfgNode, settings: Mapping[str, Any], clip: FrozenCLIP, classnames: Sequence[str]) -> dict[str, Any]:
    """Return the identity of a run: method and its settings, backbone, classes, dataset and the settings of COURSE."""
    course = {}
    for key in COURSE:
        node: Any = cfg
        for name in key.split("."):
            node = node[name]
        course |= {f"{key}.{k}": v for k, v in node.items()} if isinstance(node, CfgNode) else {key: node}
    course.pop("OPTIM.MAX_EPOCH")
    return {
        "method": cfg.TRAINER.NAME,
        "backbone": f"{cfg.MODEL.BACKBONE.NAME} ({describe(clip)})",
        "settings": dict(settings),
        "classes": list(classnames),
        "dataset": f"{cfg.DATASET.NAME}, classes {cfg.DATASET.SUBSAMPLE_CLASSES}",
        "course": course,
        "workers": cfg.DATALOADER.NUM_WORKERS,
    }


def describe(clip: FrozenCLIP) -> str:
    """Sizes of a CLIP and a checksum over some of its weights, the same in every precision."""
    model, crc = clip.model, 0
    for weights in (model.positional_embedding, model.ln_final.weight, model.logit_scale):  # float32 in any precision
        crc = zlib.crc32(weights.detach().to("cpu", torch.float32).contiguous().numpy().tobytes(), crc)
    sizes = f"{model.visual.input_resolution} pixels, embedding {clip.embed_dim}"
    return f"{type(model.visual).__name__}, {sizes}, weights {crc:08x}"


def check_loaded(
    saved: Mapping[str, Any], own: Mapping[str, Any], test_classes: str, transfers: bool, source: str
) -> None:
    """Refuse a checkpoint that this run cannot be tested with.

    Args:
        saved: of the checkpoint, as `identity` made it; own: of this run.
        test_classes: TEST.CLASSES; transfers: whether the method predicts classes that it was not trained on.
        source: the checkpoint's name.

    Raises:
        CheckpointMismatch: another method, backbone or setting; or classes it was not trained on where the rule for
            trained ones would be used.
    """
    differing = [*_frame(saved, own), *_settings(saved, own, ASIDE, (float,))]
    if differing:
        raise CheckpointMismatch(_told(source, differing, "Give this run the values that it was trained with."))
    unknown = [name for name in own["classes"] if name not in set(saved["classes"])]
    if not transfers and unknown:
        advice = f"{own['method']} with these settings learns something for each class: test it on those it learned."
        raise CheckpointMismatch(_told(source, [_classes(saved, own)], advice))
    if test_classes == "seen" and unknown:
        advice = (
            f"It was not trained on {unknown[0]!r}{f' and {len(unknown) - 1} others' if unknown[1:] else ''}, but "
            f"TEST.CLASSES is 'seen', the prediction rule for trained classes: set TEST.CLASSES unseen, or leave it "
            f"out and give the TASK and DATASET.SUBSAMPLE_CLASSES of the test."
        )
        raise CheckpointMismatch(_told(source, [_classes(saved, own)], advice))


def check_resumed(saved: Mapping[str, Any], own: Mapping[str, Any], source: str) -> None:
    """Refuse to continue a training under other settings than it began with.

    Raises:
        CheckpointMismatch: something that decides the training differs.
    """
    differing = [*_frame(saved, own), *_settings(saved, own)]
    if list(saved["classes"]) != list(own["classes"]):
        differing.append(_classes(saved, own))
    differing += _values(saved.get("course") or {}, own["course"])
    if differing:
        advice = "Give the values that it began with, or another OUTPUT_DIR (--output-dir) to train anew."
        raise CheckpointMismatch(_told(source, differing, advice))


def _frame(saved: Mapping[str, Any], own: Mapping[str, Any]) -> Iterator[str]:
    if saved["method"] != own["method"]:
        yield f"TRAINER.NAME: {saved['method']} there, {own['method']} here"
    # The name may be a path on another machine: what is in the brackets says which weights they are.
    if saved["backbone"].rpartition(" (")[2] != own["backbone"].rpartition(" (")[2]:
        yield f"MODEL.BACKBONE.NAME: {saved['backbone']} there, {own['backbone']} here"


def _settings(
    saved: Mapping[str, Any], own: Mapping[str, Any], aside: set[str] = frozenset(), kinds: tuple[type, ...] = ()
) -> Iterator[str]:
    """Yield the differing settings of the method, except those in `aside` and those of some types."""
    kept = {key: value for key, value in own["settings"].items() if key not in aside and not isinstance(value, kinds)}
    if saved["method"] == own["method"]:
        yield from _values(saved["settings"], kept)


def _values(saved: Mapping[str, Any], own: Mapping[str, Any]) -> Iterator[str]:
    """Yield the differing values of keys that the checkpoint has; other keys are newer than the checkpoint."""
    for key, value in own.items():
        if key in saved and _plain(saved[key]) != _plain(value):
            yield f"{key}: {saved[key]!r} there, {value!r} here"


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _classes(saved: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    there, here = saved["classes"], own["classes"]
    return f"classes: {_few(there)} of {saved['dataset']} there, {_few(here)} of {own['dataset']} here"


def _few(names: Sequence[str]) -> str:
    return f"{len(names)} ({', '.join(names[:3])}{' ...' if names[3:] else ''})"


def _told(source: str, differing: Sequence[str], advice: str) -> str:
    return f"{source} is of another run. {'; '.join(differing)}. {advice}"
