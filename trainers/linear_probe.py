"""Linear probe: logistic regression on CLIP's frozen image features (Radford et al., ICML 2021; CoOp's `lpclip`).

The features are those of the training images without augmentation, not normalized. The inverse strength C of the L2
penalty is searched on the validation images, as CoOp does: the best power of ten, then a bisection of its
neighbourhood. Without validation images C is 0.316, which CLIP's authors found for ImageNet.

The published code calls scikit-learn's lbfgs solver. The problem is convex, so PyTorch's L-BFGS reaches the same
optimum here, on the run's device: a thousand classes take seconds.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dassl.config.coercion import AUTO
from dassl.config.validators import above, or_auto
from dassl.engine import TRAINER_REGISTRY
from safeio.progress import print_line
from trainers.base.feature_trainer import FeatureMethod
from trainers.base.method import accuracy
from trainers.base.setting import Setting, precision
from trainers.base.training_free import TrainingFreeTrainer

WITHOUT_VALIDATION = 0.316
COARSE = (6, 4, 2, 0, -2, -4, -6)
"""The powers of ten that the search begins with."""
BISECTIONS = 8

Looked = tuple[Tensor, Tensor]
"""Features (n, E) and labels (n,)."""


class LinearProbeMethod(FeatureMethod):
    """Weights (C, E) and bias (C,) of a linear classifier."""

    transfers = False
    tied = True

    def __init__(self, settings, clip, task):
        super().__init__(settings, clip, task)
        self.classifier = nn.Linear(clip.embed_dim, len(task.classnames))

    def class_features(self) -> None:
        """Return nothing: prediction needs no text."""

    def logits(self, images: Tensor, class_features: None, seen: Tensor) -> Tensor:
        return self.classifier(self.features(images).float())

    def use(self, weight: Tensor, bias: Tensor) -> None:
        """Predict with this regression."""
        with torch.no_grad():
            self.classifier.weight.copy_(weight)
            self.classifier.bias.copy_(bias)


def regression(x: Tensor, y: Tensor, classes: int, c: float, steps: int = 1000) -> tuple[Tensor, Tensor]:
    """Solve multinomial logistic regression: minimise C * sum of cross-entropies + |W|^2 / 2, as scikit-learn does.

    Args:
        x: (n, E) features; y: (n,) labels.
        c: C, the inverse strength of the penalty; the bias is not penalised.
        steps: largest number of iterations, as published.

    Returns:
        W (classes, E) and the bias (classes,), float64.
    """
    x = x.double()
    weight = x.new_zeros(classes, x.shape[1], requires_grad=True)
    bias = x.new_zeros(classes, requires_grad=True)
    solver = torch.optim.LBFGS(
        [weight, bias], max_iter=steps, tolerance_grad=1e-4, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    @torch.enable_grad()
    def loss() -> Tensor:
        solver.zero_grad()
        value = F.cross_entropy(F.linear(x, weight, bias), y) + weight.square().sum() / (2 * c * len(x))
        value.backward()
        return value

    solver.step(loss)
    return weight.detach(), bias.detach()


def search(train: Looked, val: Looked, classes: int) -> tuple[float, tuple[Tensor, Tensor]]:
    """C by CoOp's search: the best of COARSE on validation data, then its neighbourhood halved eight times.

    Args:
        train, val: features (n, E) and labels (n,).

    Returns:
        C, and the regression with it.
    """

    def fit(exponent: float) -> tuple[float, tuple[Tensor, Tensor]]:
        found = regression(*train, classes, 10**exponent)
        return accuracy(F.linear(val[0].double(), *found), val[1]).item(), found

    peak = max(COARSE, key=lambda exponent: fit(exponent)[0])  # the first of equals
    low, high = peak - 1, peak + 1
    for _ in range(BISECTIONS):
        (low_result, low_found), (high_result, high_found) = fit(low), fit(high)
        middle = (low + high) / 2
        if low_result < high_result:
            c, found, low = 10**high, high_found, middle
        else:
            c, found, high = 10**low, low_found, middle
    return c, found


@TRAINER_REGISTRY.register()
class LinearProbe(TrainingFreeTrainer):
    """Extracts features once, searches C, keeps the last regression of the search."""

    method_class = LinearProbeMethod
    settings_node = "LINEARPROBE"
    settings_source = "KaiyangZhou/CoOp lpclip/linear_probe.py"
    checkpoint_folder = "linear_probe"
    defaults = {
        "C": Setting(AUTO, or_auto(above(0), whole=False), "inverse strength of the penalty; auto: searched"),
        "PREC": precision("fp32"),
    }

    def run_epoch(self) -> None:
        train = self.features_of(self.training_rows((None,))[0]), self.training_labels
        given = WITHOUT_VALIDATION if self.val_loader is None else None
        if self.settings.C not in ("", AUTO):
            given = self.settings.C
        if given is not None:
            print_line(f"C is {given:.4g}, not searched")
            self.method.use(*regression(*train, self.num_classes, given))
            return
        rows, labels = self.encoded(self.val_loader)
        c, found = search(train, (self.features_of(rows), labels), self.num_classes)
        print_line(f"Chosen: C {c:.4g}")
        self.method.use(*found)
