"""PromptSRC's mean over epochs: the published weights, and nothing of it lost by an interruption."""

import pytest
import torch

from golden_cases import Case, cases, close, load_initial, parameters, take_steps
from trainers.promptsrc import gaussian_weights


@pytest.fixture(params=cases({"PromptSRC"}))
def case(request):
    return Case(request.param)


def test_weights_are_the_published_ones(case):
    config = case.settings({"GPA_MEAN": 0.0, "GPA_STD": 0.0})
    ours = gaussian_weights(config["GPA_MEAN"], config["GPA_STD"], case.about["optimizer"]["max_epoch"])
    assert torch.allclose(ours, case["gpa/weights"].double(), atol=1e-7)


@pytest.mark.parametrize(("mean", "deviation", "largest"), [(1000, 1, 4), (-1000, 1, 0), (2.4, 1e-3, 1), (2, 1e-30, 1)])
def test_far_from_the_mean_the_nearest_epoch_counts(mean, deviation, largest):
    """Even if every density is zero in floating-point numbers."""
    weights = gaussian_weights(mean, deviation, 5)
    assert weights.isfinite().all() and weights.sum() == pytest.approx(1) and weights.argmax() == largest


def test_prompts_at_the_end_of_each_epoch(case):
    """Before they are averaged."""
    trainer = case.build("PromptSRC", case.about["classnames"])
    load_initial(trainer, case)
    per_epoch = case.about["optimizer"]["steps_per_epoch"]
    for epoch in range(case.about["optimizer"]["max_epoch"] - 1):  # after the last they are the mean
        take_steps(trainer, case, epoch * per_epoch, (epoch + 1) * per_epoch)
        for name, value in case.group(f"gpa/epoch{epoch}").items():
            close(parameters(trainer)[name].detach(), value, 5e-6, f"{name} after epoch {epoch}")


def test_an_interrupted_run_has_the_same_mean(case, tmp_path):
    per_epoch = case.about["optimizer"]["steps_per_epoch"]
    first, second = (case.build("PromptSRC", case.about["classnames"]) for _ in range(2))
    load_initial(first, case)
    take_steps(first, case, 0, per_epoch)
    first.save_model(0, str(tmp_path))
    assert second.resume_model_if_exist(str(tmp_path)) == 1
    take_steps(second, case, per_epoch)
    for name, parameter in parameters(second).items():
        close(parameter.detach(), case[f"after/{name}"], 5e-6, name)
