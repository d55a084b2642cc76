"""MMA: Multi-Modal Adapter for Vision-Language Models (Yang et al., CVPR 2024).

Bottlenecks beside the upper blocks of both encoders: each modality has its own maps into and out of a narrow
space, and in between runs one map that both share, through which their gradients meet.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from clip.block import TokenBranch
from dassl.config import ConfigError
from dassl.engine import TRAINER_REGISTRY
from trainers.base.cosine import CosineMethod
from trainers.base.method import Losses, l2_normalize
from trainers.base.trainer import ClipTrainer


class Adapter(nn.Module):
    """One modality's own maps beside one block: (..., D) -> (..., r), and back."""

    def __init__(self, width: int, narrow: int):
        super().__init__()
        self.down, self.up = linear_map(width, narrow), linear_map(narrow, width)


def linear_map(into: int, out: int) -> nn.Linear:
    """A linear map with the published start: Kaiming-normal by its outputs, no shift."""
    layer = nn.Linear(into, out)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    nn.init.zeros_(layer.bias)
    return layer


class Branches:
    """The deep branch (`clip.deep_tokens`) of one encoder: scale * up(relu(shared(relu(down(x))))), per token.

    Args:
        own, shared: by 1-based layer, the modality's maps and the shared ones.
        scale: how much is added to a block's output.
    """

    def __init__(self, own: Mapping[str, Adapter], shared: Mapping[str, nn.Linear], scale: float):
        self.own, self.shared, self.scale = own, shared, scale

    def at_layer(self, layer: int) -> TokenBranch | None:
        if str(layer) not in self.own:
            return None
        own, shared = self.own[str(layer)], self.shared[str(layer)]

        def branch(x: Tensor) -> Tensor:
            narrow = own.down(x.to(own.down.weight.dtype)).relu()
            return (self.scale * own.up(shared(narrow).relu())).to(x.dtype)

        return branch


class MMAMethod(CosineMethod):
    """Per layer: an adapter for each modality and the map (r, r) that they share."""

    published_names = (
        ("text_adapters.", "adapter_learner.text_adapter."),
        ("image_adapters.", "adapter_learner.visual_adapter."),
        ("shared.", "adapter_learner.shared_adapter."),
    )

    def __init__(self, settings, clip, task):
        super().__init__(settings, clip, task)
        image, text = clip.require_vit("MMA").transformer, clip.model.transformer
        self.layers = adapted_layers(settings.ADAPTER_START, settings.ADAPTER_END, min(image.layers, text.layers))
        narrow = settings.ADAPTER_DIM
        self.text_adapters = nn.ModuleDict({str(i): Adapter(text.width, narrow) for i in self.layers})
        self.image_adapters = nn.ModuleDict({str(i): Adapter(image.width, narrow) for i in self.layers})
        self.shared = nn.ModuleDict({str(i): linear_map(narrow, narrow) for i in self.layers})
        words = settings.TEXT_CTX_INIT.replace("_", " ").strip()
        self.prompts = clip.prompts(task.classnames, f"{words} {{}}.")
        with torch.no_grad():
            self.text_start = clip.text.lower(self.prompts, to=self.layers[0])

    def published_name(self, name: str) -> str:
        """There, maps that a ReLU follows are the first of a sequence."""
        module, _, kind = name.rpartition(".")
        return super().published_name(name if module.endswith(".up") else f"{module}.0.{kind}")

    def branches(self, own: nn.ModuleDict) -> Branches:
        """What is added to the blocks of one encoder."""
        return Branches(own, self.shared, self.settings.ADAPTER_SCALE)

    def class_features(self) -> Tensor:
        """w, normalized text features (C, E)."""
        return l2_normalize(self.clip.text.upper(self.text_start, branch=self.branches(self.text_adapters)))

    def image_features(self, images: Tensor) -> Tensor:
        """f, normalized image features (B, E)."""
        visual = self.clip.visual
        with torch.no_grad():
            shared = visual.lower(self.clip.images(images), to=self.layers[0])
        rows = visual.upper(shared, branch=self.branches(self.image_adapters))
        return l2_normalize(rows[:, 0] @ visual.proj)

    def objective(self, losses: Losses) -> Tensor:
        """The loss over the adapters' scale s, for its gradients alone; what is shown is the loss.

        The published code's gradients, of all parameters alike, are ten times the plain ones at s = 0.1, the only scale
        at which its numbers are known here. Read as 1 / s, this takes out the factor s that plain gradients hold:
        steps do not shrink with the scale (published: 0.001). A factor of ten at every scale would fit as well.
        """
        return losses.total() / self.settings.ADAPTER_SCALE


def adapted_layers(start: int, end: int, depth: int) -> list[int]:
    """The 1-based layers with adapters; end 0 is the top, start 0 the fifth of twelve, and in proportion elsewhere.

    Raises:
        dassl.config.ConfigError: a layer that the backbone does not have.
    """
    start, end = start or max(1, 5 * depth // 12), end or depth
    if not 1 <= start <= end <= depth:
        raise ConfigError(
            f"ADAPTER_START is {start} and ADAPTER_END {end}; they must be layers from 1 to {depth}, "
            "this backbone's depth, in this order (0: chosen by the depth)"
        )
    return list(range(start, end + 1))


@TRAINER_REGISTRY.register()
class MMA(ClipTrainer):
    """Trains MMA with the engine's optimiser and schedule."""

    method_class = MMAMethod
    settings_node = "MMADAPTER"
    checkpoint_folder = "AdapterLearner"
    defaults = {
        "TEXT_CTX_INIT": "a photo of a",
        "ADAPTER_START": 0,  # 0: by the backbone's depth, 5 of 12
        "ADAPTER_END": 0,  # 0: the top
        "ADAPTER_DIM": 32,
        "ADAPTER_SCALE": 0.001,
        "PREC": "fp16",
    }
