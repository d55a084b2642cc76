"""Shared by the tests of clip/."""

from __future__ import annotations

import pytest
import torch
from torch import nn


def _lively(model: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if tensor.ndim == 4:
                nn.init.kaiming_normal_(tensor, nonlinearity="linear", generator=generator)
            elif tensor.ndim == 1 and tensor.is_floating_point():
                noise = 0.2 * (2 * torch.rand(tensor.shape, generator=generator) - 1)
                tensor.copy_(noise if name.endswith(("bias", "running_mean")) else 1 + noise)
    return model.eval()


@pytest.fixture(scope="session")
def lively():
    """Fills a fresh model so that every part matters: as made, norms are the identity and signals fade."""
    return _lively


@pytest.fixture(scope="session")
def images():
    """Two random coarse mosaics, `(2, 3, 224, 224)`; noise would look the same to any encoder that pools."""
    mosaics = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    return mosaics.repeat_interleave(28, dim=2).repeat_interleave(28, dim=3)
