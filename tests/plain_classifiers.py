"""Methods on frozen features once more, whole trainings from their equations, in float64 on given features."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def one_hot(labels: Tensor) -> Tensor:
    return F.one_hot(labels).double()


def descend(p: Tensor, loss, rates: Sequence[float], momentum: float) -> Tensor:
    """Return p after gradient descent with momentum; `loss` takes p and the number of the step."""
    speed = torch.zeros_like(p)
    for step, rate in enumerate(rates):
        p = p.detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(loss(p, step), p)
        speed = momentum * speed + gradient
        p = p - rate * speed
    return p.detach()


def probe(z: Tensor, labels: Tensor, t: Tensor, scale: float, batches: list[Tensor], rates: list[float], held: bool):
    """ZS-LP and, where the prototypes are `held`, CLAP: the prototypes (C, E) and CLAP's weights (C,).

    Args:
        z: (M, E), features of all views, of any length; labels (M,); t: (C, E), text features of any length.
        batches: places in z, by step.
    """
    f = F.normalize(z, dim=-1)
    probabilities = (scale * f @ F.normalize(t, dim=-1).T).softmax(-1)
    alpha = torch.stack([probabilities[labels == c, c].mean() for c in range(len(t))])

    def loss(p: Tensor, step: int) -> Tensor:
        own = batches[step]
        fits = F.cross_entropy(scale * f[own] @ F.normalize(p, dim=-1).T, labels[own])
        return fits + (held * alpha * (p - t).square().sum(-1)).mean()

    return descend(t, loss, rates, momentum=0.9), alpha


def lp_pp(f: Tensor, labels: Tensor, w: Tensor, b: Tensor, epochs: int, every: int) -> list[Tensor]:
    """LP++ on unit features f (N, E), unit text features w (C, E), from the shift b (C,).

    Returns:
        [W | b | alpha], (C, E + 2), after each epoch.
    """
    n, y, s = len(f), one_hot(labels), f @ w.T
    start = torch.stack([(s[labels == c, c]).mean() for c in range(len(w))]).mean() * 250
    rate, rate_of_alpha = 4 * n / torch.linalg.matrix_norm(f, 2) ** 2, n / (4 * (s**2).sum(0).max())
    weight, alpha, summed = y.T @ f, start.expand(len(w)), torch.zeros(len(w), dtype=torch.double)
    found, speeds = [], [0.0, 0.0]
    for epoch in range(1, epochs + 1):
        wrong = ((f @ weight.T + b + alpha * s).softmax(-1) - y) / n  # the gradient by the logits
        summed = summed + (wrong * s).sum(0)
        speeds = [0.9 * speed + slope for speed, slope in zip(speeds, (wrong.T @ f, wrong.sum(0)), strict=True)]
        weight, b = weight - rate * speeds[0], b - rate * speeds[1]
        if epoch % every == 0:
            alpha = alpha - rate_of_alpha * summed
        found.append(torch.cat([weight, b[:, None], alpha[:, None]], dim=1))
    return found


def gaussians(f: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """GDA-CLIP's few-shot W (E, C) and b (C,), from unit features f (n, E) of all classes."""
    classes, (n, width) = range(int(labels.max()) + 1), f.shape
    means = torch.stack([f[labels == c].mean(0) for c in classes])
    apart = torch.cat([f[labels == c] - means[c] for c in classes])
    s = apart.T @ apart / (n - 1)
    inverse = width * torch.linalg.inv((n - 1) * s + s.trace() * torch.eye(width, dtype=s.dtype))
    b = [-math.log(len(means)) - mu @ inverse @ mu / 2 for mu in means]
    return inverse @ means.T, torch.stack(b)


def gaussians_around_texts(f: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """Base-to-novel, for classes without images, of unit text features w (C, E), one class after the other."""
    width, means, inverses = f.shape[1], [], []
    for own in w:
        near = f[(f @ own).argsort(descending=True)[:64]]
        means.append(torch.cat([near, own.expand(16, -1)]).mean(0))
        s = (near - own).T @ (near - own) / (len(near) - 1)
        inverses.append(width * torch.linalg.inv((len(near) - 1) * s + s.trace() * torch.eye(width, dtype=s.dtype)))
    inverse = torch.stack(inverses).mean(0)
    b = [-math.log(len(w)) - mu @ inverse @ mu / 2 for mu in means]
    return inverse @ torch.stack(means).T, torch.stack(b)


def first_best(scores: Sequence[float]) -> int:
    """Return the place of the first of the largest."""
    return max(range(len(scores)), key=lambda at: scores[at])


def projector(
    views: Tensor, labels: Tensor, w: Tensor, start: Tensor, shift: Tensor | float, held: float, rates: list[float]
) -> Tensor:
    """ProLIP's projection (D, E) by Adam, of rows (V, N, D): epoch e sees view e + 1, and after the last the first."""
    p, m, v = start, 0.0, 0.0
    for step, rate in enumerate(rates, start=1):
        p = p.detach().requires_grad_(True)
        f = F.normalize(views[step % len(views)] @ p + shift, dim=-1)
        loss = F.cross_entropy(100 * f @ w.T, labels) + held * ((p - start) ** 2).sum()
        (g,) = torch.autograd.grad(loss, p)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        p = p - rate * (m / (1 - 0.9**step)) / ((v / (1 - 0.999**step)).sqrt() + 1e-4)
    return p.detach()


def cache_logits(f: Tensor, w: Tensor, keys: Tensor, labels: Tensor, beta: float, alpha: float) -> Tensor:
    """Tip-Adapter's logits of unit features f (B, E)."""
    return 100 * f @ w.T + alpha * torch.exp(-beta + beta * f @ keys.T) @ one_hot(labels)
