"""CoOp: Learning to Prompt for Vision-Language Models (Zhou et al., IJCV 2022).

The words around the class name are learned vectors, shared by all classes or one set for each class; all of CLIP's
weights are frozen.
"""

from __future__ import annotations

from torch import Tensor, nn

from dassl.config.validators import between, one_of
from dassl.engine import TRAINER_REGISTRY
from trainers.base.cosine import CosineMethod
from trainers.base.prompt_context import context_prompts, plain_words, start_whole_context
from trainers.base.setting import Setting, precision
from trainers.base.trainer import ClipTrainer


class CoOpMethod(CosineMethod):
    """The context: N rows (N, D), or (C, N, D) with one set per class."""

    published_names = (("ctx", "prompt_learner.ctx"),)

    def __init__(self, settings, clip, task):
        super().__init__(settings, clip, task)
        classes = (len(task.classnames),) if settings.CSC else ()
        start, words = self.start(*classes, settings.N_CTX)
        self.ctx = nn.Parameter(start)
        per_class = self.ctx.ndim == 3
        self.transfers = not per_class
        self.prompts = context_prompts(
            clip, task.classnames, words, self.ctx.shape[-2], settings.CLASS_TOKEN_POSITION, per_class
        )

    @classmethod
    def tied_to_classes(cls, settings) -> bool:
        return cls.tied or (settings.CSC and not plain_words(settings.CTX_INIT))

    @classmethod
    def unread(cls, settings) -> dict[str, str]:
        why = f"the words of CTX_INIT, {settings.CTX_INIT!r}, give the context's length and start; empty it to use this"
        return dict.fromkeys(("N_CTX", "CSC"), why) if plain_words(settings.CTX_INIT) else {}

    def start(self, *shape: int) -> tuple[Tensor, str]:
        """Return the context at the start of training and the words that the prompts begin with."""
        return start_whole_context(self.clip, self.settings.CTX_INIT, *shape)

    def class_output(self) -> Tensor:
        """Text features (C, E) of the prompts with the context in them."""
        return self.clip.text.encode(self.prompts, context=self.ctx.flatten(0, -2)[None])


@TRAINER_REGISTRY.register()
class CoOp(ClipTrainer):
    """Trains CoOp with the engine's optimiser and schedule."""

    method_class = CoOpMethod
    settings_node = "COOP"
    settings_source = "KaiyangZhou/CoOp train.py"
    checkpoint_folder = "prompt_learner"
    defaults = {
        "N_CTX": Setting(16, between(1, 76), "number of context vectors", search="2..16", symbol="M"),
        "CSC": Setting(False, meaning="whether each class has a context of its own"),
        "CTX_INIT": Setting("", meaning="words to start from, a vector each; N_CTX and CSC are then ignored"),
        "PREC": precision("fp16"),
        "CLASS_TOKEN_POSITION": Setting(
            "end", one_of("end", "middle", "front"), "place of the class name in the prompt"
        ),
    }
