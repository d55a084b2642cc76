"""The published implementations' numbers, through the real trainers; GOLDEN_DIR names another folder of cases."""

from __future__ import annotations

import os

import pytest
import torch
import torch.nn.functional as F

import clip
from clip.prefix_text import PrefixTextEncoder
from clip.prompt_batch import PromptBatch
from golden_cases import (
    AMPLIFIED,
    FEATURES,
    GRADIENT,
    LOGITS,
    LOSS,
    PARAMETERS,
    Case,
    cases,
    close,
    described,
    draw_text,
    load_initial,
    parameters,
    trained,
)
from golden_outputs import compare_outputs, compare_predictions
from golden_tip_adapter import build as build_tip_adapter
from trainers.base.method import l2_normalize
from trainers.base.templates import dataset_template, ensemble


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """The golden numbers are of sums in one order; GOLDEN_THREADS shows what another number of threads changes."""
    before = torch.get_num_threads()
    torch.set_num_threads(int(os.environ.get("GOLDEN_THREADS", "1")))
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=[name for name in cases() if described(name)["trainable"]], scope="module")
def case(request) -> Case:
    """A case of a method that learns something by steps."""
    return Case(request.param)


@pytest.fixture(scope="module")
def finished(case: Case):
    """The trainer after the case's steps; one per case."""
    return trained(case)


def test_class_prompts_are_the_published_ones(case: Case):
    if "prompt/tokens" not in case.arrays:
        pytest.skip("the case has no prompts")
    trainer = case.build(case.about["method"], case.about["classnames"])
    ids = trainer.method.prompts.ids  # the class name may have been moved
    assert torch.equal(ids.sort(dim=1).values, case["prompt/tokens"].sort(dim=1).values)


def test_first_batch(case: Case):
    """Features, logits, loss terms and gradients at the start values."""
    trainer = case.build(case.about["method"], case.about["classnames"])
    load_initial(trainer, case)
    images, labels = case["train/images"][0], case["train/labels"][0]
    compare_outputs(trainer, case, images, case.group("train0", without={"logits_lp"}), "train0")
    if "train0/logits_lp" in case.arrays:
        method, z, t = trainer.method, trainer.method.image_output(images), trainer.method.class_output()
        linear = method.head(torch.cat([method.film_text(t[labels]), method.film_image(z)]))
        close(
            linear.detach(),
            case["train0/logits_lp"],
            case.limit(LOGITS, "train0/logits_lp"),
            "logits of the linear head",
        )
    for name, value in case.group("zs").items():
        own, value = (trainer.method.t, value) if name.startswith("base") else (trainer.method.w_0, l2_normalize(value))
        close(own, value, case.limit(FEATURES, f"zs/{name}"), f"{case.name} zs/{name}")
    if "train/images2" in case.arrays:
        images = torch.stack([images, case["train/images2"][0]], dim=1)
        draw_text(trainer, case, 0)
        close(
            trainer.method.text_teachers(),
            case["llm/text_features"],
            case.limit(FEATURES, "llm/text_features"),
            "features of the texts",
        )
    losses = trainer.losses(images, labels)
    for name, term in losses.terms.items():
        if f"step/{name}" in case.arrays:
            close(term.value.detach(), case[f"step/{name}"][0], case.limit(LOSS, f"step/{name}"), f"{case.name} {name}")
    trainer.method.backward(losses)
    compare_gradients({name: p.grad for name, p in parameters(trainer).items()}, case, "grad")


def compare_gradients(found: dict[str, torch.Tensor | None], case: Case, group: str) -> None:
    """Each to a fraction of its largest element; none at all is zero."""
    expected = case.group(group)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        actual = torch.zeros_like(value) if found[name] is None else found[name]
        limit = case.limit(GRADIENT, f"{group}/{name}", relative=True)
        close(actual, value, max(limit * value.abs().max().item(), 1e-8), f"{case.name} {group} of {name}")


def test_training(case: Case, finished):
    limit = AMPLIFIED.get(case.name, PARAMETERS[case.about["optimizer"]["name"]])
    moved = {name: (case[f"after/{name}"] - case[f"init/{name}"]).abs().max() for name in parameters(finished)}
    assert max(moved.values()) > 10 * limit, "nothing moves by more than what is let pass"
    for name, parameter in parameters(finished).items():
        own = case.limit(limit, f"after/{name}")
        close(parameter.detach(), case[f"after/{name}"], own, f"{case.name} {name} after training")


def test_evaluation(case: Case, finished):
    with finished.fixed_classes():
        compare_predictions(finished, case, "eval")


