"""Every method against its equations written out plainly, in float64, at settings that golden cases do not have."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

import plain_methods as plain
from plain_clip import PlainCLIP
from trainers.base.precision import Precision
from trainers.base.templates import ensemble
from trainers.coprompt import CoPromptMethod

CLIP = "ViT-L-14"  # of the workshop: six layers of width 256 for images, four of 192 for text
NAMES = ("cat", "a_long name of an animal", "ox", "big dog")
RANDOM = {"CTX_INIT": ""}
NEXT_TO_NONE = 1e-13
"""Dropout that drops nothing, but lets the updates stand beside the weights, as any dropout does."""
DRAWN = 1
"""The text that CoPrompt draws, by its number."""
CASES = [
    ("CoOp", plain.coop, RANDOM | {"N_CTX": 1}),
    ("CoOp", plain.coop, RANDOM | {"N_CTX": 1, "CLASS_TOKEN_POSITION": "middle"}),
    ("CoOp", plain.coop, RANDOM | {"N_CTX": 7, "CLASS_TOKEN_POSITION": "middle", "CSC": True}),
    ("CoOp", plain.coop, RANDOM | {"N_CTX": 16, "CLASS_TOKEN_POSITION": "front"}),
    ("CoOp", plain.coop, RANDOM | {"N_CTX": 3, "CSC": True}),
    ("KgCoOp", plain.kgcoop, RANDOM | {"N_CTX": 6, "W": 0.5}),
    ("ProGrad", plain.prograd, RANDOM | {"N_CTX": 6, "T": 2.5, "LAMBDA": 0.4}),
    ("ProGrad", plain.prograd, {"N_CTX": 4, "CTX_INIT": "", "CSC": True}),
    ("CoCoOp", plain.cocoop, RANDOM | {"N_CTX": 5}),
    ("VPT", plain.vpt, {"N_CTX_VISION": 1, "PROMPT_DEPTH_VISION": 1}),
    ("VPT", plain.vpt, {"N_CTX_VISION": 8, "PROMPT_DEPTH_VISION": 6}),
    ("IVLP", plain.ivlp, {"N_CTX_VISION": 3, "N_CTX_TEXT": 5, "PROMPT_DEPTH_VISION": 6, "PROMPT_DEPTH_TEXT": 1}),
    ("IVLP", plain.ivlp, {"N_CTX_VISION": 4, "N_CTX_TEXT": 2, "PROMPT_DEPTH_VISION": 1, "PROMPT_DEPTH_TEXT": 4}),
    ("IVLP", plain.ivlp, {"N_CTX_VISION": 0, "N_CTX_TEXT": 4, "PROMPT_DEPTH_VISION": 0, "PROMPT_DEPTH_TEXT": 4}),
    ("IVLP", plain.ivlp, {"N_CTX_VISION": 2, "PROMPT_DEPTH_VISION": 0, "PROMPT_DEPTH_TEXT": 1}),
    ("IVLP", plain.ivlp, {"N_CTX_VISION": 2, "PROMPT_DEPTH_VISION": 6, "PROMPT_DEPTH_TEXT": 0}),
    ("IVLP", plain.ivlp, RANDOM | {"PROMPT_DEPTH_VISION": 2, "PROMPT_DEPTH_TEXT": 0}),
    ("MaPLe", plain.maple, {"N_CTX": 2, "PROMPT_DEPTH": 1}),
    ("MaPLe", plain.maple, {"N_CTX": 6, "PROMPT_DEPTH": 4}),
    (
        "PromptSRC",
        lambda problem: plain.promptsrc(problem, ensemble("sixty")[:3]),
        {"PROMPT_DEPTH_VISION": 2, "PROMPT_DEPTH_TEXT": 4, "TEXT_LOSS_WEIGHT": 3, "IMAGE_LOSS_WEIGHT": 0.5},
    ),
    *(
        (
            "PromptSRC",
            lambda problem: plain.promptsrc(problem, ensemble("sixty")[:3]),
            {"PROMPT_DEPTH_VISION": image, "PROMPT_DEPTH_TEXT": text},
        )
        for image, text in ((0, 3), (3, 0))
    ),
    *(
        ("HiCroPL", lambda problem: plain.hicropl(problem, ensemble("sixty")[:3]), settings)
        for settings in (
            {"N_CTX": 2, "PROMPT_DEPTH": 4, "CROSS_LAYER": 2},
            {"N_CTX": 5, "PROMPT_DEPTH": 4, "CROSS_LAYER": 1, "LAMBD": 3.0},
            {"N_CTX": 4, "PROMPT_DEPTH": 2, "CROSS_LAYER": 1, "CTX_INIT": ""},
            {"N_CTX": 3, "PROMPT_DEPTH": 3, "CROSS_LAYER": 2, "LAMBD": 0.0},
        )
    ),
    *(
        ("PromptKD", lambda problem: plain.promptkd(with_running(problem)), settings)
        for settings in (
            {"N_CTX_VISION": 4, "PROMPT_DEPTH_VISION": 3},
            {"N_CTX_VISION": 1, "PROMPT_DEPTH_VISION": 6, "TEMPERATURE": 2.5, "KD_WEIGHT": 3.0},
        )
    ),
    *(
        ("TwoStage", equations, {"PEFT": peft, "DROPOUT": 0.0})
        for equations in (plain.two_stage, plain.second_stage)
        for peft in ("ln", "bitfit", "lora")
    ),
    *(
        ("CLIPLoRA", plain.clip_lora, {"DROPOUT": 0.0} | settings)
        for settings in (
            {},
            {"R": 5, "ALPHA": 3.0, "PARAMS": ["q", "k", "v", "o"]},
            {"R": 1, "PARAMS": ["o"], "ENCODER": "vision", "POSITION": "half-bottom"},
            {"PARAMS": ["v", "k"], "ENCODER": "text", "POSITION": "bottom"},
            {"PARAMS": ["o", "q"], "POSITION": "bottom", "DROPOUT": NEXT_TO_NONE},
            {"PARAMS": ["q", "k", "v", "o"], "ENCODER": "text", "DROPOUT": NEXT_TO_NONE},
        )
    ),
    *(
        ("CoPrompt", lambda problem: plain.coprompt(problem, ensemble("sixty")[:3], DRAWN), settings)
        for settings in (
            {"N_CTX": 4, "PROMPT_DEPTH": 4},
            {"N_CTX": 2, "PROMPT_DEPTH": 1, "W": 0.1, "IMAGE_ADAPTER_M": 0.7, "TEXT_ADAPTER_M": 0.4},
            {"N_CTX": 6, "PROMPT_DEPTH": 2, "W": 0.0, "IMAGE_ADAPTER_M": 0.0, "TEXT_ADAPTER_M": 1.0},
        )
    ),
    *(
        ("DePTCoOp", lambda q: plain.dept(q, plain.coop, plain.coop_outputs), RANDOM | settings)
        for settings in (
            {"N_CTX": 5, "WEIGHT": 0.2},
            {"N_CTX": 4, "CSC": True},
            {"N_CTX": 3, "CLASS_TOKEN_POSITION": "middle", "WEIGHT": 1.0},
            {"N_CTX": 2, "CLASS_TOKEN_POSITION": "front", "CSC": True, "WEIGHT": 0.0},
            {"N_CTX": 4, "FILM": False},
            {"N_CTX": 4, "BASE_RULE": "head"},
            {"N_CTX": 4, "BASE_RULE": "similarity", "FILM": False},
        )
    ),
    ("DePTKgCoOp", lambda q: plain.dept(q, plain.kgcoop, plain.coop_outputs), RANDOM | {"N_CTX": 6, "W": 0.5}),
    ("DePTKgCoOp", lambda q: plain.dept(q, plain.kgcoop, plain.coop_outputs), RANDOM | {"WEIGHT": 0.3}),
    ("DePTMaPLe", lambda q: plain.dept(q, plain.maple, plain.maple_outputs), {"N_CTX": 3, "PROMPT_DEPTH": 1}),
    (
        "DePTMaPLe",
        lambda q: plain.dept(q, plain.maple, plain.maple_outputs),
        {"N_CTX": 6, "PROMPT_DEPTH": 4, "WEIGHT": 0.4, "FILM": False, "BASE_RULE": "head"},
    ),
    *(
        (
            "DePTPromptSRC",
            lambda q: plain.dept(q, lambda q: plain.promptsrc(q, ensemble("sixty")[:3]), plain.ivlp_outputs),
            {"PROMPT_DEPTH_VISION": image, "PROMPT_DEPTH_TEXT": text, "WEIGHT": 0.6},
        )
        for image, text in ((2, 4), (0, 2))
    ),
    *(("TaskRes", plain.task_res, {"RESIDUAL_SCALE": scale}) for scale in (0.5, -1.5)),
    ("TCP", plain.tcp, {"CLASS_TOKENS_LAYER": 1, "TEMPLATE": "X X X X {}."}),
    ("TCP", plain.tcp, {"CLASS_TOKENS_LAYER": 4, "TEMPLATE": "X X X X {}, a type of pet."}),
    ("MMA", plain.mma, {"ADAPTER_START": 1, "ADAPTER_END": 4, "ADAPTER_DIM": 8, "ADAPTER_SCALE": 0.7}),
    ("MMA", plain.mma, {"ADAPTER_START": 2, "ADAPTER_END": 3, "ADAPTER_DIM": 24, "ADAPTER_SCALE": 0.001}),
    ("MMA", plain.mma, {"ADAPTER_START": 0, "ADAPTER_END": 0, "ADAPTER_DIM": 8, "ADAPTER_SCALE": 0.3}),
    ("MMA", plain.mma, {"ADAPTER_START": 0, "ADAPTER_END": 4, "ADAPTER_DIM": 8, "ADAPTER_SCALE": 0.1}),
    ("MMA", plain.mma, {"ADAPTER_START": 0, "ADAPTER_END": 2, "ADAPTER_DIM": 16, "ADAPTER_SCALE": 2.0}),
    ("CLIPAdapter", plain.clip_adapter, {"RATIO": 0.6, "REDUCTION": 2}),
    ("MMRL", plain.mmrl, {"REP_LAYERS": [1], "REP_DIM": 24, "N_REP_TOKENS": 1}),
    ("MMRL", plain.mmrl, {"REP_LAYERS": [2, 3], "REP_DIM": 24, "REG_WEIGHT": 7.0}),
    ("MMRL", plain.mmrl, {"REP_LAYERS": [1, 4], "REP_DIM": 24, "ALPHA": 0.3, "REG_WEIGHT": 0.01}),
    ("MMRLpp", plain.mmrlpp, {"REP_LAYERS": [2, 4], "REP_DIM": 24, "BETA": 0.3, "PROJ_LORA_DIM": 3}),
    ("MMRLpp", plain.mmrlpp, {"REP_LAYERS": [1, 2, 3], "REP_DIM": 24, "BETA": 0.0, "RES_LORA_DIM": 1}),
]


def with_running(problem: plain.Problem) -> plain.Problem:
    """With running statistics at their start values."""
    width = len(problem.p["projection.norm.weight"])
    problem.s.mean, problem.s.var = (fill(width, dtype=torch.double) for fill in (torch.zeros, torch.ones))
    return problem


def problem_of(workshop, trainer, batch) -> plain.Problem:
    """The same for the plain methods: weights, settings and start values, copied."""
    weights = torch.load(workshop.folder / f"{CLIP}.pt", weights_only=True)
    method = trainer.method
    own = {
        method.published_name(name): p.detach().clone().requires_grad_(True) for name, p in method.named_parameters()
    }
    names = [name.replace("_", " ") for name in method.task.classnames]
    clip = PlainCLIP({k: v for k, v in weights.items() if v.is_floating_point()})
    settings = SimpleNamespace(**dict(method.settings))
    written, template = [*method.task.classnames], method.task.template
    return plain.Problem(clip, settings, own, batch["img"].double(), batch["label"], names, template, written)


@pytest.mark.parametrize("images", [3, 1])
@pytest.mark.parametrize(
    ("name", "equations", "settings"), [pytest.param(*c, id=f"{c[0]}-{i}") for i, c in enumerate(CASES)]
)
def test_same_gradients_and_predictions(workshop, monkeypatch, name, equations, settings, images):
    """Three images of four classes, and one of a single class."""
    monkeypatch.setattr(Precision, "hold", lambda self, clip: clip.double())
    monkeypatch.setattr("trainers.base.class_texts.ensemble", lambda name: ensemble(name)[:3])
    monkeypatch.setattr(CoPromptMethod, "drawn", lambda self, count: torch.tensor([DRAWN]))
    names = NAMES if images > 1 else NAMES[1:2]
    trainer = workshop.build(name, CLIP, names, **settings)
    method = trainer.method.double()
    for parameter in method.parameters():  # from start values that are nothing nothing would be learned of the rest
        parameter.data += 0.05 * torch.randn_like(parameter)
    if equations is plain.second_stage:
        method.second.fill_(True)
    batch = workshop.batch(CLIP, images, len(names))
    problem = problem_of(workshop, trainer, batch)

    losses = method.losses(problem.images, problem.labels)
    method.backward(losses)
    expected, logits = equations(problem)
    gradients = dict(zip(problem.p, torch.autograd.grad(expected, list(problem.p.values())), strict=True))
    for key, parameter in method.named_parameters():
        wanted = gradients[method.published_name(key)]
        found = torch.zeros_like(wanted) if parameter.grad is None else parameter.grad
        assert (found - wanted).norm() <= 1e-9 * max(wanted.norm(), 1e-6), key
    method.eval()
    with torch.no_grad():
        predicted = method.logits(problem.images, method.class_features(), torch.tensor(True))
    assert torch.allclose(predicted, logits.detach(), rtol=0, atol=1e-9)
