"""Operations for plugins with unlabelled data, against numbers worked out by hand."""

import math

import pytest
import torch
from torch import nn

from dassl.modeling.ops import MixStyle, ReverseGrad, mixup, run_without_mixstyle
from dassl.modeling.ops.utils import (
    create_onehot,
    ema_model_update,
    linear_rampup,
    reverse_index,
    sharpen_prob,
    shuffle_index,
    sigmoid_rampup,
)


def test_targets():
    sharp = sharpen_prob(torch.tensor([[0.75, 0.25], [0.5, 0.5]]), temperature=2)
    torch.testing.assert_close(sharp, torch.tensor([[0.9, 0.1], [0.5, 0.5]]))
    assert create_onehot(torch.tensor([2, 0]), 3).tolist() == [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]


@pytest.mark.parametrize(
    ("now", "linear", "sigmoid"), [(0, 0.0, math.exp(-5)), (2, 0.5, math.exp(-1.25)), (9, 1.0, 1.0)]
)
def test_ramps(now, linear, sigmoid):
    assert linear_rampup(now, 4) == linear and sigmoid_rampup(now, 4) == pytest.approx(sigmoid)
    assert linear_rampup(now, 0) == sigmoid_rampup(now, 0) == 1.0


def test_orders():
    data, label = torch.arange(12.0).reshape(6, 2), torch.arange(6)
    assert [part.tolist()[0] for part in reverse_index(data, label)] == [[10.0, 11.0], 5]
    torch.manual_seed(1)
    mixed, labels = shuffle_index(data, label)
    assert labels.tolist() != label.tolist() and sorted(labels.tolist()) == label.tolist()
    assert mixed[:, 0].tolist() == (2.0 * labels).tolist()


def test_averaged_model():
    model, mean = nn.Linear(1, 1), nn.Linear(1, 1)
    for network, value in ((model, 1.0), (mean, 3.0)):
        nn.init.constant_(network.weight, value)
    ema_model_update(model, mean, 0.75)
    assert mean.weight.item() == 2.5 and model.weight.item() == 1.0 and mean.weight.requires_grad


def test_reversed_gradient():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = ReverseGrad()(x, 0.5)
    y.sum().backward()
    assert torch.equal(y, x) and x.grad.tolist() == [-0.5, -0.5]


def test_mixed_images():
    x1, x2, y1, y2 = torch.ones(4, 3, 2, 2), torch.zeros(4, 3, 2, 2), torch.ones(4, 2), torch.zeros(4, 2)
    x, y = mixup(x1, x2, y1, y2, 0.4, preserve_order=True)
    assert torch.equal(x[:, 0, 0, 0], y[:, 0]) and (y >= 0.5).all()


def test_mixed_styles_have_the_statistics_of_mixtures():
    torch.manual_seed(0)
    style, x = (
        MixStyle(p=1.0, mix="crossdomain").train(),
        torch.randn(4, 3, 8, 8) * torch.arange(1, 5.0)[:, None, None, None],
    )
    mixed = style(x)
    assert not torch.equal(mixed, x) and mixed.std(dim=(2, 3)).max() <= 1.01 * x.std(dim=(2, 3)).max()
    with run_without_mixstyle(style):
        assert torch.equal(style(x), x)
    assert torch.equal(style.eval()(x), x)
