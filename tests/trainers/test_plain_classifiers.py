"""Methods on frozen features against their equations written out plainly, at settings that golden cases do not have.

The images are the golden cases'; how many there are of a class, views, epochs, batches and strengths are others.
"""

from __future__ import annotations

import copy

import plain_classifiers as plain
import pytest
import torch
import torch.nn.functional as F
from golden_features import build

from clip import tokenize
from golden_cases import Case, cases, described
from golden_tip_adapter import build as build_tip_adapter
from trainers.base.templates import ensemble

LIMIT = 2e-4
"""Limit of float32 against float64, relative to the largest element."""
UNEVEN = torch.tensor([0, 1, 1, 1, 2, 3, 4, 4, 5, 6, 6, 6, 6, 7, 8, 8, 8, 8])
"""Labels of the eighteen training images: from one to four of each class."""


def shipped(*methods: str) -> list[str]:
    """Cases of methods with eighteen training images of nine classes."""
    return [name for name in cases(methods) if Case(name)["cache/labels"].bincount().tolist() == [2] * 9]


def varied(name: str, about: dict | None = None, **config) -> Case:
    """A case with uneven classes and another configuration."""
    case = Case(name)
    case.about = copy.deepcopy(case.about) | (about or {})
    case.about["config"] |= config
    case.arrays["cache/labels"] = UNEVEN
    return case


def agree(found, expected, limit: float = LIMIT) -> None:
    expected = expected.detach()
    assert (found.detach().double() - expected).abs().max() <= limit * expected.abs().max()


def features(trainer, views: int) -> torch.Tensor:
    """Features (V, N, E), of any length, float64."""
    rows = trainer.training_rows(range(views))
    return torch.stack([trainer.method.features(view) for view in rows]).detach().double()


def unit(method, images: torch.Tensor) -> torch.Tensor:
    """Features (n, E) of length one, float64."""
    return F.normalize(method.features(images).detach().double(), dim=-1)


def right(logits: list[torch.Tensor], case: Case) -> list[float]:
    """Return the accuracy on the validation images by each of several classifiers."""
    return [(x.argmax(1) == case["val/labels"]).double().mean().item() for x in logits]


def predicted(trainer, case: Case) -> torch.Tensor:
    with trainer.fixed_classes():
        return trainer.model_inference(case["test/images"]).double()


@pytest.mark.parametrize("epochs", [3, 7])
@pytest.mark.parametrize("views", [1, 2])
@pytest.mark.parametrize("name", shipped("ZSLP", "CLAP"))
def test_probes(name, views, epochs, tmp_path):
    """The last batch of an epoch of 18 images is a smaller one."""
    optimizer = described(name)["optimizer"] | {"max_epoch": epochs, "lr": 0.03, "warmup_epoch": 2}
    case = varied(name, {"optimizer": optimizer | {"steps_per_epoch": 3}}, augmentation_repetitions=views, batch=7)
    orders = torch.stack([torch.randperm(views * len(UNEVEN)) for _ in range(epochs)])
    case.arrays["train/order"] = orders
    trainer = build(case, tmp_path)
    trainer.train()
    method = trainer.method
    batches = [batch for order in orders for batch in order.split(7)[:3]]
    z, t, rates = features(trainer, views).flatten(0, 1), method.t.double(), [step["lr"] for step in trainer.steps]
    held = case.about["method"] == "CLAP"
    prototypes, alpha = plain.probe(z, UNEVEN.repeat(views), t, method.clip.logit_scale, batches, rates, held)
    assert len(rates) == 3 * epochs
    agree(method.prototypes, prototypes)
    if held:
        agree(method.alpha, alpha)
    f = unit(method, case["test/images"])
    agree(predicted(trainer, case), method.clip.logit_scale * f @ F.normalize(prototypes, dim=-1).T)


@pytest.mark.parametrize(("epochs", "every", "validation"), [(25, 10, False), (9, 4, True), (30, 1, True)])
@pytest.mark.parametrize("name", shipped("LPpp"))
def test_lp_pp(name, epochs, every, validation, tmp_path):
    case = varied(name, train_epoch=epochs)
    case.arrays["val/labels"] = case["val/labels"].roll(1)
    trainer = build(case, tmp_path, **{"TRAINER.LPPP.ALPHA_EVERY": every})
    if not validation:
        trainer.val_loader = None
    method, shift = trainer.method, trainer.method.classifier.bias.detach().double()
    trainer.train()
    f, w = F.normalize(features(trainer, 1)[0], dim=-1), method.t.double()
    states = plain.lp_pp(f, UNEVEN, w, shift, epochs, every)
    kept = epochs - 1
    if validation:
        val = unit(method, case["val/images"])
        logits = [val @ s[:, :-2].T + s[:, -2] + s[:, -1] * (val @ w.T) for s in states]
        kept = epochs - 1 - plain.first_best(right(logits, case)[::-1])  # the last of equals
    assert trainer.best["epoch"] == kept
    found = [method.classifier.weight, method.classifier.bias[:, None], method.alpha_vec.t()]
    agree(torch.cat(found, dim=1), states[kept])


