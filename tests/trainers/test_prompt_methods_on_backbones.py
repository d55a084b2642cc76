"""Every prompt-learning method on encoders of other shapes: nothing of a backbone may be a number in a method."""

import pytest
import torch

import trainers  # noqa: F401  (registers the methods)
from dassl.engine import TRAINER_REGISTRY

ANY_BACKBONE = ("CoOp", "CoCoOp", "KgCoOp", "ProGrad", "TCP")
VIT_ONLY = ("VPT", "IVLP", "MaPLe", "PromptSRC", "MMRL", "MMRLpp")
VITS = ("ViT-B-32", "ViT-B-16", "ViT-L-14")
CLASSES = ("cat", "a_long name", "ox", "big dog")
OTHERS = ("heron", "large old oak", "eel")
SHALLOW = {"PROMPT_DEPTH": 3, "PROMPT_DEPTH_VISION": 3, "PROMPT_DEPTH_TEXT": 3, "REP_LAYERS": [2, 4]}
EVERY_LAYER = {"PROMPT_DEPTH": 4, "PROMPT_DEPTH_VISION": 6, "PROMPT_DEPTH_TEXT": 4, "REP_LAYERS": [1, 2, 3, 4]}


def settings_of(method: str, wanted: dict) -> dict:
    return {key: value for key, value in wanted.items() if key in TRAINER_REGISTRY.get(method).defaults}


def deep_keys(method: str) -> list[str]:
    return [key for key in TRAINER_REGISTRY.get(method).defaults if key.startswith("PROMPT_DEPTH")]


def learn_and_transfer(workshop, method: str, clip: str, **settings) -> None:
    """One step, a prediction, and a prediction for other classes."""
    trainer = workshop.build(method, clip, CLASSES, **settings)
    before = {name: p.detach().clone() for name, p in trainer.method.named_parameters()}
    trainer.set_model_mode("train")
    shown = trainer.forward_backward(workshop.batch(clip, 3, len(CLASSES)))
    assert torch.tensor(shown["loss"]).isfinite()
    for name, parameter in trainer.method.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        rests = name.endswith("A")  # of a low-rank product A B that starts with B = 0
        assert parameter.grad.abs().max() > 0 or rests, name
        assert not torch.equal(parameter, before[name]), name
    images = workshop.batch(clip, 3, len(CLASSES))["img"]
    other = workshop.build(method, clip, OTHERS, test_classes="unseen", **settings)
    other.method.load_state_dict(trainer.method.state_dict())
    for built, classes in ((trainer, CLASSES), (other, OTHERS)):
        with built.fixed_classes():
            scores = built.model_inference(images)
        assert scores.shape == (3, len(classes)) and scores.isfinite().all()


@pytest.mark.parametrize("clip", VITS)
@pytest.mark.parametrize("method", ANY_BACKBONE + VIT_ONLY)
def test_vision_transformers(workshop, method, clip):
    learn_and_transfer(workshop, method, clip, **settings_of(method, SHALLOW))


@pytest.mark.parametrize("method", VIT_ONLY)
def test_tokens_in_every_layer(workshop, method):
    """In a model whose encoders are of different depths."""
    learn_and_transfer(workshop, method, "ViT-L-14", **settings_of(method, EVERY_LAYER))


@pytest.mark.parametrize("method", ANY_BACKBONE)
def test_resnets(workshop, method):
    learn_and_transfer(workshop, method, "RN50")


@pytest.mark.parametrize("method", VIT_ONLY)
def test_methods_inside_a_vision_transformer_refuse_a_resnet(workshop, method):
    with pytest.raises(ValueError, match=r"vision transformer.*MODEL\.BACKBONE\.NAME"):
        workshop.build(method, "RN50", CLASSES, **settings_of(method, SHALLOW))


@pytest.mark.parametrize(("method", "key"), [(m, key) for m in VIT_ONLY for key in deep_keys(m)])
def test_prompts_deeper_than_the_encoder_are_refused(workshop, method, key):
    wanted = settings_of(method, SHALLOW) | {key: 7}
    with pytest.raises(ValueError, match=rf"{key} is 7.*from [01] to [46]"):
        workshop.build(method, "ViT-L-14", CLASSES, **wanted)


def test_class_tokens_above_the_encoder_are_refused(workshop):
    with pytest.raises(ValueError, match=r"CLASS_TOKENS_LAYER is 5.*layers 1 to 4"):
        workshop.build("TCP", "ViT-L-14", CLASSES, CLASS_TOKENS_LAYER=5)


@pytest.mark.parametrize("method", ["CoOp", "KgCoOp", "ProGrad"])
def test_contexts_of_each_class_do_not_transfer(workshop, method):
    own = {"CSC": True, "CTX_INIT": "", "N_CTX": 3}
    assert workshop.build(method, "ViT-B-16", CLASSES, **own).method.ctx.shape == (len(CLASSES), 3, 128)
    with pytest.raises(ValueError, match=rf"{method} .*cannot predict others.*unseen"):
        workshop.build(method, "ViT-B-16", OTHERS, test_classes="unseen", **own)


@pytest.mark.parametrize("position", ["end", "middle", "front"])
@pytest.mark.parametrize("per_class", [False, True])
def test_coop_wherever_the_name_stands(workshop, position, per_class):
    trainer = workshop.build("CoOp", "ViT-B-16", CLASSES, N_CTX=5, CSC=per_class, CLASS_TOKEN_POSITION=position)
    trainer.set_model_mode("train")
    trainer.forward_backward(workshop.batch("ViT-B-16", 3, len(CLASSES)))
    assert (trainer.method.ctx.grad.flatten(0, -2).abs().amax(dim=1) > 0).all(), "every context row is used"


def test_defaults_follow_the_depth_of_each_encoder(workshop):
    """Published: of 12 layers MMRL takes 6 to 12, deep prompts 9."""
    published = workshop.build("MMRL", "twelve layers", CLASSES).method
    assert published.image_layers == published.text_layers == [6, 7, 8, 9, 10, 11, 12]
    assert len(workshop.build("IVLP", "twelve layers", CLASSES).method.text_prompts) == 9 - 1
    for name in ("MMRL", "MMRLpp"):  # image encoder of 6 layers, text encoder of 4
        other = workshop.build(name, "ViT-L-14", CLASSES).method
        assert (other.image_layers, other.text_layers) == ([3, 4, 5, 6], [2, 3, 4])
        learn_and_transfer(workshop, name, "ViT-L-14")
    deep = workshop.build("IVLP", "ViT-L-14", CLASSES).method
    assert (len(deep.image_prompts), len(deep.text_prompts)) == (4, 3 - 1)
