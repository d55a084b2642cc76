"""Known CLIPs and the places of their files: in the repository, in the cache folder, or on the web."""

from __future__ import annotations

import csv
import difflib
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from safeio.download import DownloadError, download
from safeio.errors import UserError
from safeio.user_folders import home_cache

EMBEDDED = Path(__file__).with_name("embedded")  # small models that are part of the repository, NAME.npz
TABLE = Path(__file__).with_name("models.csv")  # OpenAI's releases: name, url, sha256
CACHE_VARIABLE = "CLIP_CACHE"
ADAPTER = "adapter_config.json"
FILE_SUFFIXES = {".pt", ".pth", ".bin", ".npz", ".safetensors", ".tar", ".ckpt"}


class UnknownModelError(UserError, RuntimeError):
    """No model of that name and no file at that path; the message lists what there is."""


@dataclass(frozen=True)
class Release:
    """A model on the web."""

    name: str
    url: str
    sha256: str

    @property
    def file_name(self) -> str:
        """The name OpenAI's own loader gives the file, so that caches are shared."""
        return self.url.rsplit("/", 1)[-1]


@cache
def releases() -> dict[str, Release]:
    """The published models by name."""
    with open(TABLE, newline="", encoding="utf-8") as file:
        return {row["name"]: Release(**row) for row in csv.DictReader(file)}


def embedded() -> dict[str, Path]:
    """The models inside the repository by name."""
    return {path.stem: path for path in sorted(EMBEDDED.glob("*.npz"))}


def available_models() -> list[str]:
    """Names that `weights_file` knows; the embedded ones need no network."""
    return [*embedded(), *releases()]


def cache_folder(root: str | os.PathLike | None = None) -> Path:
    """Return the folder of downloaded weights: `root`, else `$CLIP_CACHE`, else `~/.cache/clip`."""
    named = root or os.environ.get(CACHE_VARIABLE)
    return Path(named).expanduser() if named else home_cache() / "clip"


def weights_file(name_or_path: str | os.PathLike, root: str | os.PathLike | None = None) -> Path:
    """Return the file with a model's weights; download it if it is not in the cache.

    A known name wins over a file that happens to be called the same; write `./NAME` for the file.

    Raises:
        UnknownModelError: neither a name nor a file.
        safeio.download.DownloadError: no network; says what to put where.
    """
    name = os.fspath(name_or_path)
    if name in embedded():
        return embedded()[name]
    if name in releases():
        release = releases()[name]
        try:
            return download(release.url, cache_folder(root) / release.file_name, release.sha256)
        except DownloadError as error:
            inside = ", ".join(embedded())
            raise DownloadError(
                f"{error} Or name a file (--backbone PATH, in Python backbone=PATH); {inside} needs no network."
            ) from error
    if message := unknown(name):
        raise UnknownModelError(message)
    return Path(name).expanduser()


def unknown(name: str) -> str | None:
    """Return the message for a name that is neither a model's nor a file's; None if it is one of them."""
    names = available_models()
    if name in names or Path(name).expanduser().is_file():
        return None
    if name.startswith("open_clip:"):
        return f"{name}: the code that asks for this file knows OpenAI's conventions only, not open_clip's."
    if Path(name).expanduser().is_dir():
        content = sorted(Path(name).expanduser().iterdir())
        held = [path.name for path in content][:5]
        inner = [str(path) for path in content if (path / "config.json").is_file()]
        hint = f" There is a config.json in {', '.join(inner[:3])}: is that the model?" if inner else ""
        hint = " It is an adapter (LoRA): merge it into its CLIP first, and save that." if ADAPTER in held else hint
        return (
            f"{name} is a folder, but of no layout that is read: Hugging Face's has config.json with model.safetensors "
            f"or pytorch_model.bin, open_clip's open_clip_config.json. It holds {', '.join(held) or 'nothing'}. Give "
            f"such a folder, or a weights file.{hint}"
        )
    if Path(name).suffix in FILE_SUFFIXES:
        return f"There is no weights file {name}. Give an existing file or one of: {', '.join(names)}."
    folded = {known.lower().replace("/", "-"): known for known in names}  # so that vit-b-16 finds ViT-B/16
    near = difflib.get_close_matches(name.lower().replace("/", "-"), folded, n=1, cutoff=0.5)
    hint = f" Did you mean {folded[near[0]]}?" if near else ""
    return f"There is no CLIP called {name!r}, and no such file.{hint} Available: {', '.join(names)}."
