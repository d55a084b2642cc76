"""TaskResidual: a learned residual for each class's text feature (TaskRes, Yu et al., CVPR 2023)."""

import torch
from torch import nn

from dassl.config.validators import above
from dassl.engine import TRAINER_REGISTRY
from trainers.base.cosine import CosineMethod
from trainers.base.setting import Setting, precision
from trainers.base.trainer import ClipTrainer


class TaskResidualMethod(CosineMethod):
    tied, transfers = True, False

    def __init__(self, settings, clip, task):
        super().__init__(settings, clip, task)
        self.t = clip.text.encode(clip.prompts(task.classnames, task.template, spaces=False))  # as published
        self.x = nn.Parameter(torch.zeros_like(self.t, dtype=torch.float32))

    def class_output(self):
        return self.t + self.settings.SCALE * self.x


@TRAINER_REGISTRY.register()
class TaskResidual(ClipTrainer):
    method_class, settings_node = TaskResidualMethod, "TASKRESIDUAL"
    defaults = {"SCALE": Setting(0.5, above(0), "how much of the residual is added"), "PREC": precision("fp32")}
