"""What plugins for unlabelled data import from dassl.modeling.ops, against numbers worked out by hand."""

import math

import pytest
import torch
from torch import nn

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
