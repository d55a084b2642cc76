"""Join the two trained encoders into the embedded CLIP, half precision, OpenAI's parameter names.

    python -m tools.photo_clip.export WORK clip/embedded/photo-ViT-8.npz [--unfinished]
    python -m tools.photo_clip.export WORK TARGET.npz --texts clip/embedded/photo-ViT-8.npz

Embeddings of tokens that occur in no training text are zero. The second command takes over the text encoder of an
exported CLIP as it is.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import BinaryIO
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import torch
from torch import Tensor

from safeio.atomic import atomic_write
from tools.photo_clip.packs import SIDE
from tools.photo_clip.space import LOGIT_SCALE
from tools.photo_clip.texts import CONTEXT, LAYERS, WIDTH, TextEncoder

VOCABULARY = 49408


def rounded(value: Tensor, bits: int) -> np.ndarray:
    """Return float16 values with `bits` bits of mantissa instead of ten: what is zero compresses."""
    dropped = 10 - bits
    whole = value.detach().half().numpy().view(np.uint16).astype(np.uint32)
    return ((whole + (1 << dropped >> 1) >> dropped) << dropped).astype(np.uint16).view(np.float16)


def arrays_of(weights: dict[str, Tensor], bits: int) -> dict[str, np.ndarray]:
    """Return float16 arrays, matrices with fewer bits."""
    return {name: rounded(value, bits if value.ndim > 1 else 10) for name, value in weights.items()}


def text_arrays(checkpoint: Path, bits: int) -> dict[str, np.ndarray]:
    """Return the arrays of a trained text encoder, and the scale of the logits."""
    saved = torch.load(checkpoint, weights_only=True)
    text = TextEncoder(saved["tokens"], saved["layers"])
    text.load_state_dict(saved["model"])
    while text.transformer.layers < LAYERS:
        text = text.grown()
    weights = {name: value for name, value in text.state_dict().items() if name != "token_embedding.weight"}
    weights["token_embedding.weight"] = torch.zeros(VOCABULARY, WIDTH)
    weights["token_embedding.weight"][text.tokens] = text.token_embedding.weight.data
    weights["logit_scale"] = torch.tensor(math.log(LOGIT_SCALE))
    return arrays_of(weights, bits)


def write_npz(file: BinaryIO, arrays: dict[str, np.ndarray]) -> None:
    """Write what `np.savez_compressed` writes, a little smaller: the wheel has a limit."""
    with ZipFile(file, "w", ZIP_DEFLATED, compresslevel=9) as archive:
        for name, value in arrays.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, value)


def main() -> None:
    """Read the command line, join, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="folder with the checkpoints of both encoders")
    parser.add_argument("target", type=Path, help="the file to write")
    parser.add_argument("--texts", default="texts", help="name of the text encoder's checkpoint, or an exported CLIP")
    parser.add_argument("--images", default="images", help="name of the image encoder's checkpoint, with --unfinished")
    parser.add_argument("--bits", type=int, default=5, help="of a matrix's float16 mantissa, 10 at most")
    parser.add_argument("--unfinished", action="store_true", help="take the checkpoints of trainings that still run")
    args = parser.parse_args()
    if args.unfinished:
        image = torch.load(args.work / f"{args.images}.pt", weights_only=True)["student"]["average"]
    else:
        image = torch.load(args.work / "image_encoder.pt", weights_only=True)["encoder"]
    if args.texts.endswith(".npz"):
        with np.load(args.texts) as file:
            text = {name: file[name] for name in file.files if not name.startswith("visual.")}
    else:
        text = text_arrays(args.work / f"{args.texts}.pt", args.bits)
    arrays = text | arrays_of({f"visual.{name}": value for name, value in image.items()}, args.bits)
    scalars = {"input_resolution": SIDE, "context_length": CONTEXT, "vocab_size": VOCABULARY}
    with atomic_write(args.target) as file:
        write_npz(file, arrays | {name: np.array(value) for name, value in scalars.items()})


if __name__ == "__main__":
    main()
