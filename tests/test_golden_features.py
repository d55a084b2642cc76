"""The published implementations' numbers for methods on frozen features, through the real trainers."""

from __future__ import annotations

import pytest
import torch
from golden_features import build

from golden_cases import FEATURES, LOGITS, LOSS, PARAMETERS, Case, cases, close, parameters
from trainers.base.method import l2_normalize
from trainers.gda_clip import ALPHAS, class_means, of_others

STEPPING = {"ZSLP", "CLAP", "LPpp", "ProLIP"}
LIMITS = {"ZSLP": PARAMETERS["sgd"], "CLAP": PARAMETERS["sgd"], "LPpp": 5e-5, "ProLIP": PARAMETERS["adam"]}
"""Limit for parameters; LP++'s grow to size 10."""
GDA = 1e-4
"""Limit relative to the largest element."""


@pytest.fixture(params=cases(STEPPING), scope="module")
def finished(request, tmp_path_factory):
    """A case, its trainer after training, and what the trainer computed before."""
    case = Case(request.param)
    trainer = build(case, tmp_path_factory.mktemp(request.param))
    own = parameters(trainer)
    assert own.keys() == case.about["parameters"].keys()
    if case.about["method"] == "LPpp":  # its start is random
        with torch.no_grad():
            own["classifier.bias"].copy_(case["init/classifier.bias"])
    trainer.before = []
    plain = trainer.epoch_batches

    def first_batch():
        if not trainer.before:
            trainer.before += [{name: p.detach().clone() for name, p in own.items()}, *gradients(trainer, plain)]
        return plain()

    trainer.epoch_batches = first_batch
    trainer.train()
    return case, trainer


def gradients(trainer, batches):
    """Logits of the first batch at the start, and the gradients there."""
    batch = next(batches()[1])
    losses = trainer.losses(batch["img"], batch["label"])
    trainer.method.backward(losses)
    found = {name: p.grad.clone() for name, p in parameters(trainer).items()}
    trainer.method.zero_grad(set_to_none=True)
    return losses.logits.detach(), found


def test_start(finished):
    case, trainer = finished
    start, logits, found = trainer.before
    limit = 5e-5 if case.about["method"] == "LPpp" else FEATURES
    for name, value in case.group("init").items():
        close(start[name], value, limit, f"{name} before training")
    close(logits, case["train0/logits"], 1e-4 if case.about["method"] == "ProLIP" else LOGITS, "logits of batch 0")
    for name, value in case.group("grad").items():
        close(found[name], value, 1e-4 * value.abs().max().item(), f"gradient of {name}")


def test_features(finished):
    case, trainer = finished
    method = trainer.method
    rows = trainer.training_rows(range(len(case["cache/images"]) if case["cache/images"].ndim == 5 else 1))
    if "cache/pre_projection" in case.arrays:
        close(rows, case["cache/pre_projection"], FEATURES, "rows before the projection")
    else:
        found = method.features(rows.flatten(0, 1))
        found = l2_normalize(found) if case.about["method"] == "LPpp" else found
        close(found, case["cache/features"], FEATURES, "features")
    if "text_weights" in case.arrays:
        close(method.t.t(), case["text_weights"], FEATURES, "text features")
    if "prompt/tokens" in case.arrays:
        assert torch.equal(method.prompts.ids, case["prompt/tokens"])
    if "constraint/alpha" in case.arrays:
        close(method.alpha, case["constraint/alpha"], FEATURES, "weights of the constraint")
    if "stat/lr_w" in case.arrays:
        assert trainer.sched.base_lrs[0] == pytest.approx(case["stat/lr_w"].item(), rel=1e-5)
        assert trainer.alpha_lr == pytest.approx(case["stat/lr_alpha"].item(), rel=1e-5)
        assert trainer.best["epoch"] == case["stat/best_epoch"].item()
        assert trainer.best["result"] == pytest.approx(case["stat/best_val_accuracy"].item(), abs=1e-4)


