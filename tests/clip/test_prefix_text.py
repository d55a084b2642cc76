"""The prefix-sharing text encoder against the plain one, in float64: outputs and gradients, awkward shapes."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from clip import tokenize
from clip.model import CLIP
from clip.prefix_text import PrefixTextEncoder
from clip.prompt_batch import PromptBatch
from clip.reference import FullTextEncoder
from trainers.base.prompt_context import context_prompts, placeholders

LAYERS, WIDTH, K = 6, 128, 5
NAMES = {
    "mixed": ["cat", "a very long name of a large dog breed that continues " * 3, "leopard cat", "x y z"],
    "one class": ["cat"],
    "identical": ["a b", "a b"],
    "many lengths": ["word " * (1 + i % 9) for i in range(40)],
}
FEWER = {kind: names[:9] for kind, names in NAMES.items()}


class Tokens:
    """Learned tokens on some layers; `kept` of the previous states is mixed in; per class where asked for."""

    at, count = 1, K

    def __init__(self, layers, kept=0.0, classes=None, grow=True):
        shape = (K, WIDTH) if classes is None else (classes, K, WIDTH)
        self.learned = {i: torch.randn(shape, dtype=torch.double, requires_grad=True) for i in layers}
        self.grow_at, self.kept = (layers[0] if grow else None), kept

    def tokens(self, layer, previous):
        if layer not in self.learned:
            return None
        new = self.learned[layer]
        return new if previous is None else (1 - self.kept) * new + self.kept * previous

    def replaced_at(self, layer):
        return layer == self.grow_at or (layer in self.learned and not self.kept)


class Adapters:
    """A small non-linear branch, per token, on some blocks."""

    def __init__(self, layers):
        self.branches = {i: nn.Sequential(nn.Linear(WIDTH, 8), nn.ReLU(), nn.Linear(8, WIDTH)).double() for i in layers}

    def at_layer(self, layer):
        return self.branches.get(layer)

    def parameters(self):
        return [p for branch in self.branches.values() for p in branch.parameters()]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return CLIP(64, 32, 2, WIDTH, 8, 77, 49408, WIDTH, 2, LAYERS).double().eval().requires_grad_(False)


def check(model, prompts, source=None, branch=None, start=None, context=None):
    plain = FullTextEncoder(model).encode(prompts, source, branch, context)
    encoder = PrefixTextEncoder(model)
    start = start or (source and source.grow_at) or 1
    if context is None:
        fast = encoder.forward_from(encoder.forward_until(prompts, start), source, branch)
    else:
        fast = encoder.encode(prompts, source, branch, context)
    learned = [*(source.learned.values() if source else []), *(branch.parameters() if branch else [])]
    learned += [] if context is None else [context]
    assert plain.shape == fast.shape
    wanted = torch.autograd.grad(plain.pow(2).sum() + plain.sum(), learned)
    got = torch.autograd.grad(fast.pow(2).sum() + fast.sum(), learned)
    assert (plain - fast).abs().max() < 1e-10
    for a, b in zip(wanted, got, strict=True):
        assert a.abs().max() > 0
        assert (a - b).abs().max() <= 1e-9 * a.abs().max()


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("template", ["a photo of a {}.", "{} texture."])
@pytest.mark.parametrize("kept", [0.0, 0.3])
def test_tokens_that_grow(model, names, template, kept):
    prompts = PromptBatch(tokenize([template.format(name) for name in names]))
    check(model, prompts, Tokens((3, 4, 6), kept))


def test_tokens_of_each_class(model):
    prompts = PromptBatch(tokenize([f"a photo of a small {name}." for name in NAMES["many lengths"]]))
    assert prompts.prefix > K
    check(model, prompts, Tokens((4,), classes=40, grow=False))


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("layers", [(1,), (3, 5), (2, LAYERS)])
def test_branches(model, names, layers):
    """Prefix and suffix rows, and at the top the end tokens' alone, get what the branch adds to a whole prompt."""
    prompts = PromptBatch(tokenize([f"a photo of a {name}." for name in names]))
    check(model, prompts, branch=Adapters(layers), start=layers[0])


def test_tokens_and_branches(model):
    prompts = PromptBatch(tokenize([f"a photo of a {name}." for name in NAMES["many lengths"]]))
    check(model, prompts, Tokens((3, 4, 6), kept=0.3), Adapters((3, 6)))


def with_places(model, names, words, count=K, **layout):
    """Class prompts with places for a context of `count` rows, as the methods make them."""
    return context_prompts(SimpleNamespace(model=model, device="cpu"), names, words, count, **layout)


def context_of(groups, rows):
    return torch.randn(groups, rows, WIDTH, dtype=torch.double).requires_grad_()


@pytest.mark.parametrize("names", FEWER.values(), ids=FEWER)
@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize(
    ("words", "count"),
    [(placeholders(K), K), ("a photo of a", 4), ("a photo of a", 2)],
    ids=["X", "words", "some words"],
)
def test_context_behind_the_start_token(model, names, groups, words, count):
    """One for all classes, or one for each image; words beyond the context stay as they are."""
    prompts = with_places(model, names, words, count)
    assert prompts.prefix > len(words.split())
    check(model, prompts, context=context_of(groups, count))


@pytest.mark.parametrize("names", FEWER.values(), ids=FEWER)
@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("per_class", [False, True])
@pytest.mark.parametrize("position", ["end", "middle", "front"])
def test_context_around_the_name_or_of_each_class(model, names, groups, per_class, position):
    prompts = with_places(model, names, placeholders(K), position=position, per_class=per_class)
    if names is FEWER["mixed"]:
        shared = {"end": K, "middle": K // 2, "front": 0}[position]
        assert prompts.prefix == (1 if per_class else 1 + shared)
    check(model, prompts, context=context_of(groups, K * (len(names) if per_class else 1)))


@pytest.mark.parametrize("names", FEWER.values(), ids=FEWER)
@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("kept", [0.0, 0.3])
def test_context_and_deeper_tokens_in_its_places(model, names, groups, kept):
    source = Tokens((2, 3, LAYERS), kept, grow=False)
    check(model, with_places(model, names, placeholders(K)), source, context=context_of(groups, K))


def test_context_and_tokens_of_each_class_in_its_places(model):
    names = FEWER["many lengths"]
    source = Tokens((4,), kept=0.3, classes=len(names), grow=False)
    check(model, with_places(model, names, placeholders(K)), source, context=context_of(1, K))


def test_an_unknown_place_of_the_name_is_refused(model):
    with pytest.raises(ValueError, match=r"CLASS_TOKEN_POSITION is 'back'.*end, middle, front"):
        with_places(model, ["cat"], placeholders(K), position="back")


def test_a_prefix_that_is_not_shared_is_refused():
    ids = tokenize(["a photo of a cat.", "a photo of a dog."])
    with pytest.raises(ValueError, match="not shared"):
        PromptBatch(ids, prefix=7)
