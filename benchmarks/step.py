"""A training step, the plain computation against ours: the same weights, the same batch, one process, in turn.

    python benchmarks/step.py --method MMRL --classes 200 --batch 4 --backbone ViT-B/16 --device cpu

Plain is what published code does: prompts of full length through every layer, the frozen image tower apart from the
tuned one, every row to the end, PyTorch's multi-head attention with positions first, memory freed as glibc does unasked
(`--plain own`: our blocks and our memory, so that only what is left out makes the difference). Weights are random,
class names are ImageNet's. Printed are the medians, their ratio, the operations of each in 10^9, the memory each needs
at its peak beyond the weights, and by how much loss and gradients differ. `--only product` measures where the plain
computation does not fit, `--side text` the class features alone, forward and backward. On a busy machine
`OMP_WAIT_POLICY=passive` and `cpu_ratio`, the ratio of all threads' seconds, say more than the clock.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from functools import partial
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).parent.parent))

import torch

import train
import trainers  # noqa: F401  (registers the methods)
from benchmarks._measure import gflop, hardware, in_turn, medians, peak_memory
from benchmarks._published_blocks import publish
from clip.full_vision import FullVisionTransformer
from clip.model import CLIP
from clip.text import FullTextEncoder
from clip.vision import VisionTransformer
from dassl.engine import TRAINER_REGISTRY
from dassl.utils.environment import KEPT_WHEN_FREED, keep_freed_memory, prepare_cpu_memory
from trainers._settings import resolve
from trainers._step import PlainStep

VARYING = ("vision_patch_size", "vision_width", "vision_layers", "transformer_width", "embed_dim")
SHAPES = {
    "ViT-B/32": (32, 768, 12, 512, 512),
    "ViT-B/16": (16, 768, 12, 512, 512),
    "ViT-L/14": (14, 1024, 24, 768, 768),
}
GLIBC_KEEPS = 64 * 2**20
"""Bytes of freed memory in one piece, once glibc has set its thresholds by the large chunks that were freed."""
COMMON = {"image_resolution": 224, "context_length": 77, "vocab_size": 49408, "transformer_layers": 12}


def class_names(count: int) -> list[str]:
    """Names of ImageNet's classes, from open_clip; repeated with a number where more are asked for."""
    from open_clip import IMAGENET_CLASSNAMES

    step = max(1, len(IMAGENET_CLASSNAMES) // count)
    names = IMAGENET_CLASSNAMES[::step][:count]
    return [*names, *(f"{IMAGENET_CLASSNAMES[i % 1000]} {i}" for i in range(len(names), count))]


def random_weights(backbone: str, folder: Path) -> Path:
    """A file with random weights of a backbone's shape."""
    shape = dict(zip(VARYING, SHAPES[backbone], strict=True))
    torch.manual_seed(0)
    model = CLIP(**COMMON, **shape, transformer_heads=shape["transformer_width"] // 64)
    file = folder / "random.pt"
    torch.save(model.state_dict(), file)
    return file


def build_trainer(args: argparse.Namespace, weights: Path, names: list[str]):
    """The method's own trainer, on nothing but class names."""
    cuda = args.device == "cuda"
    real = TRAINER_REGISTRY.get(args.method)
    options = {"MODEL.BACKBONE.NAME": weights, "DATASET.NAME": "ImageNet", "USE_CUDA": cuda, "TEST.ROLE": "trained"}
    options |= {"INPUT.SIZE": "(224,224)", f"TRAINER.{real.settings_node}.PREC": args.prec}
    words = [str(word) for pair in options.items() for word in pair]
    cfg = resolve(train.parse(["--trainer", args.method, *words, *args.options])).cfg

    class OnClassNames(real):
        def build_data_loader(self):
            self.dm = SimpleNamespace(dataset=SimpleNamespace(classnames=names))
            self.train_loader_x = self.train_loader_u = self.val_loader = self.test_loader = None
            self.num_classes, self.lab2cname = len(names), dict(enumerate(names))

    OnClassNames.__name__ = args.method
    torch.manual_seed(0)
    return OnClassNames(cfg)


def make_plain(trainer) -> None:
    """Replace the fast towers by the plain ones, what was computed ahead included, and record no graphs."""
    trainer.computer = PlainStep()
    method, frozen = trainer.method, trainer.method.clip
    frozen.text = FullTextEncoder(frozen.model)
    if isinstance(frozen.visual, VisionTransformer):
        frozen.visual = FullVisionTransformer(frozen.visual)
    if hasattr(method, "text_start"):
        method.text_start = frozen.text.lower(method.prompts, to=method.text_start.layer)


def make_published(trainer) -> None:
    """`make_plain`, with the blocks of published code too."""
    make_plain(trainer)
    model = trainer.method.clip.model
    publish(model.transformer)
    if isinstance(model.visual, VisionTransformer):
        publish(model.visual.transformer)


def step(trainer, images: torch.Tensor, labels: torch.Tensor) -> None:
    """Forward, backward, optimiser; the parameters move, so what is compared is measured before."""
    trainer.optim.zero_grad()
    trainer.backward_and_step(trainer.losses(images, labels))


def text_side(trainer, images: torch.Tensor, labels: torch.Tensor) -> None:
    """Class features forward and backward; no optimiser."""
    trainer.optim.zero_grad()
    with trainer.precision.context():
        features = trainer.method.class_features()
        features.square().sum().backward()


def loss_and_gradients(trainer, images, labels) -> tuple[float, list[torch.Tensor]]:
    """Of one batch at the start values."""
    trainer.optim.zero_grad()
    losses = trainer.losses(images, labels)
    trainer.method.backward(losses)
    return losses.total().item(), [p.grad.float().clone() for p in trainer.method.parameters() if p.grad is not None]


def differences(plain, product) -> dict[str, float]:
    """Of the loss, absolute; of the gradients, relative to the largest element of each tensor."""
    pairs = zip(plain[1], product[1], strict=True)
    relative = [((a - b).abs().max() / a.abs().max().clamp(min=1e-12)).item() for a, b in pairs]
    return {"loss_difference": abs(plain[0] - product[0]), "gradient_difference": max(relative)}


def measure(args: argparse.Namespace) -> dict:
    """Both variants, or the one asked for."""
    device = torch.device(args.device)
    with tempfile.TemporaryDirectory() as folder:
        weights, names = random_weights(args.backbone, Path(folder)), class_names(args.classes)
        chosen = [args.only] if args.only else ["plain", "product"]
        built = {variant: build_trainer(args, weights, names) for variant in chosen}
    if "plain" in built:
        {"published": make_published, "own": make_plain}[args.plain](built["plain"])
    kept = {"product": KEPT_WHEN_FREED, "plain": GLIBC_KEEPS if args.plain == "published" else KEPT_WHEN_FREED}
    side = next(iter(built.values())).method.clip.visual.input_resolution
    torch.manual_seed(1)
    images = torch.randn(args.batch, 3, side, side, device=device)
    labels = torch.randint(args.classes, (args.batch,), device=device)
    for trainer in built.values():
        trainer.set_model_mode("train")
    result = {name: getattr(args, name) for name in ("method", "backbone", "classes", "batch", "prec", "side")}
    if len(built) == 2:
        result |= differences(*(loss_and_gradients(built[v], images, labels) for v in ("plain", "product")))
    compute = {"step": step, "text": text_side}[args.side]

    def computation(variant: str) -> None:
        keep_freed_memory(kept[variant])
        compute(built[variant], images, labels)

    steps = {variant: partial(computation, variant) for variant in built}
    for variant, trainer in built.items():
        trainer.computer, own = PlainStep(), trainer.computer  # in a graph there is nothing to be counted
        result[f"{variant}_gflop"] = gflop(steps[variant])
        trainer.computer = own
        result[f"{variant}_peak_mib"] = peak_memory(steps[variant], device)
    warm_up = 0 if device.type == "cpu" else None  # a CPU is warm by now
    result |= medians(in_turn(steps, args.repeats, device, warm_up), device)
    result |= {f"{variant}_tflop_per_second": result[f"{variant}_gflop"] / result[f"{variant}_ms"] for variant in steps}
    if len(built) == 2:
        result["gflop_ratio"] = result["plain_gflop"] / result["product_gflop"]
        if device.type == "cpu":
            result["cpu_ratio"] = result["plain_cpu_ms"] / result["product_cpu_ms"]
        result["ratio"] = result["plain_ms"] / result["product_ms"]
    return result | hardware(device)


def main() -> None:
    """Read the command line, measure, print and store."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--method", default="MMRL")
    parser.add_argument("--backbone", default="ViT-B/16", choices=SHAPES)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=["cpu", "cuda"])
    parser.add_argument("--prec", default="fp32", help="precision of the run: fp32, amp, fp16, bf16")
    parser.add_argument(
        "--repeats", type=int, default=3, help="turns of each; a turn is three steps after an untimed one"
    )
    parser.add_argument("--side", choices=["step", "text"], default="step", help="the whole step, or the text alone")
    parser.add_argument(
        "--plain", choices=["published", "own"], default="published", help="whose blocks and memory it computes with"
    )
    parser.add_argument("--only", choices=["plain", "product"])
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("options", nargs="*", help="KEY VALUE pairs for the method's settings")
    args = parser.parse_args()
    prepare_cpu_memory()  # as train.py does
    result = measure(args)
    for name, value in result.items():
        print(f"{name:>20}: {value:.4g}" if isinstance(value, float) else f"{name:>20}: {value}")
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
