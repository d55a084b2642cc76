"""The image encoder in two halves, with learned tokens and branches, against plain torch in float64."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clip.full_vision import FullVisionTransformer
from clip.vision import VisionTransformer

SIDE, PATCH, WIDTH, LAYERS, HEADS, BATCH, K = 16, 8, 32, 5, 2, 3, 2


class Slots:
    """K slots at `at` from `grow_at` on; learned tokens on `layers`, `kept` of what was there mixed in."""

    count = K

    def __init__(self, at: int | None, grow_at: int, layers: tuple[int, ...], kept: float, per_image: bool):
        self.at, self.grow_at, self.kept = at, grow_at, kept
        shape = (BATCH, K, WIDTH) if per_image else (K, WIDTH)
        self.learned = {i: torch.randn(shape, dtype=torch.double, requires_grad=True) for i in layers}

    def tokens(self, layer: int, previous: Tensor | None) -> Tensor | None:
        if layer not in self.learned:
            return None
        new = self.learned[layer]
        return new if previous is None else (1 - self.kept) * new + self.kept * previous

    def replaced_at(self, layer: int) -> bool:
        return layer == self.grow_at or (layer in self.learned and not self.kept)


class Adapters:
    """A small non-linear branch on some blocks."""

    def __init__(self, layers: tuple[int, ...]):
        self.branches = {i: nn.Sequential(nn.Linear(WIDTH, 4), nn.GELU(), nn.Linear(4, WIDTH)).double() for i in layers}

    def at_layer(self, layer: int):
        return self.branches.get(layer)

    def parameters(self) -> list[Tensor]:
        return [p for branch in self.branches.values() for p in branch.parameters()]


@pytest.fixture(scope="module")
def encoder() -> VisionTransformer:
    torch.manual_seed(0)
    made = VisionTransformer(SIDE, PATCH, WIDTH, LAYERS, HEADS, 8).double().eval().requires_grad_(False)
    for name, parameter in made.named_parameters():
        if "ln_" in name or "bias" in name:
            parameter.add_(0.3 * torch.randn_like(parameter))
    return made


@pytest.fixture
def images() -> Tensor:
    return torch.randn(BATCH, 3, SIDE, SIDE, dtype=torch.double, generator=torch.Generator().manual_seed(1))


def norm(x: Tensor, weights: dict[str, Tensor], name: str) -> Tensor:
    return F.layer_norm(x, (WIDTH,), weights[f"{name}.weight"], weights[f"{name}.bias"])


def attention(x: Tensor, weights: dict[str, Tensor], name: str) -> Tensor:
    """torch's own multi-head attention, (B, L, D) -> (B, L, D)."""
    x = x.transpose(0, 1)
    projection = [weights[f"{name}.{part}"] for part in ("in_proj_weight", "in_proj_bias")]
    out = [weights[f"{name}.out_proj.{part}"] for part in ("weight", "bias")]
    mixed, _ = F.multi_head_attention_forward(x, x, x, WIDTH, HEADS, *projection, None, None, False, 0.0, *out)
    return mixed.transpose(0, 1)


def put(x: Tensor, layer: int, slots: Slots | None) -> Tensor:
    """The sequences with their slots written, by cutting lists of rows."""
    if slots is None or layer < slots.grow_at:
        return x
    rows, old = list(x.unbind(1)), 0 if layer == slots.grow_at else K
    start = len(rows) - old if slots.at is None else slots.at
    new = slots.tokens(layer, torch.stack(rows[start : start + K], 1) if old else None)
    if new is None:
        return x
    rows[start : start + old] = new.expand(len(x), K, WIDTH).unbind(1)
    return torch.stack(rows, 1)


def plain(encoder: VisionTransformer, images: Tensor, slots: Slots | None, adapters: Adapters | None) -> Tensor:
    """Every row of every layer: (B, all positions, D) after the last norm."""
    w = dict(encoder.state_dict())
    x = F.conv2d(images, w["conv1.weight"], stride=PATCH).reshape(len(images), WIDTH, -1).permute(0, 2, 1)
    x = torch.cat([w["class_embedding"].repeat(len(images), 1, 1), x], 1) + w["positional_embedding"]
    x = norm(put(x, 0, slots), w, "ln_pre")
    for layer in range(1, LAYERS + 1):
        name = f"transformer.resblocks.{layer - 1}"
        x = put(x, layer, slots)
        normed = norm(x, w, f"{name}.ln_1")
        h = x + attention(normed, w, f"{name}.attn")
        z = F.linear(norm(h, w, f"{name}.ln_2"), w[f"{name}.mlp.c_fc.weight"], w[f"{name}.mlp.c_fc.bias"])
        z = z / (1 + torch.exp(-1.702 * z))
        added = adapters and adapters.at_layer(layer)
        x = h + F.linear(z, w[f"{name}.mlp.c_proj.weight"], w[f"{name}.mlp.c_proj.bias"])
        x = x + added(normed) if added else x
    return norm(x, w, "ln_post")