@pytest.mark.parametrize("name", shipped("GDACLIP"))
def test_gda_clip(name, tmp_path):
    """Trained classes of the few-shot rule, new classes of the base-to-novel rule.

    The plain mean of covariances, which is the base-to-novel rule of trained classes, is barely regular: its inverse
    says nothing about the last digits (see the golden case).
    """
    case = varied(name)
    views = case.about["config"]["augment_epoch"]
    case.arrays["val/labels"] = case["val/labels"].flip(0)
    trainer = build(case, tmp_path)
    trainer.train()
    method, unseen = trainer.method, case.about["config"]["mode"] == "base2new"
    f, labels = F.normalize(features(trainer, views).flatten(0, 1), dim=-1), UNEVEN.repeat(views)
    if unseen:
        trainer = build(case, tmp_path, "unseen", "novel_classnames")
        trainer.load_model(tmp_path)
        w = trainer.method.t.double()
        weight, bias = plain.gaussians_around_texts(f, w)
    else:
        w = method.t.double()
        weight, bias = plain.gaussians(f, labels)
        agree(method.trained.weight, weight, 1e-3)
        agree(method.trained.bias, bias, 1e-3)
        val, grid = unit(method, case["val/images"]), [10.0**k for k in range(-4, 3)]
        logits = [100 * val @ w.T + alpha * (val @ weight + bias) for alpha in grid]
        assert method.alpha.item() == pytest.approx(grid[plain.first_best(right(logits, case))])
    test = unit(method, case["test/images"])
    agree(predicted(trainer, case), 100 * test @ w.T + method.alpha * (test @ weight + bias), 1e-3)


@pytest.mark.parametrize("held", [0.0, 3.0, "1/N"])
@pytest.mark.parametrize("name", cases({"ProLIP"}))
def test_prolip(name, held, tmp_path):
    case, epochs = Case(name), 9
    case.about = copy.deepcopy(case.about)
    case.about["config"] |= {"lambda": held, "train_epoch": epochs}
    trainer = build(case, tmp_path)
    trainer.train()
    method, views = trainer.method, trainer.training_rows(range(len(case["cache/images"]))).double()
    weight = case.about["config"]["shots"] ** -1 if held == "1/N" else held
    visual, rates = method.clip.visual, [step["lr"] for step in trainer.steps]
    transformer = method.published_name("projection") == "vit_proj"
    start = visual.projection.detach().double()
    start, shift = (start, 0.0) if transformer else (start.T, visual.attnpool.c_proj.bias.detach().double())
    expected = plain.projector(views, case["cache/labels"], method.t.double(), start, shift, weight, rates)
    found = method.projection if transformer else method.projection.T
    agree(found.detach().double() - start, expected - start, 2e-3)


@pytest.mark.parametrize("name", shipped("TipAdapter"))
def test_tip_adapter(name, tmp_path):
    """The cache of uneven classes, and the search over a coarse grid."""
    case = varied(name, search_scale=[5, 20], search_step=[4, 3], augment_epoch=1)
    trainer = build_tip_adapter(case, "TipAdapter", tmp_path)
    trainer.train()
    method = trainer.method
    keys = F.normalize(features(trainer, 1).mean(0), dim=-1)
    val, test = (unit(method, case[f"{part}/images"]) for part in ("val", "test"))
    w = method.w_0.double()
    grid = [(0.1 + i * 4.9 / 4, 0.1 + j * 19.9 / 3) for i in range(4) for j in range(3)]
    logits = [plain.cache_logits(val, w, keys, UNEVEN, *pair) for pair in grid]
    best = grid[plain.first_best(right(logits, case))]
    assert method.beta_alpha.tolist() == pytest.approx(best)
    agree(predicted(trainer, case), plain.cache_logits(test, w, keys, UNEVEN, *best))


@pytest.mark.parametrize("trainer", ["LPpp", "GDACLIP", "ProLIP", "TipAdapter"])
def test_on_imagenet_seven_templates_speak(workshop, trainer):
    """Published code of training-free methods takes Tip-Adapter's seven there, without ImageNet's own."""
    method = workshop.build(trainer, "ViT-B-16", ["cat", "big_dog"], dataset="ImageNet").method
    found = method.w_0 if trainer == "TipAdapter" else method.t
    clip = method.clip.model.double()
    expected = []
    for name in ("cat", "big dog"):
        w = F.normalize(clip.encode_text(tokenize([text.format(name) for text in ensemble("seven")])), dim=-1)
        expected.append(F.normalize(w.mean(0), dim=-1))
    agree(found, torch.stack(expected), 1e-5)


def test_on_imagenet_task_res_has_eight_templates_and_keeps_lengths(workshop):
    method = workshop.build("TaskRes", "ViT-B-16", ["cat", "big_dog"], dataset="ImageNet").method
    clip, templates = method.clip.model.double(), [*ensemble("seven"), "a photo of a {}."]
    w = [clip.encode_text(tokenize([text.format(name) for text in templates])).mean(0) for name in ("cat", "big_dog")]
    agree(method.t, torch.stack(w), 1e-5)