def test_evaluation_on_other_classes(case: Case, finished, tmp_path):
    """A new trainer for other class names loads what the first one saved."""
    if not case.group("eval_novel"):
        pytest.skip("the method has no prediction for other classes")
    finished.save_model(0, str(tmp_path))
    other = case.build(case.about["method"], case.about["novel_classnames"], test_classes="unseen")
    other.load_model(str(tmp_path))
    with other.fixed_classes():
        compare_predictions(other, case, "eval_novel")


def test_published_checkpoints_load(case: Case, finished, tmp_path):
    """A file in the published layout: the whole model under published names, a scheduler object pickled inside."""
    folder = tmp_path / finished.checkpoint_folder
    folder.mkdir()
    frozen = {f"image_encoder.{k}": v for k, v in finished.method.clip.model.visual.state_dict().items()}
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(finished.optim, 10)
    content = {"state_dict": frozen | case.group("after"), "epoch": 10, "scheduler": scheduler, "val_result": None}
    torch.save(content, folder / "model.pth.tar-10")
    (folder / "checkpoint").write_text("model.pth.tar-10\n")
    fresh = case.build(case.about["method"], case.about["classnames"])
    fresh.load_model(str(tmp_path), epoch=10)
    for name, parameter in parameters(fresh).items():
        assert torch.equal(parameter.detach(), case[f"after/{name}"]), name


@pytest.mark.parametrize("name", cases({"ProGrad"}))
def test_both_gradients_of_prograd(name: str):
    case = Case(name)
    trainer = case.build("ProGrad", case.about["classnames"])
    load_initial(trainer, case)
    losses = trainer.losses(case["train/images"][0], case["train/labels"][0])
    own, found = list(parameters(trainer).items()), []
    for group, term in (("grad_xe", "xe_loss"), ("grad_kl", "kl_loss")):
        gradients = torch.autograd.grad(losses.terms[term].value, [p for _, p in own], retain_graph=True)
        compare_gradients(dict(zip((name for name, _ in own), gradients, strict=True)), case, group)
        found.append(gradients[0].flatten())
    close(F.cosine_similarity(*found, dim=0), case["step/dot"][0], 1e-4, "cosine of both gradients")


@pytest.mark.parametrize("name", cases({"MMRL", "MMRLpp", "ZeroshotCLIP", "CLIPAdapter"}))
def test_templates_of_the_datasets(name: str):
    """Methods with CoOp's table; KgCoOp, ProGrad and TCP have their own."""
    about = described(name)
    assert dataset_template(about["dataset"]) == about["template"]
    if "ensemble_templates" in about:
        assert [*ensemble("seven"), about["template"]] == about["ensemble_templates"]


@pytest.mark.parametrize("name", cases({"PromptSRC"}))
def test_templates_of_promptsrc(name: str):
    assert ensemble("sixty") == described(name)["templates"]


@pytest.mark.parametrize("name", cases({"CLIP-vit", "CLIP-rn"}))
def test_clip(name: str):
    case = Case(name)
    model = clip.from_state_dict(clip.state_dict_from(case.weights))
    images, tokens = case["images"], case["tokens"]
    activations: dict[str, torch.Tensor] = {}

    def keep(key):
        return lambda module, inputs, output: activations.__setitem__(key, output.detach())

    for i, block in enumerate(model.transformer.resblocks):
        block.register_forward_hook(keep(f"text/block{i}"))
    stages = [key.removeprefix("vision/") for key in case.arrays if key.startswith("vision/") and "block" not in key]
    for stage in stages:
        getattr(model.visual, stage).register_forward_hook(keep(f"vision/{stage}"))
    with torch.no_grad():
        close(
            model.encode_image(images), case["image_features"], case.limit(FEATURES, "image_features"), "image features"
        )
        close(model.encode_text(tokens), case["text_features"], case.limit(FEATURES, "text_features"), "text features")
        close(
            PrefixTextEncoder(model).encode(PromptBatch(tokens)),
            case["text_features"],
            case.limit(FEATURES, "text_features"),
            "fast text",
        )
        for key, value in activations.items():
            close(value[:2], case[key], case.limit(5e-5, key), key)
        logits, transposed = model(images, tokens)
        close(logits, case["logits_per_image"], case.limit(LOGITS, "logits_per_image"), "logits")
        close(transposed, case["logits_per_text"], case.limit(LOGITS, "logits_per_text"), "logits of texts")
        if "vision/block0" in case.arrays:
            x = model.visual.embed(images[:2])
            for layer in range(1, model.visual.transformer.layers + 1):
                x = model.visual.transformer.run(x, layer, layer)
                close(x, case[f"vision/block{layer - 1}"], case.limit(5e-5, "vision"), f"image block {layer}")
    assert clip.tokenize(case.about["texts"], truncate=True).tolist() == tokens.tolist()


