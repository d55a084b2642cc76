"""Ways to make a training step of fewer, larger kernels; `kernels.py` measures each alone.

The harness uses none of them. A candidate changes a trainer that was just built and returns its step. Where code runs
on a GPU only, a stand-in takes its place in the test, which compares loss, gradients and learned parameters on a CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention.varlen import varlen_attn

from benchmarks.step import step
from clip import prompt_batch
from clip.block import Attention, ResidualAttentionBlock
from clip.full_vision import adopt
from clip.model import CLIP
from clip.prefix_text import PrefixTextEncoder
from clip.prompt_batch import PromptBatch
from clip.vision import VisionTransformer
from safeio.errors import UserError
from trainers.base.trainer import ClipTrainer
from trainers.steps.cuda_graph import Compute, CudaRecording, Recording
from trainers.steps.plain import PlainStep

Step = Callable[[Tensor, Tensor], None]
"""A training step on images (B, 3, S, S) and labels (B,)."""
FUSED = (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW)
"""Optimisers that update all parameters in one kernel."""


class Candidate(NamedTuple):
    """A way to compute a step.

    Attributes:
        about: a line for the table.
        change: applies it to a trainer; returns the step.
        lacking: what it needs and the trainer, or the machine, does not have; empty: nothing.
        building: a context in which the trainer is built.
    """

    about: str
    change: Callable[[ClipTrainer], Step]
    lacking: Callable[[ClipTrainer], str] = lambda trainer: ""
    building: Callable[[], AbstractContextManager] = nullcontext


def blocks_of(trainer: ClipTrainer) -> list[ResidualAttentionBlock]:
    """Return the image encoder's blocks."""
    return list(trainer.method.clip.visual.transformer.resblocks)


def compile_blocks(trainer: ClipTrainer, **how: Any) -> Step:
    """Compile each block of both encoders; `how` goes to `torch.compile`."""
    text = trainer.method.clip.text
    for block in blocks_of(trainer):
        block.forward = torch.compile(block.forward, **how)
    text.through = torch.compile(text.through, **how)
    return partial(step, trainer)


@torch.compiler.nested_compile_region
def block_region(block: ResidualAttentionBlock, *args: Any, **kwargs: Any) -> Tensor:
    """Run a block as a region that all blocks share once compiled.

    The block is an argument, since regions over closures silently take the wrong block.
    """
    return type(block).forward(block, *args, **kwargs)


@torch.compiler.nested_compile_region
def text_region(text: PrefixTextEncoder, *args: Any) -> Any:
    """Run a block of the text encoder as a region that all blocks share once compiled."""
    return type(text).through(text, *args)


def compile_encoders(trainer: ClipTrainer, **how: Any) -> Step:
    """Compile each encoder as a whole; its blocks share one compiled region."""
    visual, text = trainer.method.clip.visual, trainer.method.clip.text
    for block in blocks_of(trainer):
        block.forward = partial(block_region, block)
    text.through = partial(text_region, text)
    for part in ("forward_until", "forward_from"):
        setattr(visual, part, torch.compile(getattr(visual, part), **how))
    text.forward_from = torch.compile(text.forward_from, **how)
    return partial(step, trainer)


def no_vit(trainer: ClipTrainer) -> str:
    """Return why the image encoder's blocks cannot be compiled; "" if they can."""
    return "" if isinstance(trainer.method.clip.visual, VisionTransformer) else "needs a vision transformer"


class NormedSum(ResidualAttentionBlock):
    """A block whose first residual and the norm after it are one kernel.

    Args:
        block: whose weights it has.
        add_and_norm: (x, added, weight, bias) -> their sum and its norm, each (..., L, D).
    """

    def __init__(self, block: ResidualAttentionBlock, add_and_norm: Callable[..., tuple[Tensor, Tensor]]):
        nn.Module.__init__(self)
        self.causal, self.add_and_norm = block.causal, add_and_norm
        adopt(self, block)

    def finish(self, x: Tensor, mixed: Tensor) -> Tensor:
        x, normed = self.add_and_norm(x, mixed, self.ln_2.weight, self.ln_2.bias)
        return x + self.mlp(normed)


