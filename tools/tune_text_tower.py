"""Second stage of pre-training the embedded CLIP: a new text tower for the image tower that the first one made.

    python tools/tune_text_tower.py packages/ work/emoji-ViT-8.npz clip/embedded/emoji-ViT-8.npz

The first stage also learns from the names of the embedded dataset's classes, which is good for the image tower
and bad for a demonstration: a user's classes were not in the pre-training. Here the image tower is locked (Zhai
et al., LiT, CVPR 2022) and a text tower learns from nothing, from the emojis' own names alone, in captions that
never say "photo". Two minutes on two cores.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import clip
from clip.model import CLIP
from tools.batch_augment import augment
from tools.emoji_batches import EMOJI_TEMPLATES, Pairs
from tools.emoji_pairs import read_pairs
from tools.pretrain_tiny_clip import (
    RENDERED_SIDE,
    SCALES,
    SHAPE,
    SIDE,
    Vocabulary,
    contrast,
    export,
    learning_rate_share,
    optimisers_of,
    validate,
)

DRAWS = 3  # of the augmentation of every picture, whose features are computed once


@torch.no_grad()
def locked_features(model: CLIP, pictures: Tensor) -> Tensor:
    """Unit features (DRAWS, N, E) of augmented pictures (N, 3, S, S)."""
    with torch.autocast("cpu", torch.bfloat16):
        draws = [
            torch.cat([model.encode_image(augment(part, SIDE)).float() for part in pictures.split(256)])
            for _ in range(DRAWS)
        ]
    return F.normalize(torch.stack(draws), dim=-1)


def train(args: argparse.Namespace) -> None:
    """The training loop; a line of log every 100 steps."""
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    pairs = Pairs(*read_pairs(args.packages, RENDERED_SIDE))
    pairs.random.seed(args.seed)
    pairs.templates, pairs.label_share = EMOJI_TEMPLATES, 1.0
    vocabulary = Vocabulary(pairs.every_caption())
    first = clip.load(str(args.first_stage))[0]
    features = locked_features(first, pairs.pictures)
    pairs.pictures = torch.arange(len(pairs.pictures))  # a batch then holds numbers of pictures
    model = CLIP(**SHAPE | {"vocab_size": len(vocabulary.tokens)})
    model.visual.load_state_dict(first.visual.state_dict())
    model.logit_scale.data.fill_(math.log(SCALES[1]))
    model.visual.requires_grad_(False)
    model.logit_scale.requires_grad_(False)
    optimisers = optimisers_of([model], args.lr)
    shape = partial(learning_rate_share, warmup=100, steps=args.steps)
    schedules = [torch.optim.lr_scheduler.LambdaLR(optimiser, shape) for optimiser in optimisers]
    learned = [p for p in model.parameters() if p.requires_grad]
    began, total = time.time(), 0.0
    for step in range(1, args.steps + 1):
        loss = caption_loss(model, pairs, vocabulary, features, args.meanings)
        for optimiser in optimisers:
            optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(learned, 1.0)
        for stepped in (*optimisers, *schedules):
            stepped.step()
        total += loss.item()
        if step % 100 == 0:
            print(f"step {step}, {time.time() - began:.0f} s, loss {total / 100:.3f}", validate(model, vocabulary))
            total = 0.0
    export(model, args.target, vocabulary)


def caption_loss(model: CLIP, pairs: Pairs, vocabulary: Vocabulary, features: Tensor, meanings: int) -> Tensor:
    """Contrastive loss of one batch."""
    batch = pairs.draw(meanings, class_share=0.0)
    draws = torch.randint(DRAWS, (len(batch.pictures),))
    texts = F.normalize(model.encode_text(vocabulary.ids(batch.captions)), dim=-1)
    return contrast(features[draws, batch.pictures], texts, model.logit_scale.exp(), batch.true)


def main() -> None:
    """Read the command line and train."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("packages", type=Path, help="folder with the unpacked npm packages")
    parser.add_argument("first_stage", type=Path, help="what pretrain_tiny_clip.py made")
    parser.add_argument("target", type=Path, help="the file to write")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--meanings", type=int, default=128, help="a batch has twice as many pictures")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    train(parser.parse_args())


if __name__ == "__main__":
    main()
