"""MMA: Multi-Modal Adapter for Vision-Language Models (Yang et al., CVPR 2024).

Adapters beside the upper blocks of both encoders: each modality has its own maps down to a bottleneck of width r and up
again; between them lies one map (r, r) that both modalities share. Layer 0 is the embedding stage.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from clip.block import TokenBranch
from dassl.config import ConfigError
from dassl.config.validators import Rule, Values, at_least, or_auto, sized_number
from dassl.engine import TRAINER_REGISTRY
from trainers.base.cosine import CosineMethod
from trainers.base.deep_prompts import AUTO, by_depth
from trainers.base.method import Losses, l2_normalize
from trainers.base.setting import Setting, precision
from trainers.base.trainer import ClipTrainer

OTHER_THAN_ZERO = Rule("a number other than 0", lambda value: sized_number(value) and value != 0, sized=True)


class BlockAdapter(nn.Module):
    """One modality's own maps beside one block: (..., D) -> (..., r), and back."""

    def __init__(self, width: int, narrow: int):
        super().__init__()
        self.down, self.up = linear_map(width, narrow), linear_map(narrow, width)


def linear_map(into: int, out: int) -> nn.Linear:
    """Return a linear map with the published start values: Kaiming-normal weights by fan-out, zero bias."""
    layer = nn.Linear(into, out)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    nn.init.zeros_(layer.bias)
    return layer


class Branches:
    """The deep branch (`clip.deep_tokens`) of one encoder: scale * up(relu(shared(relu(down(x))))), per token.

    Args:
        own, shared: by layer, the modality's maps and the shared ones.
        scale: how much is added to a block's output, or to the embedding stage.
    """

    def __init__(self, own: Mapping[str, BlockAdapter], shared: Mapping[str, nn.Linear], scale: float):
        self.own, self.shared, self.scale = own, shared, scale

    def at_layer(self, layer: int) -> TokenBranch | None:
        if str(layer) not in self.own:
            return None
        own, shared = self.own[str(layer)], self.shared[str(layer)]

        def branch(x: Tensor) -> Tensor:
            narrow = own.down(x.to(own.down.weight.dtype)).relu()
            added = self.scale * own.up(shared(narrow).relu())
            return (added if layer else gradient_times(self.scale, added)).to(x.dtype)

        return branch


def gradient_times(factor: float | Tensor, x: Tensor) -> Tensor:
    """Return x unchanged; in the backward pass its gradient is multiplied by `factor`."""
    fixed = x.detach()
    return fixed + factor * (x - fixed)