def check(got: Tensor, wanted: Tensor, learned: list[Tensor]) -> None:
    """Equal outputs, and equal gradients of everything that is learned."""
    assert got.shape == wanted.shape
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-11)
    ours, theirs = (torch.autograd.grad(x.pow(2).sum() + x[..., 0].sum(), learned) for x in (got, wanted))
    for a, b in zip(ours, theirs, strict=True):
        assert b.abs().max() > 0
        assert (a - b).abs().max() <= 1e-10 * b.abs().max()


CASES = {
    "after the last position, before the first norm": (None, 0, (0,)),
    "after the last position, replaced in later layers": (None, 0, (0, 2, 3)),
    "after the last position, from layer 2": (None, 2, (2, 4)),
    "at 1 from layer 1": (1, 1, (1, 2, 3)),
    "at 1 from layer 3": (1, 3, (3, 5)),
    "at 1 with gaps": (1, 1, (1, 3, 4)),
    "at 1 in the top layer alone": (1, LAYERS, (LAYERS,)),
}


@pytest.mark.parametrize("encoders", [VisionTransformer, FullVisionTransformer], ids=["fast", "plain"])
@pytest.mark.parametrize("adapted", [False, True], ids=["tokens", "tokens and branch"])
@pytest.mark.parametrize(("kept", "per_image"), [(0.0, False), (0.3, True)], ids=["replaced", "mixed, per image"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_tokens(encoder, images, case, kept, per_image, adapted, encoders):
    torch.manual_seed(2)
    slots, adapters = Slots(*case, kept, per_image), Adapters((2, LAYERS)) if adapted else None
    start = 1 if adapted else max(1, slots.grow_at)
    ours = encoder if encoders is VisionTransformer else FullVisionTransformer(encoder)
    before = (slots if start > slots.grow_at else None, adapters)
    got = ours.forward_from(ours.forward_until(images, start, *before), slots, adapters)
    read = 1 + K if slots.at == 1 else 1
    wanted = plain(encoder, images, slots, adapters)[:, :read]
    check(got, wanted, [*slots.learned.values(), *(adapters.parameters() if adapters else [])])


@pytest.mark.parametrize("layers", [(1,), (4, LAYERS), (LAYERS,)])
def test_branches(encoder, images, layers):
    """The layers below the first branch are the frozen encoder's."""
    torch.manual_seed(3)
    adapters = Adapters(layers)
    got = encoder.forward_from(encoder.forward_until(images, layers[0]), branch=adapters)
    check(got, plain(encoder, images, None, adapters)[:, :1], adapters.parameters())


@pytest.mark.parametrize("to", range(1, LAYERS + 1))
@torch.no_grad()
def test_one_lower_half_serves_both_passes(encoder, images, to):
    """A tuned pass leaves what the frozen one continues from as it was."""
    slots = Slots(1, to, (to,), 0.0, False)
    shared = encoder.forward_until(images, to)
    tuned = encoder.forward_from(shared, slots)
    torch.testing.assert_close(
        encoder.forward_from(shared), plain(encoder, images, None, None)[:, :1], rtol=0, atol=1e-11
    )
    torch.testing.assert_close(tuned, plain(encoder, images, slots, None)[:, : 1 + K], rtol=0, atol=1e-11)
    torch.testing.assert_close(encoder.forward_from(shared)[:, 0] @ encoder.proj, encoder(images), rtol=0, atol=1e-11)


@torch.no_grad()
def test_tokens_replaced_before_any_block_saw_them(encoder, images):
    slots = Slots(None, 0, (0, 1, 2), 0.0, False)
    got = encoder.forward_from(encoder.forward_until(images, 1, slots), slots)
    torch.testing.assert_close(got, plain(encoder, images, slots, None)[:, :1], rtol=0, atol=1e-11)


def test_images_of_another_size_are_refused(encoder):
    with pytest.raises(ValueError, match=r"16 x 16 pixels, not \(32, 32\).*INPUT\.SIZE"):
        encoder(torch.zeros(1, 3, 32, 32, dtype=torch.double))
