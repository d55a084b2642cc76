"""Interface of a method: its learned parameters, named losses and logits. `trainers/base/trainer.py` does the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from yacs.config import CfgNode

from trainers.base.frozen_clip import FrozenCLIP
from trainers.base.published_checkpoints import check_frozen, learned

Scale = Callable[[Tensor], Tensor]
Reduce = Callable[[Sequence[Tensor]], None]


def unscaled(loss: Tensor) -> Tensor:
    """Return the loss as it is."""
    return loss


def alone(gradients: Sequence[Tensor]) -> None:
    """Leave gradients as they are: no other process has a part of the batch."""


class Term(NamedTuple):
    """One named part of a loss: the plain value, and its weight in the sum."""

    value: Tensor
    weight: float = 1.0


class Losses(NamedTuple):
    """Result of a training step.

    Attributes:
        terms: named parts; the loss is their weighted sum, the log shows each unweighted.
        logits: (B, C), for the training accuracy in the log.
    """

    terms: dict[str, Term]
    logits: Tensor

    def total(self) -> Tensor:
        """The scalar to minimise."""
        first, *others = [term.weight * term.value for term in self.terms.values()]
        return sum(others, first)


@dataclass(frozen=True)
class Task:
    """The classes of a task, in label order, and the template of their prompts.

    Attributes:
        root: DATASET.ROOT, below which a method may find texts about the classes.
    """

    classnames: tuple[str, ...]
    template: str
    dataset: str
    root: str = ""


TRANSDUCTIVE, LANGUAGE_MODEL = "transductive", "texts of a language model"
"""Marks in reports of methods that learn from more than labelled images and class names (`Method.marks`)."""


class Method(nn.Module):
    """A method owns exactly what it learns.

    Its parameters are what the optimiser gets and what a checkpoint holds. The frozen CLIP is kept outside of
    them, in `clip`. Subclasses create parameters in `__init__` and implement `losses` and `logits`.

    Attributes:
        published_names: (own prefix, prefix in checkpoints of the published code) of every parameter.
        former_names: (prefix in older checkpoints of this project, own prefix) of parameters that were renamed.
        transfers: whether what is learned can predict classes it was not learned on.
        tied: whether parts of what is learned belong to single classes, in the order it was trained on.
        per_class: names of parameters with a row for each trained class; loading accepts any number of rows.
        draws: whether losses draw random numbers (besides those of the data).
        conditional: whether class features depend on the image, so that they cannot be computed once for a test.
        rules: names of the prediction rules for classes it was trained on and for others.
        inside_vit: whether it needs a vision transformer as image encoder.
        on_frozen_features: whether `logits` depends on frozen CLIP's image features alone and also takes rows (B, D),
            the inputs of the image encoder's last projection. An evaluation then computes the rows once for all runs.
            A subclass that overrides features or logits must set it again.
    """

    published_names: tuple[tuple[str, str], ...] = ()
    former_names: tuple[tuple[str, str], ...] = ()
    transfers: bool = True
    tied: bool = False
    per_class: tuple[str, ...] = ()
    draws: bool = False
    conditional: bool = False
    rules: tuple[str, str] = ("one rule", "one rule")
    inside_vit: bool = False
    on_frozen_features: bool = False

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if cls.__dict__.keys() & {"logits", "image_output", "image_features"}:
            cls.on_frozen_features = cls.__dict__.get("on_frozen_features", False)

    @classmethod
    def tied_to_classes(cls, settings: CfgNode) -> bool:
        """Return `tied` under these settings."""
        return cls.tied

    @classmethod
    def marks(cls, settings: CfgNode, data: CfgNode) -> tuple[str, ...]:
        """Return the marks in reports for what it learns from besides labelled images and class names.

        Args:
            settings: the method's; data: the run's DATASET.

        Returns:
            TRANSDUCTIVE where it sees unlabelled images of the classes or the domain that is tested, LANGUAGE_MODEL.
        """
        return ()

    @classmethod
    def needs_vit(cls, settings: CfgNode) -> str:
        """Return the method or the setting that needs a vision transformer, by name; empty if a ResNet will do."""
        return cls.__name__.removesuffix("Method") if cls.inside_vit else ""

    @classmethod
    def unread(cls, settings: CfgNode) -> dict[str, str]:
        """Return the settings that have no effect under the values of the others: name -> reason."""
        return {}

    def __init__(self, settings: CfgNode, clip: FrozenCLIP, task: Task):
        super().__init__()
        self.settings, self.clip, self.task = settings, clip, task
        if what := self.needs_vit(settings):
            clip.require_vit(what)

    def parameter_groups(self, lr: float) -> list[dict[str, Any]]:
        """Return the optimiser's parameter groups, which may have rates of their own; `lr` is the run's (OPTIM.LR)."""
        return [{"params": list(self.parameters())}]

    def class_features(self) -> Any:
        """Return the part of a prediction that depends on the classes alone; an evaluation computes it once."""
        raise NotImplementedError(f"{type(self).__name__} must implement class_features()")

    def losses(self, images: Tensor, labels: Tensor) -> Losses:
        """Loss terms of a batch: images (B, 3, S, S), labels (B,)."""
        raise NotImplementedError(f"{type(self).__name__} has nothing to train")

    def objective(self, losses: Losses) -> Tensor:
        """Return the scalar whose gradients the optimiser's step uses."""
        return losses.total()

    def backward(self, losses: Losses, scale: Scale = unscaled, reduce: Reduce = alone) -> None:
        """Set the parameters' gradients.

        Args:
            scale: multiplies a loss as half precision needs it.
            reduce: called once with all gradients, before they are combined or used; where several processes share a
                batch, it replaces them in place by their sums over the processes.
        """
        scale(self.objective(losses)).backward()
        reduce([p.grad for p in self.parameters() if p.grad is not None])

    def adapted_features(self, images: Tensor) -> dict[str, Tensor]:
        """Return the normalized image features (B, E) of the prediction, by name; empty if they are CLIP's own.

        They are drawn beside frozen CLIP's (`mmrl visualize --features`), and the first of them is the embedding of an
        image (`Predictor.embed`).

        Args:
            images: (B, 3, S, S).
        """
        return {}

    def settled(self) -> Method:
        """Return the method for `logits` of the present classes alone, as an exported program holds it: a copy whose
        learned weights of the image encoder have replaced CLIP's, or itself where it learns no such weights."""
        return self

    def logits(self, images: Tensor, class_features: Any, seen: Tensor) -> Tensor:
        """Class scores (B, C).

        Args:
            images: (B, 3, S, S).
            class_features: what `class_features()` returned.
            seen: bool, one for all classes or (C,): whether the method was trained on the class. Methods with
                one prediction rule ignore it.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement logits()")

    def published_name(self, name: str) -> str:
        """The name of parameter `name` in checkpoints written by the published code."""
        for own, published in self.published_names:
            if name.startswith(own):
                return published + name[len(own) :]
        return name

    def former_name(self, name: str) -> str:
        """Return the name that parameter `name` has in older checkpoints."""
        for former, own in self.former_names:
            if name.startswith(own):
                return former + name[len(own) :]
        return name

    def _present_name(self, name: str) -> str:
        for former, own in self.former_names:
            if name.startswith(former):
                return own + name[len(former) :]
        return name

    def load_state_dict(self, state_dict: Mapping[str, Tensor], strict: bool = True, assign: bool = False) -> Any:
        """Load own checkpoints, and those of the published code, which hold frozen parts as well.

        Raises:
            RuntimeError: a parameter is missing or of another shape; the message names them all.
            trainers.base.checkpoints.CheckpointMismatch: the frozen parts are of another CLIP.
        """
        state_dict = {self._present_name(name): value for name, value in state_dict.items()}
        names = {self.published_name(name): name for name, _ in self.named_parameters()}
        for name in self.per_class:
            parameter, published = self.get_parameter(name), self.published_name(name)
            given = [state_dict.get(key) for key in (name, published, published.partition(".")[2])]
            shape = next((tuple(value.shape) for value in given if value is not None), parameter.shape)
            if shape[1:] == parameter.shape[1:] and len(shape):
                parameter.data = parameter.data.new_zeros(shape)
        if (found := learned(state_dict, names)) is not None:
            check_frozen(state_dict, self.clip)
            state_dict = found | {name: state_dict[name] for name, _ in self.named_buffers() if name in state_dict}
        return super().load_state_dict(state_dict, strict, assign)


def l2_normalize(x: Tensor) -> Tensor:
    """Scale the last dimension to length one; zero stays an error to be seen (NaN), as in the published code."""
    return x / x.norm(dim=-1, keepdim=True)


def cosine_distance(x: Tensor, target: Tensor) -> Tensor:
    """1 - mean cosine between rows: (N, E), (N, E) -> scalar."""
    return 1 - F.cosine_similarity(x, target, dim=-1).mean()


def over_trained(trained: Tensor, others: Tensor) -> Tensor:
    """Replace the first rows of all tested classes (C, ...) by rows of the trained classes (n, ...).

    A test is on the trained classes, perhaps with others after them, or on others alone. In the last case the replaced
    rows are meaningless, and `seen` says that they are not used.
    """
    return torch.cat([trained[: len(others)], others[len(trained) :]])


def accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the accuracy in percent: (B, C), (B,) -> scalar. Of a teacher's logits (B, C) the largest is the label."""
    labels = labels.argmax(dim=1) if labels.ndim == 2 else labels
    return (logits.argmax(dim=1) == labels).float().mean() * 100
