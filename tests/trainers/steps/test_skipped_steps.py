"""TRAIN.SKIP_NONFINITE: a step whose loss is no number changes nothing and is counted; without it the run ends."""

import pytest
import torch

from golden_cases import Case, cases


def build(skip: bool):
    """A trainer of MMRL in its last step of an epoch, and a batch that has no numbers."""
    case = Case(cases({"MMRL"})[0])
    trainer = case.build("MMRL", case.about["classnames"])
    trainer.cfg.defrost()
    trainer.cfg.TRAIN.SKIP_NONFINITE = skip
    trainer.batch_idx, trainer.num_batches = 0, 1
    return trainer, {"img": torch.full_like(case["train/images"][0], float("nan")), "label": case["train/labels"][0]}


@pytest.mark.parametrize("skip", [True, False])
def test_a_step_without_a_number(skip):
    trainer, batch = build(skip)
    before = {name: p.detach().clone() for name, p in trainer.method.named_parameters()}
    rate = trainer.get_current_lr()
    if skip:
        assert trainer.forward_backward(batch) == {} and trainer.skipped_steps == 1
        assert trainer.get_current_lr() != rate  # the epoch ends all the same
    else:
        with pytest.raises(FloatingPointError):
            trainer.forward_backward(batch)
    for name, parameter in trainer.method.named_parameters():
        assert torch.equal(parameter, before[name]), name


def test_skipping_ends_where_it_cannot_help():
    """Finite losses can have gradients that are not: then all losses to come have no number, and all is lost."""
    trainer, batch = build(skip=True)
    name, parameter = next(iter(trainer.method.named_parameters()))
    parameter.data.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match=rf"learned parameters \({name}\)"):
        trainer.forward_backward(batch)


def test_a_resumed_run_goes_on_counting(tmp_path):
    trainer, batch = build(skip=True)
    trainer.forward_backward(batch)
    trainer.save_model(0, tmp_path)
    again, batch = build(skip=True)
    again.resume_model_if_exist(tmp_path)
    again.forward_backward(batch)
    assert again.skipped_steps == 2
