"""A loss that is no number stops the run with what one needs to know."""

import pytest
import torch

from dassl.engine import build_trainer


def test_the_message_names_step_and_images(tiny_cfg):
    trainer = build_trainer(tiny_cfg)
    step, calls = trainer.forward_backward, []

    def bad_third_step(batch):
        calls.append(batch)
        if len(calls) == 3:
            trainer.detect_anomaly(torch.tensor(float("nan")))
        return step(batch)

    trainer.forward_backward = bad_third_step
    with pytest.raises(FloatingPointError) as raised:
        trainer.train()
    message = str(raised.value)
    assert "Epoch 1, batch 3" in message and "loss" in message and "SKIP_NONFINITE" in message
    assert all(path in message for path in calls[2]["impath"])


def test_parameters_that_grew_beyond_use_are_noticed(tiny_cfg):
    trainer = build_trainer(tiny_cfg)
    before = trainer.after_epoch

    def grown():
        learned = next(value for value in trainer.model.parameters() if value.requires_grad)
        learned.data.fill_(1e6)
        before()

    trainer.after_epoch = grown
    trainer.train()
    (notice,) = trainer.notices
    assert "have grown to 1e+06" in notice and "OPTIM.LR" in notice
