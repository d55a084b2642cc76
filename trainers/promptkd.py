"""PromptKD: Unsupervised Prompt Distillation for Vision-Language Models (Li et al., CVPR 2024).

A student learns to reproduce a larger teacher's logits on unlabelled images, for all classes that will be tested. It
learns prompts of its image encoder and a projection into the teacher's embedding space, where it uses the teacher's
text features; its own text encoder is not used. The teacher is a zero-shot CLIP (TEACHER), or a CLIP adapted by a
finished run of any method that scores by cosines (TEACHER_RUN); the paper uses PromptSRC on a ViT-L/14.

With DATASET.UNLABELLED the unlabelled images are all training images of all classes, also those that are tested as new,
which makes the method transductive. Without it they are the run's training images. In cross-dataset runs each target
dataset has a student of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from yacs.config import CfgNode

from clip.weights import load, not_found
from dassl.config import ConfigError
from dassl.config.validators import Values, above, at_least, between, or_auto
from dassl.engine import TRAINER_REGISTRY
from dassl.utils.checkpoint import find_checkpoint, load_checkpoint, load_parameters
from safeio.escape import shown
from safeio.read_back import read_json
from trainers.base.build import build_method, method_settings
from trainers.base.cosine import CosineMethod
from trainers.base.deep_prompts import AUTO
from trainers.base.frozen_clip import FrozenCLIP
from trainers.base.method import TRANSDUCTIVE, Losses, Task, Term
from trainers.base.precision import Precision
from trainers.base.run_settings import declared
from trainers.base.setting import Setting, precision
from trainers.vpt import VPT, VPTMethod
from trainers.zeroshot import ZeroshotMethod


class Projection(nn.Module):
    """Map from the student's space to the teacher's: U relu(norm(V z)), norm over the batch, (B, E) -> (B, E')."""

    def __init__(self, width: int, out: int):
        super().__init__()
        self.down, self.up = nn.Linear(width, out, bias=False), nn.Linear(out, out)
        self.norm = nn.BatchNorm1d(out)  # has a shift of its own: one before it would change nothing

    def forward(self, z: Tensor) -> Tensor:
        x = self.down(z.to(self.down.weight.dtype)).to(self.norm.weight.dtype)
        if len(x) > 1 or not self.training:
            x = self.norm(x)
        else:  # a single row has no deviation: the running one
            norm = self.norm
            x = F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
        return self.up(x.relu())


class Teacher:
    """A frozen CLIP with a method on it. It is no `nn.Module`, so that none of its parameters belong to the student.

    Args:
        clip: the CLIP; build: class names -> the method for these classes, with its learned parameters.
    """

    def __init__(self, clip: FrozenCLIP, build: Callable[[Sequence[str]], CosineMethod]):
        self.clip, self.build = clip, build

    def of_classes(self, names: Sequence[str]) -> CosineMethod:
        """Return the method for some classes."""
        return self.build(names).requires_grad_(False).eval()


def zero_shot_teacher(settings: CfgNode, student: FrozenCLIP, task: Task) -> Teacher:
    """Return the CLIP that TEACHER names, the student's own where it is empty, with the task's template."""
    clip = another_clip(student, settings.TEACHER, settings.PREC) if settings.TEACHER else student
    return Teacher(clip, lambda names: ZeroshotMethod(CfgNode(), clip, replace(task, classnames=tuple(names))))


def trained_teacher(settings: CfgNode, student: FrozenCLIP) -> Teacher:
    """Return the teacher that the run in TEACHER_RUN trained, on that run's backbone.

    Raises:
        dassl.config.ConfigError: the run's method does not score by cosines.
        safeio.errors.UserError: there is no such run, or it cannot be read.
    """
    key, folder = "TRAINER.PROMPTKD.TEACHER_RUN", Path(settings.TEACHER_RUN).expanduser()
    record = read_json(folder / "run.json", {"method": str, "config": dict}, f"{key} must be a finished run's folder.")
    trainer = TRAINER_REGISTRY.get(record["method"])
    builder = declared()
    builder.merge_dict(record["config"], str(folder))
    cfg, kind, node = builder.cfg, getattr(trainer, "method_class", CosineMethod), getattr(trainer, "settings_node", "")
    if not issubclass(kind, CosineMethod) or kind.tied_to_classes(method_settings(cfg, node)) or not kind.transfers:
        raise ConfigError(
            f"{key}: {folder} is a run of {record['method']}, which does not score classes that it was not trained on "
            f"by cosines of features: take one of CoOp, MaPLe, PromptSRC or another that does"
        )
    state = load_checkpoint(source := find_checkpoint(folder / trainer.checkpoint_folder, None))["state_dict"]
    clip = another_clip(student, cfg.MODEL.BACKBONE.NAME, settings.PREC)

    def build(names: Sequence[str]) -> CosineMethod:
        method = build_method(cfg, kind, node, clip, Precision(settings.PREC, clip.device), names)
        load_parameters(method, state, str(source))
        return method

    return Teacher(clip, build)


def another_clip(student: FrozenCLIP, name: str, precision: str) -> FrozenCLIP:
    """Return a further CLIP on the student's device, which must see the same images.

    Raises:
        dassl.config.ConfigError: it takes images of another size, or normalised otherwise.
    """
    held = Precision(precision, student.device)
    found = student.beside(f"{name} at its own size in {precision}", lambda: held.hold(load(name)[0]))
    sides = [clip.visual.input_resolution for clip in (found, student)]
    looks = [(clip.model.architecture.mean, clip.model.architecture.std) for clip in (found, student)]
    if sides[0] != sides[1] or (looks[0] != looks[1] and (None, None) not in looks):
        raise ConfigError(
            f"The teacher {name} takes images of {sides[0]} pixels, normalised with {looks[0]}, the student "
            f"of {sides[1]}, with {looks[1]}: both see the same images, so choose another TRAINER.PROMPTKD.TEACHER"
        )
    return found


def known_teacher(values: Values) -> str | None:
    """TEACHER names a CLIP that there is."""
    name = values["TRAINER.PROMPTKD.TEACHER"]
    message = not_found(name) if name else None
    return message and f"TRAINER.PROMPTKD.TEACHER is {shown(name)}, expected a CLIP. {message}"


class PromptKDMethod(VPTMethod):
    """Image prompts (K, D) as VPT's, and the projection.

    Attributes:
        domain: names of the classes that are distilled on.
    """

    @classmethod
    def marks(cls, settings, data) -> tuple[str, ...]:
        return (TRANSDUCTIVE,) if data.UNLABELLED else ()

    @classmethod
    def unread(cls, settings) -> dict[str, str]:
        return {"TEACHER": "TEACHER_RUN has a backbone of its own"} if settings.TEACHER_RUN else {}

    def prepare_text(self) -> None:
        settings, clip, task = self.settings, self.clip, self.task
        learned = settings.TEACHER_RUN
        self.teacher = trained_teacher(settings, clip) if learned else zero_shot_teacher(settings, clip, task)
        self.projection = Projection(clip.embed_dim, self.teacher.clip.embed_dim)
        self.domain = task.classnames
        self._taught: tuple[tuple[CosineMethod, Tensor], ...] = ()

    @torch.no_grad()
    def class_output(self) -> Tensor:
        """The teacher's text features (C, E') of the task's classes."""
        return self.teacher.of_classes(self.task.classnames).class_features()

    def image_output(self, images: Tensor) -> Tensor:
        """Image features (B, E') in the teacher's space."""
        return self.projection(super().image_output(images))

    def similarity(self, image_features: Tensor, class_features: Tensor) -> Tensor:
        return super().similarity(image_features, class_features.to(image_features.dtype))

    @property
    def taught(self) -> tuple[CosineMethod, Tensor]:
        """Return the teacher for the domain's classes and their text features (C', E'); made at the first call."""
        if not self._taught:
            with torch.no_grad():
                method = self.teacher.of_classes(self.domain)
                self._taught = ((method, method.class_features()),)
        return self._taught[0]

    @torch.no_grad()
    def teach(self, images: Tensor) -> Tensor:
        """Return the teacher's logits (B, C') of the domain's classes, for images (B, 3, S, S)."""
        method, w = self.taught
        return method.similarity(method.image_features(images), w)

    def losses(self, images: Tensor, labels: Tensor) -> Losses:
        """KD_WEIGHT * T^2 * KL(teacher, student) / C', at the temperature T, a mean over images.

        Args:
            labels: the teacher's logits (B, C'). Class labels (B,) are ignored, and the teacher's logits computed here.
        """
        t, taught = self.settings.TEMPERATURE, labels if labels.ndim == 2 else self.teach(images)
        logits = self.similarity(self.image_features(images), self.taught[1])
        student, teacher = ((z / t).log_softmax(dim=1) for z in (logits, taught.to(logits.dtype)))
        distance = F.kl_div(student, teacher, reduction="sum", log_target=True) * t**2 / logits.numel()
        return Losses({"kd": Term(distance, self.settings.KD_WEIGHT)}, logits)


@TRAINER_REGISTRY.register()
class PromptKD(VPT):
    """Trains on unlabelled images; `acc` in the log is how often the student's first choice is the teacher's."""

    method_class = PromptKDMethod
    settings_node = "PROMPTKD"
    dependencies = (known_teacher,)
    settings_source = "zhengli97/PromptKD configs/trainers/PromptKD/vit_b16_c2_ep20_batch8_4+4ctx.yaml"
    graphs = False  # the runs that only prepare a recording would count in the projection's running means
    defaults = {
        "N_CTX_VISION": Setting(4, between(1, 76), "number of prompts in each layer of the image encoder"),
        "PROMPT_DEPTH_VISION": Setting(
            AUTO, or_auto(at_least(1)), "layers with prompts; auto: 9 of 12, other depths alike"
        ),
        "TEACHER": Setting("", meaning="backbone of a zero-shot teacher; empty: the student's own"),
        "TEACHER_RUN": Setting("", meaning="folder of a finished run to use as the teacher, on that run's backbone"),
        "TEMPERATURE": Setting(1.0, above(0), "T, by which the teacher's and the student's logits are divided"),
        "KD_WEIGHT": Setting(1000.0, at_least(0), "weight of the distillation loss"),
        "PREC": precision("fp16"),
    }

    def build_data_loader(self) -> None:
        super().build_data_loader()
        if self.cfg.DATASET.UNLABELLED and self.train_loader_u is not None:
            self.train_loader_x = self.train_loader_u

    def build_model(self) -> None:
        super().build_model()
        self.method.domain = tuple(getattr(self.dm.dataset, "domain_classnames", ()) or self.method.domain)

    def before_train(self) -> None:
        """Refuse to train if DATASET.UNLABELLED is set and the dataset has no unlabelled images; a test needs none."""
        if self.cfg.DATASET.UNLABELLED and self.train_loader_u is None:
            raise ConfigError(
                f"DATASET.UNLABELLED is True, but {self.cfg.DATASET.NAME} gives no unlabelled images: set it to False "
                f"to distil on the run's training images, without their labels"
            )
        super().before_train()

    def parse_batch_train(self, batch: dict) -> tuple[Tensor, Tensor]:
        images = batch["img"].to(self.device)
        with self.precision.context():
            return images, self.method.teach(images)
