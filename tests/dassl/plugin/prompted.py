"""A trainer file as CoOp's users write them: own forward_backward and load_model, own node."""

import os.path as osp

import torch
import torch.nn as nn
from torch.nn import functional as F

from dassl.engine import TRAINER_REGISTRY, TrainerX
from dassl.metrics import compute_accuracy
from dassl.optim import build_lr_scheduler, build_optimizer
from dassl.utils import load_checkpoint, load_pretrained_weights

WIDTH = 6


class PromptLearner(nn.Module):
    def __init__(self, cfg, classnames):
        super().__init__()
        self.ctx = nn.Parameter(0.02 * torch.randn(cfg.TRAINER.PROMPTED.N_CTX, WIDTH))
        generator = torch.Generator().manual_seed(len(classnames[0]))
        # Like CoOp's, these depend on the class names and so must not be loaded for other classes.
        self.register_buffer("token_prefix", torch.randn(len(classnames), 1, WIDTH, generator=generator))
        self.register_buffer("token_suffix", torch.randn(len(classnames), 2, WIDTH, generator=generator))

    def forward(self):
        ctx = self.ctx.unsqueeze(0).expand(len(self.token_prefix), -1, -1)
        return torch.cat([self.token_prefix, ctx, self.token_suffix], dim=1)


class CustomCLIP(nn.Module):
    def __init__(self, cfg, classnames):
        super().__init__()
        self.prompt_learner = PromptLearner(cfg, classnames)
        self.image_encoder = nn.Linear(3, WIDTH)

    def forward(self, image):
        features = F.normalize(self.image_encoder(image.mean(dim=(2, 3))), dim=-1)
        words = F.normalize(self.prompt_learner().tanh().prod(dim=1), dim=-1)
        return 10 * features @ words.t()


@TRAINER_REGISTRY.register()
class Prompted(TrainerX):
    def check_cfg(self, cfg):
        assert cfg.TRAINER.PROMPTED.PREC in ["fp16", "fp32", "amp"]

    def build_model(self):
        cfg = self.cfg
        classnames = self.dm.dataset.classnames
        print("Building prompted model")
        self.model = CustomCLIP(cfg, classnames)
        for name, param in self.model.named_parameters():
            if "prompt_learner" not in name:
                param.requires_grad_(False)
        if cfg.MODEL.INIT_WEIGHTS:
            load_pretrained_weights(self.model.prompt_learner, cfg.MODEL.INIT_WEIGHTS)
        self.model.to(self.device)
        self.optim = build_optimizer(self.model.prompt_learner, cfg.OPTIM)
        self.sched = build_lr_scheduler(self.optim, cfg.OPTIM)
        self.register_model("prompt_learner", self.model.prompt_learner, self.optim, self.sched)

    def forward_backward(self, batch):
        image, label = self.parse_batch_train(batch)
        output = self.model(image)
        loss = F.cross_entropy(output, label)
        self.model_backward_and_update(loss)
        summary = {"loss": loss.item(), "acc": compute_accuracy(output, label)[0].item()}
        if (self.batch_idx + 1) == self.num_batches:
            self.update_lr()
        return summary

    def parse_batch_train(self, batch):
        return batch["img"].to(self.device), batch["label"].to(self.device)

    def load_model(self, directory, epoch=None):
        if not directory:
            print("no model folder")
            return
        model_file = "model-best.pth.tar" if epoch is None else "model.pth.tar-" + str(epoch)
        for name in self.get_model_names():
            model_path = osp.join(directory, name, model_file)
            if not osp.exists(model_path):
                raise FileNotFoundError(f"no file {model_path}")
            checkpoint = load_checkpoint(model_path)
            state_dict = checkpoint["state_dict"]
            if "token_prefix" in state_dict:
                del state_dict["token_prefix"]
            if "token_suffix" in state_dict:
                del state_dict["token_suffix"]
            print(f'Loading weights to {name} from "{model_path}" (epoch = {checkpoint["epoch"]})')
            self._models[name].load_state_dict(state_dict, strict=False)
