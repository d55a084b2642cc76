"""PromptSRC's mean over epochs: the published weights, and nothing of it lost by an interruption."""

import importlib.util
from pathlib import Path

import pytest
import torch

from trainers.promptsrc import gaussian_weights

spec = importlib.util.spec_from_file_location("golden_cases", Path(__file__).parent.parent / "test_golden.py")
golden = importlib.util.module_from_spec(spec)
spec.loader.exec_module(golden)


@pytest.fixture(params=golden.cases({"PromptSRC"}))
def case(request):
    return golden.Case(request.param)


def test_weights_are_the_published_ones(case):
    config = case.settings({"GPA_MEAN": 0.0, "GPA_STD": 0.0})
    ours = gaussian_weights(config["GPA_MEAN"], config["GPA_STD"], case.about["optimizer"]["max_epoch"])
    assert torch.allclose(ours, case["gpa/weights"].double(), atol=1e-7)


def train_steps(trainer, case, first: int, last: int) -> None:
    trainer.set_model_mode("train")
    per_epoch = case.about["optimizer"]["steps_per_epoch"]
    for step in range(first, last):
        trainer.batch_idx, trainer.num_batches = step % per_epoch, per_epoch
        trainer.forward_backward({"img": case["train/images"][step], "label": case["train/labels"][step]})


def test_an_interrupted_run_has_the_same_mean(case, tmp_path):
    per_epoch, steps = case.about["optimizer"]["steps_per_epoch"], len(case["train/images"])
    first, second = (case.build("PromptSRC", case.about["classnames"]) for _ in range(2))
    golden.load_initial(first, case)
    train_steps(first, case, 0, per_epoch)
    first.save_model(0, str(tmp_path))
    assert second.resume_model_if_exist(str(tmp_path)) == 1
    train_steps(second, case, per_epoch, steps)
    for name, parameter in golden.parameters(second).items():
        golden.close(parameter.detach(), case[f"after/{name}"], 5e-6, name)
