"""Checkpoints of the published code: the names of learned parameters in them, and a check of the CLIP they belong to.

MMRL and MaPLe save the whole model; CoOp and methods built on it save the prompt learner alone (names then lack its
prefix), with embeddings of the prompts' fixed tokens. Neither names its backbone, but frozen weights in the file tell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from trainers.base.checkpoints import CheckpointMismatch, describe
from trainers.base.frozen_clip import FrozenCLIP

START_TOKEN = 49406
ROUNDING = {"rtol": 1e-2, "atol": 1e-4}  # a file may hold in half precision what is here in float32, or the reverse


def learned(state_dict: Mapping[str, Tensor], names: Mapping[str, str]) -> dict[str, Tensor] | None:
    """Return the learned parameters under the method's own names; None if the file is not in a published layout.

    Args:
        names: published name in the whole model -> own name, for each parameter.
    """
    for key in (lambda name: name, lambda name: name.partition(".")[2]):
        given = {key(name): own for name, own in names.items()}
        if len(given) == len(names) and given.keys() <= state_dict.keys():
            return {own: state_dict[name] for name, own in given.items()}
    return None


def check_frozen(state_dict: Mapping[str, Tensor], clip: FrozenCLIP) -> None:
    """Refuse a file whose frozen parts are of another CLIP.

    Raises:
        CheckpointMismatch: naming a part that differs, with both shapes.
    """
    for name, there, here in _frozen_parts(state_dict, clip):
        if there.shape != here.shape or not torch.allclose(there.float().cpu(), here.float().cpu(), **ROUNDING):
            raise CheckpointMismatch(
                f"The checkpoint was learned on another backbone than this run's ({describe(clip)}): {name} is of "
                f"shape {tuple(there.shape)} there, {tuple(here.shape)} here"
                f"{', with other values' if there.shape == here.shape else ''}. Set MODEL.BACKBONE.NAME (--backbone)."
            )


def _frozen_parts(state_dict: Mapping[str, Tensor], clip: FrozenCLIP) -> Iterator[tuple[str, Tensor, Tensor]]:
    visual = clip.visual.state_dict()
    for name in ("class_embedding", "positional_embedding", "attnpool.positional_embedding"):
        if name in visual and f"image_encoder.{name}" in state_dict:
            yield f"image_encoder.{name}", state_dict[f"image_encoder.{name}"], visual[name]
    for name, value in state_dict.items():
        if name.rpartition(".")[2] == "token_prefix" and value.ndim == 3:  # (C, 1, D), each row the start token's
            yield name, value[0, 0], clip.model.token_embedding.weight.detach()[START_TOKEN]
