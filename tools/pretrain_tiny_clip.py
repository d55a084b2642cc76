"""Pre-train the embedded CLIP on emoji pictures and their annotations: a demonstration, no paper's result.

    for name in noto noto-v1 twemoji fluent-emoji fluent-emoji-flat fluent-emoji-high-contrast; do
        npm pack @iconify-json/$name; mkdir -p packages/$name
        tar xzf iconify-json-$name-[0-9]*.tgz -C packages/$name --strip-components=1
    done   # and emojibase-data in the same way
    pip install resvg-py==0.5.0
    python tools/pretrain_tiny_clip.py packages/ work/                # --resume after an interruption
    cp work/emoji-ViT-8.npz clip/embedded/

Two losses. Contrastive: a batch holds some meanings, two pictures and one caption of each; a caption is a
positive of every picture it is true of. Classes: softmax over the class names of the embedded dataset, as far
as other sets have pictures of them. No OpenMoji picture is trained on; its validation part is scored for the
log. What was used, and for how long, is in clip/embedded/README.md.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
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
    "image_resolution": 64,
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
RENDERED_SIDE = 72  # a little more than is seen, so that zooming in does not blur
FEW_PATCHES_UNTIL = 6 / 7  # of the steps; then all patches are seen, as in use
VALIDATION = Path(__file__).parent.parent / "datasets" / "embedded" / "openmoji"


def contrast(images: Tensor, texts: Tensor, scale: Tensor, true: Tensor) -> Tensor:
    """Symmetric cross-entropy, targets uniform over the true pairs; (B, E), (C, E), (), (B, C) -> ()."""
    logits = scale * images @ texts.t()
    target = true.float()
    by_image = -(target / target.sum(1, keepdim=True) * logits.log_softmax(1)).sum(1).mean()
    by_text = -(target / target.sum(0) * logits.log_softmax(0)).sum(0).mean()
    return (by_image + by_text) / 2


def encode_some(model: CLIP, images: Tensor, share: float) -> Tensor:
    """Image features from a random share of the patches: faster, and it augments (FLIP, Li et al., 2023)."""
    x = model.visual.embed(images)
    if share < 1:
        patches = x.shape[1] - 1
        chosen = 1 + torch.rand(len(x), patches).argsort(1)[:, : round(share * patches)]
        rows = torch.cat([torch.zeros(len(x), 1, dtype=torch.long), chosen], 1)  # row 0: the class token
        x = x.gather(1, rows[:, :, None].expand(-1, -1, x.shape[2]))
    x = model.visual.transformer.run(x, read=1)
    return F.normalize((model.visual.ln_post(x)[:, 0] @ model.visual.proj).float(), dim=-1)


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


def losses_of_a_batch(run: Run, pairs: Pairs, share: float) -> tuple[Tensor, Tensor]:
    """Contrastive and class loss; `share` of the patches are seen."""
    pictures, captions, true, labels = pairs.draw(run.args.meanings, run.args.class_share)
    with torch.autocast("cpu", torch.bfloat16):
        images = encode_some(run.model, augment(pictures, SIDE), share)
        texts = run.model.encode_text(run.vocabulary.ids(captions + pairs.class_prompts()))
    texts = F.normalize(texts.float(), dim=-1)
    scale = run.model.logit_scale.exp()
    texts, names = texts[: len(captions)], texts[len(captions) :]
    class_loss = F.cross_entropy(scale * images @ names.t(), labels, ignore_index=-1)
    return contrast(images, texts, scale, true), class_loss


@torch.no_grad()
def validate(model: CLIP, vocabulary: Vocabulary) -> dict[str, float]:
    """Zero-shot accuracy (%) on OpenMoji's validation part, over all classes and within either half."""
    split = json.loads((VALIDATION / "split_zhou_OpenMoji.json").read_text(encoding="utf-8"))
    names = [name for _, name in sorted({(label, name) for _, label, name in split["train"]})]
    files = [VALIDATION / "images" / path for path, _, _ in split["val"]]
    labels = torch.tensor([label for _, label, _ in split["val"]])
    pictures = torch.from_numpy(np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files]))
    images = F.normalize(model.encode_image(normalise(pictures.permute(0, 3, 1, 2))), dim=-1)
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


