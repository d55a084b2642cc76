"""Pre-train the embedded CLIP on emoji pictures and their annotations: a demonstration, no paper's result.

    for name in noto noto-v1 twemoji fluent-emoji fluent-emoji-flat fluent-emoji-high-contrast; do
        npm pack @iconify-json/$name; mkdir -p packages/$name
        tar xzf iconify-json-$name-[0-9]*.tgz -C packages/$name --strip-components=1
    done   # and emojibase-data in the same way
    pip install resvg-py==0.5.0
    python tools/pretrain_tiny_clip.py packages/ work/                # --resume after an interruption
    python tools/tune_text_tower.py packages/ work/emoji-ViT-8.npz clip/embedded/emoji-ViT-8.npz

Three losses. Contrastive: a batch holds some meanings, two pictures and one caption of each; a caption is a
positive of every picture it is true of. Classes: softmax over the class names of the embedded dataset, as far
as other sets have pictures of them. Meanings: softmax over all emojis with a vector for each, which is thrown
away in the end; it teaches the image tower before the text tower is a good teacher. No OpenMoji picture is
trained on; its validation part is scored for the log. What was used, and for how long, is in
clip/embedded/README.md.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from clip.model import CLIP
from clip.tokenizer import tokenize
from safeio.atomic import atomic_write
from tools.batch_augment import augment, normalise
from tools.emoji_batches import Pairs
from tools.emoji_pairs import read_pairs

NAME = "emoji-ViT-8"
SHAPE = {
    "embed_dim": 192,
    "image_resolution": 48,
    "vision_layers": 6,
    "vision_width": 192,
    "vision_patch_size": 8,
    "context_length": 77,
    "vocab_size": 49408,
    "transformer_width": 192,
    "transformer_heads": 3,
    "transformer_layers": 6,
}
SIDE = SHAPE["image_resolution"]
RENDERED_SIDE = 72  # more than is seen, so that zooming in does not blur
SCALES = (14.0, 100.0)  # of the cosines, from the first step to the last: OpenAI's models end at 100, and so
# the methods' learning rates and regularisation weights, chosen for those, fit
VALIDATION = Path(__file__).parent.parent / "datasets" / "embedded" / "openmoji"


def contrast(images: Tensor, texts: Tensor, scale: Tensor, true: Tensor) -> Tensor:
    """Symmetric cross-entropy, targets uniform over the true pairs; (B, E), (C, E), (), (B, C) -> ()."""
    logits = scale * images @ texts.t()
    target = true.float()
    by_image = -(target / target.sum(1, keepdim=True) * logits.log_softmax(1)).sum(1).mean()
    by_text = -(target / target.sum(0) * logits.log_softmax(0)).sum(0).mean()
    return (by_image + by_text) / 2


class Vocabulary:
    """The tokens that occur, renumbered: training only their embeddings is a third faster.

    Their order stays, and with it that the end token has the highest number.
    """

    def __init__(self, texts: list[str]):
        self.tokens = tokenize(texts).unique()

    def ids(self, texts: list[str]) -> Tensor:
        """(C, T), T the length of the longest text: what is cut changes nothing under a causal mask."""
        ids = tokenize(texts)
        ids = ids[:, : int(ids.argmax(1).max()) + 1].contiguous()
        return torch.searchsorted(self.tokens, ids)

    def embed(self, rows: Tensor) -> Tensor:
        """Embeddings of the tokens that occur to one of all tokens, zero for the others."""
        table = torch.zeros(SHAPE["vocab_size"], rows.shape[1])
        table[self.tokens] = rows
        return table


def losses_of_a_batch(run: Run, pairs: Pairs) -> tuple[Tensor, Tensor, Tensor]:
    """Contrastive, class and meaning loss."""
    batch = pairs.draw(run.args.meanings, run.args.class_share)
    with torch.autocast("cpu", torch.bfloat16):
        images = run.model.encode_image(augment(batch.pictures, SIDE))
        texts = run.model.encode_text(run.vocabulary.ids(batch.captions + pairs.class_prompts()))
    images, texts = (F.normalize(x.float(), dim=-1) for x in (images, texts))
    texts, names = texts[: len(batch.captions)], texts[len(batch.captions) :]
    scale = run.model.logit_scale.exp()
    meanings = scale * images @ F.normalize(run.vectors.weight, dim=-1).t()
    return (
        contrast(images, texts, scale, batch.true),
        F.cross_entropy(scale * images @ names.t(), batch.classes, ignore_index=-1),
        F.cross_entropy(meanings, batch.emojis),
    )


@torch.no_grad()
def validate(model: CLIP, vocabulary: Vocabulary) -> dict[str, float]:
    """Zero-shot accuracy (%) on OpenMoji's validation part, over all classes and within either half."""
    split = json.loads((VALIDATION / "split_zhou_OpenMoji.json").read_text(encoding="utf-8"))
    names = [name for _, name in sorted({(label, name) for _, label, name in split["train"]})]
    files = [VALIDATION / "images" / path for path, _, _ in split["val"]]
    labels = torch.tensor([label for _, label, _ in split["val"]])
    pictures = torch.from_numpy(np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files]))
    pictures = F.interpolate(pictures.permute(0, 3, 1, 2), (SIDE, SIDE), mode="bicubic", antialias=True)
    images = F.normalize(model.encode_image(normalise(pictures)), dim=-1)
    texts = model.encode_text(vocabulary.ids([f"a photo of a {name}." for name in names]))
    logits = images @ F.normalize(texts, dim=-1).t()
    half = math.ceil(len(names) / 2)
    base = labels < half
    right = {
        "all": logits.argmax(1) == labels,
        "base": logits[base, :half].argmax(1) == labels[base],
        "new": logits[~base, half:].argmax(1) + half == labels[~base],
    }
    return {name: round(100 * hits.float().mean().item(), 1) for name, hits in right.items()}