def test_steps(finished):
    case, trainer = finished
    for name, values in case.group("step").items():
        if name == "alpha_vec":  # of each tenth epoch
            continue
        found = torch.tensor([step[name] for step in trainer.steps], dtype=torch.double)
        close(found, values, 1e-9 if name == "lr" else LOSS, name)


def test_parameters_after_training(finished):
    case, trainer = finished
    if case.about["method"] == "LPpp":
        pytest.skip("what is kept is an earlier epoch; see the next test")
    limit = LIMITS[case.about["method"]]
    for name, value in case.group("after").items():
        moved = (value - case[f"init/{name}"]).abs().max()
        assert moved > 10 * limit
        close(parameters(trainer)[name].detach(), value, limit, f"{name} after training")


@pytest.mark.parametrize("name", cases({"LPpp"}))
def test_the_last_epoch_of_lp_pp(name, tmp_path):
    """Without validation images the last epoch stands."""
    case = Case(name)
    trainer = build(case, tmp_path)
    trainer.val_loader, alphas = None, []
    with torch.no_grad():
        trainer.method.classifier.bias.copy_(case["init/classifier.bias"])
    plain = trainer.step_alpha

    def noting():
        if trainer.epoch % 10 == 0:
            alphas.append(trainer.method.alpha_vec.detach().clone()[0])
        plain()

    trainer.step_alpha = noting
    trainer.train()
    close(torch.stack(alphas), case["step/alpha_vec"], LIMITS["LPpp"], "class factors")
    for key, value in case.group("after").items():
        close(parameters(trainer)[key].detach(), value, LIMITS["LPpp"], f"{key} after training")


def test_evaluation(finished):
    case, trainer = finished
    with trainer.fixed_classes():
        close(trainer.model_inference(case["test/images"]), case["eval/logits"], LOGITS, "prediction")


def test_evaluation_on_other_classes(finished):
    case, trainer = finished
    if "eval_novel/logits" not in case.arrays:
        assert not trainer.method.transfers
        return
    other = build(case, trainer.output_dir, "unseen", "novel_classnames")
    other.load_model(trainer.output_dir)
    close(other.model_inference(case["test/images"]), case["eval_novel/logits"], LOGITS, "prediction")


@pytest.mark.parametrize("name", cases({"GDACLIP"}))
def test_gda_clip(name, tmp_path):
    case, base = Case(name), 1.0
    trainer = build(case, tmp_path)
    trainer.train()
    method = trainer.method
    if trainer.settings.MODE == "base2new":  # the inverse of a covariance that is barely regular
        base = 10.0
    close(method.f, case["cache/features"], FEATURES, "features")
    close(method.t.t(), case["text_weights"], FEATURES, "text features")
    close(class_means(method.f, method.labels, len(method.t)), case["gda/mus"], FEATURES, "means")
    for own, key in ((method.trained.weight, "gda/W"), (method.trained.bias, "gda/b")):
        close(own, case[key], base * GDA * case[key].abs().max().item(), key)
    assert method.alpha.item() == pytest.approx(case["stat/alpha"].item())
    largest = method.trained.weight.abs().max().item()
    val = method.unit_features(case["val/images"])
    for alpha, logits in zip(ALPHAS, case["val/logits_each_alpha"], strict=True):
        found = 100 * val @ method.t.t() + alpha * method.trained(val)
        close(found, logits, max(1e-3, base * GDA * alpha * largest), f"validation logits at {alpha}")
    with trainer.fixed_classes():
        limit = max(1e-3, base * GDA * method.alpha.item() * largest)
        close(trainer.model_inference(case["test/images"]), case["eval/logits"], limit, "prediction")
    if "eval_novel/logits" not in case.arrays:
        return
    other = build(case, tmp_path, "unseen", "novel_classnames")
    other.load_model(tmp_path)
    found, means, inverse = of_others(other.method.f, other.method.t)
    for own, key in ((found.weight, "W"), (found.bias, "b"), (inverse, "cov_inv"), (means, "mu")):
        expected = case[f"gda_new/{key}"]
        close(own, expected, GDA * expected.abs().max().item(), key)
    close(other.model_inference(case["test/images"]), case["eval_novel/logits"], 1e-3, "prediction of new classes")
