"""Temperature scaling against a minimizer of scipy's on scikit-learn's likelihood."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from sklearn.metrics import log_loss

from dassl.evaluation.temperature import HIGHEST, fit_temperature


@pytest.mark.parametrize("scale", [0.3, 1.0, 100.0])
def test_the_likelihood_is_lowest_there(scale):
    generator = torch.Generator().manual_seed(2)
    labels = torch.randint(0, 5, (400,), generator=generator)
    logits = scale * (torch.randn(400, 5, generator=generator) + 2 * torch.nn.functional.one_hot(labels, 5))

    def likelihood(log_t):
        p = (logits.double() / np.exp(log_t)).softmax(1).numpy()
        return log_loss(labels.numpy(), p, labels=range(5))

    best = minimize_scalar(likelihood, bounds=(-4, 7), method="bounded", options={"xatol": 1e-8}).x
    assert fit_temperature(logits, labels) == pytest.approx(np.exp(best), rel=1e-4)


def test_logits_that_say_nothing_or_everything_end_at_the_bounds():
    right = torch.eye(3)
    assert fit_temperature(right, torch.arange(3)) == pytest.approx(1 / HIGHEST, rel=1e-6)
    assert fit_temperature(-right, torch.arange(3)) == pytest.approx(HIGHEST, rel=1e-6)