def export(model: CLIP, path: Path, vocabulary: Vocabulary) -> None:
    """Write half-precision weights under OpenAI's names; rows of tokens in no caption are zero."""
    weights = dict(model.state_dict())
    weights["token_embedding.weight"] = vocabulary.embed(weights["token_embedding.weight"])
    arrays = {name: value.half().numpy() for name, value in weights.items()}
    scalars = {"input_resolution": SIDE, **{name: SHAPE[name] for name in ("context_length", "vocab_size")}}
    with atomic_write(path) as file:
        np.savez_compressed(file, **arrays, **{name: np.array(value) for name, value in scalars.items()})


def optimisers_of(modules: list[nn.Module], lr: float) -> list[torch.optim.Optimizer]:
    """Muon for the blocks' matrices, AdamW for everything else that learns."""
    named = {name: p for module in modules for name, p in module.named_parameters() if p.requires_grad}
    matrices = {name: p for name, p in named.items() if ".resblocks." in name and p.ndim == 2}
    others = [p for name, p in named.items() if name not in matrices]
    return [
        torch.optim.Muon(list(matrices.values()), 2 * lr, adjust_lr_fn="match_rms_adamw", weight_decay=0.05),
        torch.optim.AdamW(others, lr, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.05),
    ]


class Run:
    """Model, optimisers and what has been done: all that a checkpoint holds."""

    def __init__(self, args: argparse.Namespace, vocabulary: Vocabulary, emojis: int):
        self.args, self.vocabulary, self.step, self.seconds = args, vocabulary, 0, 0.0
        self.file = args.work / "checkpoint.pt"
        self.model = CLIP(**SHAPE | {"vocab_size": len(vocabulary.tokens)})
        self.vectors = nn.Embedding(emojis, SHAPE["embed_dim"])
        self.optimisers = optimisers_of([self.model, self.vectors], args.lr)
        shape = partial(learning_rate_share, warmup=args.warmup, steps=args.steps)
        self.schedules = [torch.optim.lr_scheduler.LambdaLR(optimiser, shape) for optimiser in self.optimisers]
        self.parts = [self.model, self.vectors, *self.optimisers, *self.schedules]

    def load(self) -> None:
        """Go on from the checkpoint."""
        state = torch.load(self.file, weights_only=True)
        for part, saved in zip(self.parts, state["parts"], strict=True):
            part.load_state_dict(saved)
        self.step, self.seconds = state["step"], state["seconds"]

    def save(self) -> None:
        """Write the checkpoint."""
        state = {"parts": [part.state_dict() for part in self.parts], "step": self.step, "seconds": self.seconds}
        with atomic_write(self.file) as file:
            torch.save(state, file)

    def train_step(self, pairs: Pairs) -> list[float]:
        """One step; gives the losses."""
        began = time.time()
        self.model.logit_scale.data.fill_(log_scale(self.step / self.args.steps))
        losses = losses_of_a_batch(self, pairs)
        weights = (1.0, self.args.class_weight, self.args.meaning_weight)
        for optimiser in self.optimisers:
            optimiser.zero_grad()
        sum(weight * loss for weight, loss in zip(weights, losses, strict=True)).backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for stepped in (*self.optimisers, *self.schedules):
            stepped.step()
        self.step += 1
        self.seconds += time.time() - began
        return [loss.item() for loss in losses]


