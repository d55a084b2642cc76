"""TRAIN.SKIP_NONFINITE: a step whose loss is no number changes nothing and is counted; without it the run ends."""

import pytest
import torch

from golden_cases import Case, cases


@pytest.mark.parametrize("skip", [True, False])
def test_a_step_without_a_number(skip):
    case = Case(cases({"MMRL"})[0])
    trainer = case.build("MMRL", case.about["classnames"])
    trainer.cfg.defrost()
    trainer.cfg.TRAIN.SKIP_NONFINITE = skip
    trainer.batch_idx, trainer.num_batches = 0, 1
    before = {name: p.detach().clone() for name, p in trainer.method.named_parameters()}
    rate = trainer.get_current_lr()
    batch = {"img": torch.full_like(case["train/images"][0], float("nan")), "label": case["train/labels"][0]}
    if skip:
        assert trainer.forward_backward(batch) == {} and trainer.skipped_steps == 1
        assert trainer.get_current_lr() != rate  # the epoch ends all the same
    else:
        with pytest.raises(FloatingPointError):
            trainer.forward_backward(batch)
    for name, parameter in trainer.method.named_parameters():
        assert torch.equal(parameter, before[name]), name