@pytest.mark.parametrize("name", cases({"ZeroshotCLIP"}))
@pytest.mark.parametrize(("trainer", "kind"), [("ZeroshotCLIP", "single"), ("ZeroshotCLIP2", "ensemble")])
def test_zero_shot(name: str, trainer: str, kind: str):
    case = Case(name)
    built = case.build(trainer, case.about["classnames"])
    with built.fixed_classes():
        close(
            built.class_features, case[f"zs/{kind}/text_features"], case.limit(FEATURES, f"zs/{kind}"), "text features"
        )
        close(
            built.model_inference(case["test/images"]),
            case[f"eval/{kind}/logits"],
            case.limit(LOGITS, f"eval/{kind}"),
            "logits",
        )


@pytest.fixture(params=cases({"TipAdapter"}), scope="module")
def cache_case(request) -> Case:
    return Case(request.param)


def test_tip_adapter(cache_case: Case, tmp_path):
    """Cache, features, logits before and after the search, and what the search chooses."""
    case = cache_case
    trainer = build_tip_adapter(case, "TipAdapter", tmp_path)
    method = trainer.method
    trainer.fill_cache()
    close(method.w_0.t(), case["clip_weights"], case.limit(FEATURES, "clip_weights"), "text features")
    close(method.keys.t(), case["cache/keys"], case.limit(FEATURES, "cache/keys"), "keys")
    assert torch.equal(F.one_hot(method.labels, len(method.w_0)).float(), case["cache/values"])
    for part in ("val", "test"):
        limit = case.limit(FEATURES, f"{part}/features")
        close(method.unit_features(case[f"{part}/images"]), case[f"{part}/features"], limit, f"features ({part})")
        zero_shot = method.logits(case[f"{part}/images"], method.w_0, torch.tensor(False))
        close(
            zero_shot,
            case[f"tip/{part}_clip_logits"],
            case.limit(LOGITS, f"tip/{part}_clip_logits"),
            f"zero-shot logits ({part})",
        )
    close(
        trainer.model_inference(case["val/images"]),
        case["tip/val_logits_init"],
        case.limit(LOGITS, "tip/val_logits_init"),
        "before the search",
    )
    trainer.search()
    close(method.beta_alpha, case["tip/best_beta_alpha"], 1e-9, "beta and alpha")
    close(
        trainer.model_inference(case["test/images"]),
        case["tip/test_logits_best"],
        case.limit(LOGITS, "tip/test_logits_best"),
        "after the search",
    )


def test_the_first_batch_of_tip_adapter_f(cache_case: Case, tmp_path):
    case = cache_case
    trainer = build_tip_adapter(case, "TipAdapterF", tmp_path)
    trainer.fill_cache()
    close(
        trainer.method.keys.detach(),
        case["tipF/init_weight"],
        case.limit(FEATURES, "tipF/init_weight"),
        "keys before training",
    )
    losses = trainer.losses(case["train/images"][0], case["train/labels"][0])
    close(
        losses.logits.detach(),
        case["tipF/train0_logits"],
        case.limit(LOGITS, "tipF/train0_logits"),
        "logits of batch 0",
    )
    trainer.method.backward(losses)
    expected = case["tipF/grad"]
    close(
        trainer.method.keys.grad,
        expected,
        case.limit(GRADIENT, "tipF/grad", relative=True) * expected.abs().max().item(),
        "gradient",
    )
    assert {id(p) for g in trainer.optim.param_groups for p in g["params"]} == {id(trainer.method.keys)}


def test_tip_adapter_f(cache_case: Case, tmp_path):
    """Training, and the epoch, beta and alpha that the published protocol chooses."""
    case = cache_case
    trainer = build_tip_adapter(case, "TipAdapterF", tmp_path)
    trainer.train()
    rates, losses = zip(*trainer.steps, strict=True)
    close(torch.tensor(rates), case["step/lr"], 1e-9, "learning rates")
    close(torch.tensor(losses), case["step/loss"], case.limit(LOSS, "step/loss"), "losses")
    logits, keys = zip(*trainer.epochs, strict=True)
    close(
        torch.stack(logits),
        case["tipF/test_logits_each_epoch"],
        case.limit(LOGITS, "tipF/test_logits_each_epoch"),
        "logits after each epoch",
    )
    close(
        keys[-1],
        case["tipF/after_weight"],
        case.limit(PARAMETERS["adamw"], "tipF/after_weight", relative=True),
        "keys after training",
    )
    assert trainer.best["epoch"] == int(case["tipF/best_epoch"])
    assert trainer.best["result"] == pytest.approx(max(case.about["test_accuracy_per_epoch"]), abs=1e-4)
    close(trainer.method.beta_alpha, case["tipF/best_beta_alpha"], 1e-9, "beta and alpha")
    close(
        trainer.model_inference(case["test/images"]),
        case["tipF/test_logits_best"],
        case.limit(LOGITS, "tipF/test_logits_best"),
        "best logits",
    )