def log_scale(done: float) -> float:
    """Logarithm of the logits' scale; it rises for the first 60 % of the steps."""
    first, last = (math.log(scale) for scale in SCALES)
    return first + min(1.0, done / 0.6) * (last - first)


def learning_rate_share(step: int, warmup: int, steps: int) -> float:
    """Linear warm-up, then half a cosine to zero."""
    return min(1.0, (step + 1) / warmup) * 0.5 * (1 + math.cos(math.pi * step / steps))


def train(args: argparse.Namespace) -> None:
    """The training loop; a line of log every 100 steps, a checkpoint every 250, an export every 500."""
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    pairs = Pairs(*read_pairs(args.packages, RENDERED_SIDE))
    run = Run(args, Vocabulary(pairs.every_caption()), len(pairs.emojis))
    if args.resume:
        run.load()
    pairs.random.seed(args.seed + run.step)
    print(len(pairs.emojis), "meanings,", len(pairs.pictures), "pictures of them", flush=True)
    sums = np.zeros(3)
    while run.step < args.steps:
        sums += run.train_step(pairs)
        if run.step % 100 == 0:
            shown = " ".join(f"{loss:.3f}" for loss in sums / 100)
            scored = validate(run.model, run.vocabulary) if run.step % 500 == 0 else ""
            scale = run.model.logit_scale.exp().item()
            print(f"step {run.step}, {run.seconds:.0f} s, losses {shown}, scale {scale:.1f}", scored, flush=True)
            sums[:] = 0
        if run.step % 250 == 0:
            run.save()
        if run.step % 500 == 0:
            export(run.model, args.work / f"{NAME}-step{run.step}.npz", run.vocabulary)
    export(run.model, args.work / f"{NAME}.npz", run.vocabulary)


def main() -> None:
    """Read the command line and train."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("packages", type=Path, help="folder with the unpacked npm packages")
    parser.add_argument("work", type=Path, help="folder for checkpoints and the result")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--meanings", type=int, default=64, help="a batch has twice as many pictures")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--warmup", type=int, default=150, help="steps")
    parser.add_argument("--class-weight", type=float, default=0.1, help="of the class loss")
    parser.add_argument("--class-share", type=float, default=0.1, help="of captions that name the class")
    parser.add_argument("--meaning-weight", type=float, default=1.0, help="of the meaning loss")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in the work folder")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    with sdpa_kernel(SDPBackend.MATH):  # faster than the fused kernel on so few patches: 1.0 against 1.7 s
        train(args)


if __name__ == "__main__":
    main()
