"""The prefix-sharing text encoder against the plain one, in float64: outputs and gradients, awkward shapes."""

import pytest
import torch

from clip import tokenize
from clip.model import CLIP
from clip.prefix_text import PrefixTextEncoder
from clip.prompt_batch import PromptBatch
from clip.text import FullTextEncoder

LAYERS, WIDTH, K = 6, 128, 5
NAMES = {
    "mixed": ["cat", "a very long name of a large dog breed that goes on " * 3, "leopard cat", "x y z"],
    "one class": ["cat"],
    "identical": ["a b", "a b"],
    "many lengths": ["word " * (1 + i % 9) for i in range(40)],
}


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


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return CLIP(64, 32, 2, WIDTH, 8, 77, 49408, WIDTH, 2, LAYERS).double().eval().requires_grad_(False)


def check(model, prompts, source):
    plain = FullTextEncoder(model).encode(prompts, source)
    encoder = PrefixTextEncoder(model)
    start = source.grow_at or 1
    fast = encoder.upper(encoder.lower(prompts, start), source)
    learned = list(source.learned.values())
    wanted = torch.autograd.grad(plain.pow(2).sum() + plain.sum(), learned)
    got = torch.autograd.grad(fast.pow(2).sum() + fast.sum(), learned)
    assert (plain - fast).abs().max() < 1e-10
    for a, b in zip(wanted, got, strict=True):
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


def test_a_prefix_that_is_not_shared_is_refused():
    ids = tokenize(["a photo of a cat.", "a photo of a dog."])
    with pytest.raises(ValueError, match="not shared"):
        PromptBatch(ids, prefix=7)