class Run:
    """Model, optimiser and what has been done: all that a checkpoint holds."""

    def __init__(self, args: argparse.Namespace, vocabulary: Vocabulary):
        self.args, self.vocabulary, self.step, self.seconds = args, vocabulary, 0, 0.0
        self.model = CLIP(**SHAPE | {"vocab_size": len(vocabulary.tokens)})
        self.file = args.work / "checkpoint.pt"
        matrices = [p for p in self.model.parameters() if p.ndim > 1]
        others = [p for p in self.model.parameters() if p.ndim <= 1]
        groups = [{"params": matrices, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, lr=args.lr, betas=(0.9, 0.98), eps=1e-6)

    def load(self) -> None:
        """Go on from the checkpoint."""
        state = torch.load(self.file, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.seconds = state["step"], state["seconds"]

    def save(self) -> None:
        """Write the checkpoint."""
        state = {"model": self.model.state_dict(), "optimiser": self.optimiser.state_dict()}
        with atomic_write(self.file) as file:
            torch.save(state | {"step": self.step, "seconds": self.seconds}, file)

    def train_step(self, pairs: Pairs) -> list[float]:
        """One step; gives both losses."""
        args, began = self.args, time.time()
        share = args.keep if self.step < FEW_PATCHES_UNTIL * args.steps else 1.0
        warm = min(1.0, (self.step + 1) / args.warmup)
        for group in self.optimiser.param_groups:
            group["lr"] = args.lr * warm * 0.5 * (1 + math.cos(math.pi * self.step / args.steps))
        contrastive, by_class = losses_of_a_batch(self, pairs, share)
        self.optimiser.zero_grad()
        (contrastive + args.class_weight * by_class).backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self.model.logit_scale.data.clamp_(max=math.log(100))
        self.step += 1
        self.seconds += time.time() - began
        return [contrastive.item(), by_class.item()]


def train(args: argparse.Namespace) -> None:
    """The training loop; a line of log every 100 steps, a checkpoint every 500, an export every 1000."""
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    pairs = Pairs(*read_pairs(args.packages, RENDERED_SIDE))
    run = Run(args, Vocabulary(pairs.every_caption()))
    if args.resume:
        run.load()
    pairs.random.seed(args.seed + run.step)
    print(len(pairs.emojis), "meanings,", len(pairs.pictures), "pictures of them", flush=True)
    sums = np.zeros(2)
    while run.step < args.steps:
        sums += run.train_step(pairs)
        if run.step % 100 == 0:
            shown = " ".join(f"{loss:.3f}" for loss in sums / 100)
            scored = validate(run.model, run.vocabulary) if run.step % 500 == 0 else ""
            scale = run.model.logit_scale.exp().item()
            print(f"step {run.step}, {run.seconds:.0f} s, losses {shown}, scale {scale:.1f}", scored, flush=True)
            sums[:] = 0
        if run.step % 500 == 0:
            run.save()
        if run.step % 1000 == 0:
            export(run.model, args.work / f"{NAME}-step{run.step}.npz", run.vocabulary)
    export(run.model, args.work / f"{NAME}.npz", run.vocabulary)


def main() -> None:
    """Read the command line and train."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("packages", type=Path, help="folder with the unpacked npm packages")
    parser.add_argument("work", type=Path, help="folder for checkpoints and the result")
    parser.add_argument("--steps", type=int, default=9000)
    parser.add_argument("--meanings", type=int, default=48, help="a batch has twice as many pictures")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--warmup", type=int, default=500, help="steps")
    parser.add_argument("--class-weight", type=float, default=0.5, help="of the class loss")
    parser.add_argument("--class-share", type=float, default=0.1, help="of captions that name the class")
    parser.add_argument("--keep", type=float, default=0.6, help="of patches, for most of the time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in the work folder")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    with sdpa_kernel(SDPBackend.MATH):  # faster than the fused kernel on so few patches: 1.0 against 1.7 s
        train(args)


if __name__ == "__main__":
    main()