class MMAMethod(CosineMethod):
    """Per layer: an adapter for each modality and the map (r, r) that they share."""

    published_names = (
        ("text_adapters.", "adapter_learner.text_adapter."),
        ("image_adapters.", "adapter_learner.visual_adapter."),
        ("shared.", "adapter_learner.shared_adapter."),
    )
    adapts_images = True
    inside_vit = True

    def __init__(self, settings, clip, task):
        super().__init__(settings, clip, task)
        image, text = clip.visual.transformer, clip.model.transformer
        self.layers = adapted_layers(settings.ADAPTER_START, settings.ADAPTER_END, min(image.layers, text.layers))
        narrow = settings.ADAPTER_DIM
        self.text_adapters = nn.ModuleDict({str(i): BlockAdapter(text.width, narrow) for i in self.layers})
        self.image_adapters = nn.ModuleDict({str(i): BlockAdapter(image.width, narrow) for i in self.layers})
        self.shared = nn.ModuleDict({str(i): linear_map(narrow, narrow) for i in self.layers})
        words = settings.TEXT_CTX_INIT.replace("_", " ").strip()
        self.prompts = clip.prompts(task.classnames, f"{words} {{}}.")
        with torch.no_grad():
            self.text_start = clip.text.forward_until(self.prompts, to=self.layers[0]) if self.layers[0] else None

    def published_name(self, name: str) -> str:
        """Return the published name: there, maps that a ReLU follows are the first of a sequence."""
        module, _, kind = name.rpartition(".")
        return super().published_name(name if module.endswith(".up") else f"{module}.0.{kind}")

    def branches(self, own: nn.ModuleDict) -> Branches:
        """Return the branches beside the blocks of one encoder."""
        return Branches(own, self.shared, self.settings.ADAPTER_SCALE)

    def class_features(self) -> Tensor:
        """w, normalized text features (C, E)."""
        branches = self.branches(self.text_adapters)
        start = self.text_start or self.clip.text.forward_until(self.prompts, to=1, branch=branches)
        return l2_normalize(self.clip.text.forward_from(start, branch=branches))

    def image_features(self, images: Tensor) -> Tensor:
        """f, normalized image features (B, E)."""
        visual, branches, first = self.clip.visual, self.branches(self.image_adapters), self.layers[0]
        with torch.set_grad_enabled(torch.is_grad_enabled() and not first):
            shared = visual.forward_until(self.clip.images(images), to=max(1, first), branch=branches)
        rows = visual.forward_from(shared, branch=branches)
        return l2_normalize(rows[:, 0] @ visual.proj)

    def objective(self, losses: Losses) -> Tensor:
        """Return the loss divided by the adapters' scale s, for the gradients alone; the log shows the loss itself.

        The published blocks multiply the gradient of what they add by 1 / s, so that a step does not shrink with s, and
        the gradient that leaves an adapter for the layers below by s, so that it is the plain one. The embedding stage
        has neither: its adapters learn by the plain gradient (`gradient_times` takes 1 / s back).
        """
        return losses.total() / self.settings.ADAPTER_SCALE


def adapted_layers(start: int | str, end: int | str, depth: int) -> list[int]:
    """Return the layers with adapters, 0 being the embedding stage; auto: from the fifth of twelve blocks to the top.

    Raises:
        dassl.config.ConfigError: a layer that the backbone does not have.
    """
    start, end = by_depth(start, max(1, 5 * depth // 12)), by_depth(end, depth)
    if not 0 <= start <= end <= depth:
        raise ConfigError(
            f"ADAPTER_START is {start} and ADAPTER_END {end}; they must be layers from 0, the embedding stage, to "
            f"{depth}, this backbone's depth, in this order (auto: chosen by the depth)"
        )
    return list(range(start, end + 1))


def start_before_end(values: Values) -> str | None:
    """Return an error message if ADAPTER_START is above ADAPTER_END, else None."""
    start, end = (values[f"TRAINER.MMADAPTER.ADAPTER_{edge}"] for edge in ("START", "END"))
    if isinstance(start, int) and isinstance(end, int) and start > end:
        return f"TRAINER.MMADAPTER.ADAPTER_START is {start}, above ADAPTER_END, which is {end}"
    return None


@TRAINER_REGISTRY.register()
class MMA(ClipTrainer):
    """Trains MMA with the engine's optimiser and schedule."""

    method_class = MMAMethod
    settings_node = "MMADAPTER"
    settings_source = "ZjjConan/Multi-Modal-Adapter configs/trainers/MultiModalAdapter/vit_b16_ep5.yaml"
    checkpoint_folder = "AdapterLearner"
    dependencies = (start_before_end,)
    defaults = {
        "TEXT_CTX_INIT": Setting("a photo of a", meaning="words of the prompt before the class name"),
        "ADAPTER_START": Setting(
            AUTO,
            or_auto(at_least(0)),
            "first layer with adapters, counted from 1; 0: the embedding stage; auto: 5 of 12, other depths alike",
        ),
        "ADAPTER_END": Setting(AUTO, or_auto(at_least(0)), "last layer with adapters; auto: the last of all"),
        "ADAPTER_DIM": Setting(32, at_least(1), "width r of the adapters' bottleneck", search="8..64:log"),
        "ADAPTER_SCALE": Setting(0.001, OTHER_THAN_ZERO, "s, factor on an adapter's output", search="1e-4..0.1:log"),
        "PREC": precision("fp16"),
    }