def add_and_norm(x: Tensor, added: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Return the sum, and its norm, computed in the weight's type and returned in the sum's."""
    x = x + added
    return x, F.layer_norm(x.to(weight.dtype), weight.shape, weight, bias).to(x.dtype)


def fuse_norms(trainer: ClipTrainer, **how: Any) -> Step:
    """Compile the first residual of every block with its norm; `how` goes to `torch.compile`."""
    fused, model = torch.compile(add_and_norm, **how), trainer.method.clip.model
    for encoder in (model.transformer, model.visual.transformer):
        for index, block in enumerate(encoder.resblocks):
            encoder.resblocks[index] = NormedSum(block, fused)
    return partial(step, trainer)


class VarlenText(PrefixTextEncoder):
    """Text encoder that computes suffixes of all lengths in one attention call, instead of one call for each bucket.

    Each suffix attends to a copy of the prefix's keys and values and to its own. No row is padded: the prompts are
    batched in `exact_lengths`.

    Args:
        attend: `varlen_attn`, which only a GPU has.
    """

    def __init__(self, clip: CLIP, attend: Callable[..., Tensor] = varlen_attn):
        super().__init__(clip)
        self.attend, self.layouts = attend, {}

    def mix(
        self,
        attn: Attention,
        prompts: PromptBatch,
        memory: tuple[Tensor, Tensor],
        q: Tensor,
        k: Tensor,
        v: Tensor,
        ends_only: bool = False,
    ) -> Tensor:
        groups, prefixes, _, length, _ = memory[0].shape
        key = (id(prompts), groups, prefixes, length, ends_only)
        if key not in self.layouts:
            self.layouts[key] = prompts, Layout.of(prompts, groups, prefixes, length, ends_only)
        layout = self.layouts[key][1]
        keys, values = (
            torch.cat([shared.transpose(2, 3).flatten(0, 2), split(own, attn.heads)])[layout.rows]
            for shared, own in zip(memory, (k, v), strict=True)
        )
        mixed = self.attend(
            split(q, attn.heads), keys, values, *layout.starts, *layout.longest, window_size=(-1, 0)
        )  # of two lengths, the last rows stand beside one another
        return mixed.flatten(1).view_as(q)


def split(x: Tensor, heads: int) -> Tensor:
    """(G, R, D) -> (G * R, H, d)"""
    return x.flatten(0, 1).unflatten(-1, (heads, -1))


class Layout(NamedTuple):
    """Places of the suffixes' queries and keys among the rows of all prefixes and suffixes.

    Attributes:
        rows: (T,), for each key its row among all prefixes' and then all suffixes' rows.
        starts: first query and first key of each suffix, then the number of all, int32 (G * C + 1,) each.
        longest: most queries and most keys of a suffix.
    """

    rows: Tensor
    starts: tuple[Tensor, Tensor]
    longest: tuple[int, int]

    @classmethod
    def of(cls, prompts: PromptBatch, groups: int, prefixes: int, length: int, ends_only: bool) -> Layout:
        """Lay out G groups with `prefixes` prefixes (1 or C) of `length` rows each.

        Raises:
            UserError: suffixes are padded.
        """
        own_rows, rows, queries, keys = len(prompts.suffix_ids), [], [0], [0]
        for group in range(groups):
            for bucket in prompts.buckets:
                if not bool((bucket.ends == bucket.length - 1).all()):
                    raise UserError("these prompts were not batched by their exact lengths")
                for place, label in enumerate(bucket.classes.tolist()):
                    prefix = length * (group * prefixes + (label if prefixes > 1 else 0))
                    first = groups * prefixes * length + group * own_rows + bucket.rows.start + place * bucket.length
                    rows += [*range(prefix, prefix + length), *range(first, first + bucket.length)]
                    queries.append(queries[-1] + (1 if ends_only else bucket.length))
                    keys.append(len(rows))
        device = prompts.ids.device
        starts = tuple(torch.tensor(counts, dtype=torch.int32, device=device) for counts in (queries, keys))
        most = max(bucket.length for bucket in prompts.buckets)
        return cls(torch.tensor(rows, device=device), starts, (1 if ends_only else most, length + most))


@contextmanager
def exact_lengths() -> Iterator[None]:
    """Batch prompts with a bucket for each length, so that none is padded."""
    before = dict(prompt_batch.MOST_BUCKETS)
    prompt_batch.MOST_BUCKETS.update(dict.fromkeys(before, 77))
    try:
        yield
    finally:
        prompt_batch.MOST_BUCKETS.update(before)


def attend_by_length(trainer: ClipTrainer, attend: Callable[..., Tensor] = varlen_attn) -> Step:
    """Replace the text encoder by `VarlenText`."""
    trainer.method.clip.text = VarlenText(trainer.method.clip.model, attend)
    return partial(step, trainer)


def no_varlen(trainer: ClipTrainer) -> str:
    """Return why attention of variable length cannot run here; "" if it can."""
    if trainer.device.type != "cuda":
        return "needs a GPU"
    return "" if trainer.precision.compute in (torch.float16, torch.bfloat16) else "needs half precision (--prec amp)"


class PatchProduct(nn.Module):
    """Convolution with stride = kernel size as one matrix product: (B, 3, S, S) -> (B, D, S / P, S / P).

    Args:
        convolution: whose weight (D, 3, P, P) it has.
    """

    def __init__(self, convolution: nn.Conv2d):
        super().__init__()
        self.weight, self.patch = convolution.weight, convolution.kernel_size[0]

    def forward(self, images: Tensor) -> Tensor:
        patch, side = self.patch, images.shape[-1] // self.patch
        pixels = images.unflatten(3, (side, patch)).unflatten(2, (side, patch)).permute(0, 2, 4, 1, 3, 5)
        rows = F.linear(pixels.reshape(len(images), side * side, -1), self.weight.flatten(1))  # (B, patches, D)
        return rows.transpose(1, 2).unflatten(2, (side, side))


def multiply_patches(trainer: ClipTrainer) -> Step:
    """Replace the image encoder's convolution by `PatchProduct`."""
    visual = trainer.method.clip.visual
    visual.conv1 = PatchProduct(visual.conv1)
    return partial(step, trainer)


def fuse_optimizer(trainer: ClipTrainer, **how: Any) -> Step:
    """Replace the optimiser by one of the same kind that updates all parameters in one kernel."""
    optim = trainer.optim
    options = {**optim.defaults, "foreach": None, "fused": True} | how
    forms = ("foreach", "fused", "capturable")
    groups = [{key: value for key, value in group.items() if key not in forms} for group in optim.param_groups]
    trainer.optim = trainer.sched.optimizer = type(optim)(groups, **options)
    return partial(step, trainer)


def not_fused(trainer: ClipTrainer) -> str:
    """Return why the optimiser cannot be fused; "" if it can."""
    kind = type(trainer.optim)
    return "" if kind in FUSED else f"{kind.__name__} has no fused form"


class WholeStep:
    """A training step with optimiser and schedule as one CUDA graph: one launch, and the CPU waits for no number.

    Args:
        trainer: a run with a fused optimiser.
        rates: (steps, groups), the learning rates of the steps to come, on the trainer's device.
        record: what makes the recording; a stand-in in tests.
    """

    def __init__(
        self, trainer: ClipTrainer, rates: Tensor, record: Callable[[Compute], Recording] = CudaRecording
    ) -> None:
        self.trainer, self.rates, self.record, self.plain = trainer, rates, record, PlainStep()
        self.done = torch.zeros(1, dtype=torch.long, device=rates.device)
        self.inputs: list[Tensor] = []
        for group in trainer.optim.param_groups:
            group["lr"] = torch.zeros((), device=rates.device)

    def __call__(self, images: Tensor, labels: Tensor) -> None:
        if not self.inputs:
            self.inputs = [images.clone(), labels.clone()]
            self._record()
        for held, given in zip(self.inputs, (images, labels), strict=True):
            held.copy_(given)
        self.recording.replay()

    def _compute(self) -> Sequence[Tensor]:
        trainer = self.trainer
        rates = self.rates.index_select(0, self.done)[0]
        for group, rate in zip(trainer.optim.param_groups, rates, strict=True):
            group["lr"].copy_(rate)
        trainer.optim.zero_grad(set_to_none=True)
        losses = self.plain.losses(trainer, *self.inputs)
        self.plain.backward(trainer, losses)
        trainer.scaler.step(trainer.optim)
        trainer.scaler.update()
        self.done += 1
        return [losses.total().detach()]

    def _record(self) -> None:
        """Record the graph, then undo the changes of the steps that were made to record it."""
        before = [value.detach().clone() for value in self._changed()]
        self.recording = self.record(self._compute)
        after = self._changed()  # with what the optimiser has made since, which begins at zero
        with torch.no_grad():
            for value, was in zip(after, [*before, *map(torch.zeros_like, after[len(before) :])], strict=True):
                value.copy_(was)

    def _changed(self) -> list[Tensor]:
        """Return all tensors that a step changes."""
        trainer = self.trainer
        scaler = trainer.scaler
        scale = [scaler._scale, scaler._growth_tracker] if scaler.is_enabled() else []
        learned = list(trainer.method.parameters())
        kept = [value for p in learned for value in trainer.optim.state.get(p, {}).values() if value is not None]
        return [self.done, *scale, *learned, *kept]


def record_whole(trainer: ClipTrainer, record: Callable[[Compute], Recording] = CudaRecording) -> Step:
    """Record the whole step, at the learning rates that the optimiser has now."""
    capturable = {} if isinstance(trainer.optim, torch.optim.SGD) else {"capturable": True}
    fuse_optimizer(trainer, **capturable)
    if trainer.scaler.is_enabled():
        trainer.scaler.scale(torch.zeros((), device=trainer.device))  # makes the scale, which is kept where it is
    rates = torch.tensor([[group["lr"] for group in trainer.optim.param_groups]], device=trainer.device)
    return WholeStep(trainer, rates.expand(100_000, -1), record)


def not_recorded(trainer: ClipTrainer) -> str:
    """Return why the whole step cannot be recorded; "" if it can."""
    return not_fused(trainer) or ("" if trainer.graphs else "needs a GPU")


CANDIDATES = {
    "compiled blocks": Candidate("torch.compile of each block", compile_blocks, no_vit),
    "compiled blocks, combined": Candidate(
        "the same, with combo_kernels", partial(compile_blocks, options={"combo_kernels": True}), no_vit
    ),
    "compiled encoders": Candidate(
        "torch.compile of the encoders, blocks as nested_compile_region", compile_encoders, no_vit
    ),
    "varlen attention": Candidate(
        "suffixes of every length in one attention over copies of the prefix",
        attend_by_length,
        no_varlen,
        exact_lengths,
    ),
    "fused optimiser": Candidate("all parameters in one kernel", fuse_optimizer, not_fused),
    "fused norms": Candidate("the first residual of a block and the norm after it", fuse_norms, no_vit),
    "patch product": Candidate("the patch embedding as one matrix product", multiply_patches, no_vit),
    "whole step": Candidate("fused optimiser and schedule within the CUDA graph", record_whole, not_recorded),
}
