"""PromptSRC: Self-regulating Prompts (Khattak et al., ICCV 2023).

IVLP with loss terms that keep both encoders' features and the logits close to zero-shot CLIP's. The tested prompts are
a Gaussian-weighted mean over epochs.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dassl.config.validators import NUMBER, above, at_least, between
from dassl.engine import TRAINER_REGISTRY
from trainers.base.method import Losses, Term, l2_normalize
from trainers.base.setting import Setting
from trainers.base.templates import ensemble
from trainers.ivlp import IVLP, IVLPMethod


class PromptSRCMethod(IVLPMethod):
    """IVLP's prompts, and w_0, the mean text features of sixty templates."""

    def prepare_text(self) -> None:
        super().prepare_text()
        features = [self.clip.prompt_features(self.task.classnames, t) for t in ensemble("sixty")]
        self.w_0 = l2_normalize(torch.stack(features).mean(dim=0))  # (C, E); the mean is of features of any length

    def losses_of(self, images: Tensor, labels: Tensor, f: Tensor, w: Tensor) -> Losses:
        """Cross-entropy + weighted L1 distances of text and image features + KL of the logits, to zero-shot CLIP."""
        f_0 = self.clip.image_features(images)
        logits, taught = self.similarity(f, w), self.similarity(f_0, self.w_0)
        to_teacher = F.kl_div(logits.log_softmax(1), taught.log_softmax(1), reduction="sum", log_target=True)
        terms = {
            "xe": Term(F.cross_entropy(logits, labels)),
            "l1_text": Term(F.l1_loss(w, self.w_0), self.settings.TEXT_LOSS_WEIGHT),
            "l1_image": Term(F.l1_loss(f, f_0), self.settings.IMAGE_LOSS_WEIGHT),
            "kl_logits": Term(to_teacher / logits.numel()),
        }
        return Losses(terms, logits)


def gaussian_weights(mean: float, deviation: float, epochs: int) -> Tensor:
    """Weight of each epoch 1 ... N, (N,), summing to one; far from the mean, where all densities are zero, too."""
    x = torch.arange(1, epochs + 1, dtype=torch.double)
    return torch.softmax(-0.5 * ((x - mean) / deviation) ** 2, dim=0)


@TRAINER_REGISTRY.register()
class PromptSRC(IVLP):
    """Trains PromptSRC; after the last epoch the prompts become their weighted mean over all epochs."""

    method_class = PromptSRCMethod
    settings_node = "PROMPTSRC"
    settings_source = "muzairkhattak/PromptSRC train.py"
    defaults = IVLP.defaults | {
        "N_CTX_VISION": Setting(4, between(0, 76), "number of prompts in each layer of the image encoder"),
        "N_CTX_TEXT": Setting(4, between(1, 76), "number of prompts in each layer of the text encoder"),
        "TEXT_LOSS_WEIGHT": Setting(
            25.0, at_least(0), "weight of the distance to CLIP's text features", search="1.0..50:log"
        ),
        "IMAGE_LOSS_WEIGHT": Setting(
            10.0, at_least(0), "weight of the distance to CLIP's image features", search="1.0..50:log"
        ),
        "GPA_MEAN": Setting(15.0, NUMBER, "epoch whose prompts weigh most in the Gaussian average"),
        "GPA_STD": Setting(1.0, above(0), "standard deviation of the Gaussian average, in epochs"),
    }

    def build_model(self) -> None:
        super().build_model()
        self.weights = gaussian_weights(self.settings.GPA_MEAN, self.settings.GPA_STD, self.cfg.OPTIM.MAX_EPOCH)
        self.averaged_epochs = 0
        self.mean = {name: torch.zeros_like(p) for name, p in self.method.state_dict().items()}

    def finish_epoch(self) -> None:
        super().finish_epoch()
        weight = self.weights[self.averaged_epochs].item()
        for name, value in self.method.state_dict().items():
            self.mean[name] += weight * value
        self.averaged_epochs += 1
        if self.averaged_epochs == len(self.weights):
            self.method.load_state_dict(self.mean)

    def checkpoint_state(self, name: str, epoch: int, val_result: float | None = None) -> dict[str, Any]:
        state = super().checkpoint_state(name, epoch, val_result)
        return state | {"mean_of_epochs": {"epochs": self.averaged_epochs, "mean": self.mean}}

    def restore_state(self, name: str, state: dict[str, Any]) -> int:
        if "mean_of_epochs" in state:
            saved = state["mean_of_epochs"]
            self.averaged_epochs = saved["epochs"]
            self.mean = {key: value.to(self.device) for key, value in saved["mean"].items()}
        return super().restore_state(name, state)
