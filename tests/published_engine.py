"""Classes of the published engine that its checkpoints hold pickled."""

import torch


class ConstantWarmupScheduler(torch.optim.lr_scheduler.LRScheduler):
    """As in the published engine: holds a second scheduler, and with it the optimiser, and is pickled whole."""

    def __init__(self, optimizer, successor):
        self.successor = successor
        super().__init__(optimizer)

    def get_lr(self):
        return [group["lr"] for group in self.optimizer.param_groups]
