"""The linear probe's regression against scikit-learn's, and its search."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from trainers.linear_probe import COARSE, regression, search


def blobs(classes: int, count: int, seed: int, spread: float = 2.0):
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(classes, 12))
    labels = np.arange(count) % classes
    points = centres[labels] + spread * np.random.default_rng(seed).normal(size=(count, 12))
    return torch.from_numpy(points).float(), torch.from_numpy(labels)


@pytest.mark.parametrize("c", [1e-4, 1e-2, 1.0, 1e2])
@pytest.mark.parametrize("classes", [3, 7])
def test_the_regression_is_scikit_learns(c, classes):
    x, y = blobs(classes, 120, seed=1)
    theirs = LogisticRegression(C=c, max_iter=10000, tol=1e-9).fit(x.double().numpy(), y.numpy())
    weight, bias = regression(x, y, classes, c)
    wanted = theirs.predict_proba(x.double().numpy())
    ours = (x.double() @ weight.t() + bias).softmax(dim=1).numpy()
    assert np.abs(ours - wanted).max() < 5e-3
    assert (ours.argmax(1) == wanted.argmax(1)).mean() > 0.99


def test_separable_data_and_a_single_class_end():
    x, y = blobs(3, 30, seed=1, spread=0.01)
    weight, bias = regression(x, y, 3, 1e6)
    assert ((x.double() @ weight.t() + bias).argmax(1) == y).all()
    weight, bias = regression(x, torch.zeros_like(y), 1, 1.0)
    assert weight.shape == (1, 12) and weight.isfinite().all()


def test_the_search_ends_near_the_best_power_of_ten():
    """Accuracies by scikit-learn's fits: the first best of the grid, then at most a factor of ten away."""
    train, val = blobs(5, 40, seed=1), blobs(5, 100, seed=2)
    results = [
        LogisticRegression(C=10.0**e, max_iter=1000)
        .fit(train[0].double().numpy(), train[1].numpy())
        .score(val[0].double().numpy(), val[1].numpy())
        for e in COARSE
    ]
    c, (weight, bias) = search(train, val, 5)
    assert abs(np.log10(c) - COARSE[int(np.argmax(results))]) <= 1 + 1e-9
    found = ((val[0].double() @ weight.t() + bias).argmax(1) == val[1]).double().mean().item()
    assert found >= max(results) - 0.05
