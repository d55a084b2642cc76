"""Texts of a language model about each class, from the user's JSON file, or prompt templates where TEXTS says so.

The layout is that of the files which published methods share: {"class name": ["text", ...], ...}.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clip.prompt_batch import PromptBatch
from clip.tokenizer import tokenize
from dassl.config import ConfigError
from safeio.class_texts import missing_of, read_texts, same_name, texts_file
from trainers.base.frozen_clip import FrozenCLIP
from trainers.base.method import LANGUAGE_MODEL, Task
from trainers.base.setting import OURS, Setting
from trainers.base.templates import ensemble

TEMPLATES = "templates"
"""The value of TEXTS that takes sixty templates in place of a language model's texts."""


def texts_setting() -> Setting:
    """Return the setting TEXTS: where a method's texts are."""
    meaning = "JSON file of a language model's texts about the classes; empty: ROOT/texts/DATASET.json. "
    meaning += f"`{TEMPLATES}` takes sixty prompt templates instead"
    return Setting("", meaning=meaning, source=OURS)


def marks_of_texts(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the mark in reports for a method that learns from these texts; none for templates."""
    return () if settings["TEXTS"] == TEMPLATES else (LANGUAGE_MODEL,)


def class_texts(method: str, file: str, task: Task) -> list[list[str]]:
    """Return the texts about each class of a task.

    Args:
        method: name of the method's settings below TRAINER, for messages.
        file: the setting TEXTS.

    Raises:
        dassl.config.ConfigError: there is no file, or it lacks texts of a class.
        safeio.read_back.DamagedFile: it is not of this layout.
    """
    names = [name.replace("_", " ") for name in task.classnames]
    if file == TEMPLATES:
        return [[template.format(name) for template in ensemble("sixty")] for name in names]
    key, path = f"TRAINER.{method}.TEXTS", Path(file) if file else texts_file(task.root, task.dataset)
    if not path.is_file():
        raise ConfigError(
            f"{key} is {file!r} and there is no file {path}: texts of a language model about each class are needed, "
            f'{{"class name": ["text", ...], ...}}. `mmrl data texts` says where they belong and checks them. '
            f"{key} {TEMPLATES} takes sixty templates in their place, which is not the published method"
        )
    texts = read_texts(path)
    if missing := missing_of(texts, names):
        raise ConfigError(f"{key}: {path} has no texts of {len(missing)} classes: {', '.join(missing[:5])}")
    return [texts[same_name(name)] for name in names]


@torch.no_grad()
def text_features(clip: FrozenCLIP, texts: list[str]) -> Tensor:
    """Return frozen CLIP's features (N, E) of texts, not normalized; texts longer than CLIP's context are cut."""
    ids = tokenize(texts, context_length=clip.model.context_length, truncate=True)
    return clip.text.encode(PromptBatch(ids, device=clip.device))
