"""Our blocks against PyTorch's own multi-head attention, which the benchmarks' plain side runs."""

import pytest
import torch

from benchmarks._published_blocks import publish
from clip.transformer import Transformer


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (3, 9)])
def test_outputs_and_gradients(causal, shape):
    torch.manual_seed(0)
    own = Transformer(32, 3, 4, causal=causal).double()
    for parameter in own.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    published = Transformer(32, 3, 4, causal=causal).double()
    published.load_state_dict(own.state_dict())
    publish(published)
    x, weights = torch.randn(*shape, 32, dtype=torch.double), torch.randn(*shape, 32, dtype=torch.double)
    found = []
    for encoder in (own, published):
        start = x.clone().requires_grad_()
        out = encoder.run(start)
        (out * weights).sum().backward()
        found.append((out.detach(), start.grad, *(p.grad for p in encoder.parameters())))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
