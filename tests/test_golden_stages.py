"""Golden cases that plain steps over the case's images cannot replay: dropout of one batch, and two stages."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from golden_cases import FEATURES, GRADIENT, LOGITS, LOSS, PARAMETERS, Case, cases, close, described, parameters

DROPOUT = [name for name in cases({"CLIPLoRA"}) if described(name)["config"]["LORA.DROPOUT"]]


def start(case: Case, test_classes: str = "seen", names: str = "classnames"):
    """The trainer at the case's start values."""
    trainer = case.build(case.about["method"], case.about[names], test_classes)
    own = parameters(trainer)
    with torch.no_grad():
        for name, value in case.group("init").items():
            own[name].copy_(value)
    assert own.keys() - {"classifier"} == case.about["parameters"].keys()
    return trainer


def compare_first_batch(case: Case, trainer) -> None:
    """Logits, loss and gradients of batch 0."""
    losses = trainer.losses(case["train/images"][0], case["train/labels"][0])
    close(losses.logits.detach(), case["train0/logits"], LOGITS, "logits of batch 0")
    close(losses.total().detach(), case["step/loss"][0], LOSS, "loss of batch 0")
    trainer.method.backward(losses)
    own = parameters(trainer)
    for name, value in case.group("grad").items():
        close(own[name].grad, value, max(GRADIENT * value.abs().max().item(), 1e-8), f"gradient of {name}")
    trainer.method.zero_grad(set_to_none=True)


@pytest.mark.parametrize("name", DROPOUT)
def test_the_first_batch_with_dropout(name, monkeypatch):
    """With the case's masks: elementwise, one for each projection, on the input of A alone."""
    case = Case(name)
    trainer = start(case)
    low_rank, keep = trainer.method.low_rank, 1 - case.about["config"]["LORA.DROPOUT"]

    def drop(key, x):
        place, _, projection = key.rpartition("-")
        module = f"{low_rank.places[place][0]}.{'proj' if projection == 'o' else f'{projection}_proj'}.dropout"
        shape = case.about["dropout_shapes"][module]
        mask = np.unpackbits(case[f"dropout0/{module}"].numpy())[: int(np.prod(shape))].reshape(shape)
        return x * torch.from_numpy(mask)[: x.shape[1]].transpose(0, 1) / keep  # there sequences come first

    monkeypatch.setattr(low_rank, "drop", drop)
    trainer.set_model_mode("train")
    compare_first_batch(case, trainer)


@pytest.fixture(params=cases({"TwoStage"}), scope="module")
def two_stages(request):
    """A case and its trainer after both stages, each step compared."""
    case = Case(request.param)
    trainer = start(case)
    trainer.set_model_mode("train")
    compare_first_batch(case, trainer)
    for step in range(len(case["train/images"])):
        close(trainer.get_current_lr(), case["step/lr"][step], 1e-9, f"learning rate of step {step}")
        if step == case.about["stages"]["stage1"]:
            trainer.method.begin_second_stage()
            trainer.set_model_mode("train")
            compare_second_start(case, trainer, step)
        trainer.batch_idx, trainer.num_batches = 0, 2
        shown = trainer.forward_backward({"img": case["train/images"][step], "label": case["train/labels"][step]})
        close(shown["loss"], case["step/loss"][step], LOSS, f"loss of step {step}")
    return case, trainer


def compare_second_start(case: Case, trainer, step: int) -> None:
    close(trainer.method.classifier.detach(), case["stage2/init/classifier"], FEATURES, "classifier at its start")
    trainer.method.zero_grad(set_to_none=True)
    losses = trainer.losses(case["train/images"][step], case["train/labels"][step])
    close(losses.logits.detach(), case["stage2/train0/logits"], LOGITS, "first logits of the second stage")
    trainer.method.backward(losses)
    expected = case["stage2/grad/classifier"]
    close(trainer.method.classifier.grad, expected, GRADIENT * expected.abs().max().item(), "classifier's gradient")
    assert all(p.grad is None for name, p in parameters(trainer).items() if name != "classifier")
    trainer.method.zero_grad(set_to_none=True)


def test_parameters_after_both_stages(two_stages):
    case, trainer = two_stages
    expected = case.group("after") | {"classifier": case["stage2/after/classifier"]}
    own = parameters(trainer)
    assert own.keys() == expected.keys()
    for name, value in expected.items():
        close(own[name].detach(), value, PARAMETERS["adamw"], f"{name} after training")


def test_predictions_of_both_rules(two_stages, tmp_path):
    """Trained classes by the classifier; others by the tuned text encoder, in a trainer that loads what was saved."""
    case, trainer = two_stages
    with trainer.fixed_classes():
        close(trainer.model_inference(case["test/images"]), case["eval/logits"], LOGITS, "prediction")
    trainer.save_model(0, str(tmp_path))
    other = case.build("TwoStage", case.about["novel_classnames"], test_classes="unseen")
    other.load_model(str(tmp_path))
    with other.fixed_classes():
        close(other.model_inference(case["test/images"]), case["eval_novel/logits"], LOGITS, "other classes")


@pytest.mark.parametrize("name", DROPOUT)
def test_prediction_without_dropout(name, tmp_path):
    """Learned parameters are the case's; nothing drops, and the updates are merged into the weights once."""
    case = Case(name)
    trainer = case.build("CLIPLoRA", case.about["classnames"])
    own = parameters(trainer)
    with torch.no_grad():
        for key, value in case.group("after").items():
            own[key].copy_(value)
    with trainer.fixed_classes():
        close(trainer.model_inference(case["test/images"]), case["eval/logits"], LOGITS, "prediction")
        assert set(trainer.method.low_rank.merged) == {"image", "text"}
