"""`from clip import clip`: the names that method files written for OpenAI's package use.

Such a file looks a backbone up in `_MODELS`, passes what it finds to `_download`, reads the file with
`torch.load` and hands the result to `build_model`. Nothing else in this repository goes through here.
"""

from __future__ import annotations

import os
from pathlib import Path

import torch

from clip.model import build_model
from clip.preprocess import evaluation_transform
from clip.pretrained import available_models, cache_folder, embedded, releases, weights_file
from clip.simple_tokenizer import SimpleTokenizer
from clip.tokenizer import tokenize
from clip.weights import load, state_dict_from
from safeio.atomic import atomic_write
from safeio.download import file_sha256
from safeio.unpickle import is_torchscript

__all__ = ["available_models", "build_model", "load", "tokenize"]

_tokenizer = SimpleTokenizer()
_transform = evaluation_transform


class _Models(dict):
    """Backbone name to what `_download` takes: a URL; for an embedded model or a weights file, its path."""

    def __missing__(self, name: str) -> str:
        return os.fspath(weights_file(name))  # the path of a weights file; else the error that lists what there is


_MODELS = _Models({name: os.fspath(path) for name, path in embedded().items()})
_MODELS.update({name: release.url for name, release in releases().items()})


def _download(url: str, root: str | os.PathLike | None = None) -> str:
    """Path of a local file with the weights, one that `torch.jit.load` or else `torch.load` reads.

    Only OpenAI's own archives, which their checksums identify, go to `torch.jit.load`: it runs what is in them.
    """
    by_url = {release.url: name for name, release in releases().items()}
    path = weights_file(by_url.get(url, url), root)
    checked = url in by_url and is_torchscript(path)
    return os.fspath(path if checked else _as_torch_file(path, cache_folder(root)))


def _as_torch_file(path: Path, folder: Path) -> Path:
    """`path` rewritten once for `torch.load`; named by content, so that a changed model is a new file."""
    target = folder / f"{path.stem}-{file_sha256(path)[:12]}.pt"
    if not target.exists():
        with atomic_write(target) as file:
            torch.save(state_dict_from(path), file)
    return target
