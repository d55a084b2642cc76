"""The published implementations' numbers, through the real trainers; GOLDEN_DIR names another folder of cases."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import clip
import train
import trainers  # noqa: F401  (registers the methods)
from clip.prefix_text import PrefixTextEncoder
from clip.prompt_batch import PromptBatch
from dassl.engine import TRAINER_REGISTRY
from trainers._method import unit
from trainers._settings import resolve

GOLDEN = Path(os.environ.get("GOLDEN_DIR") or Path(__file__).parent / "golden")
FEATURES, LOGITS, LOSS, GRADIENT = 2e-5, 2e-4, 5e-5, 1e-4
PARAMETERS = {"sgd": 5e-6, "adam": 3e-5, "adamw": 3e-5}
AMPLIFIED = {"MMRL_h2": 2e-4, "MMRLpp_h2": 2e-4}  # full-rate AdamW steps where gradients nearly vanish


def cases(methods=None) -> list[str]:
    """Names of the cases in the folder whose method is registered (or is one of `methods`)."""
    found = []
    for file in sorted(GOLDEN.glob("*.json")):
        method = json.loads(file.read_text(encoding="utf-8")).get("method")
        known = method in methods if methods else method in TRAINER_REGISTRY.registered_names()
        if known:
            found.append(file.stem)
    return found


class Case:
    """One case: its description, arrays, and CLIP weights."""

    def __init__(self, name: str):
        self.name = name
        self.about = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
        self.weights = GOLDEN / self.about["clip"] if "clip" in self.about else None
        with np.load(GOLDEN / f"{name}.npz", allow_pickle=False) as arrays:
            self.arrays = {key: torch.from_numpy(arrays[key]) for key in arrays.files}

    def __getitem__(self, key: str) -> torch.Tensor:
        return self.arrays[key]

    def group(self, prefix: str) -> dict[str, torch.Tensor]:
        """Arrays below `prefix/`, under their names there."""
        return {key.removeprefix(f"{prefix}/"): v for key, v in self.arrays.items() if key.startswith(f"{prefix}/")}

    def arguments(self, trainer: str) -> list[str]:
        """What train.py would be called with."""
        real = TRAINER_REGISTRY.get(trainer)
        side = self.arrays["test/images"].shape[-1]
        opts = {
            f"TRAINER.{real.settings_node}.{key}": value for key, value in self.settings(real.defaults).items()
        }
        opts |= {
            "MODEL.BACKBONE.NAME": str(self.weights),
            "INPUT.SIZE": (side, side),
            "DATASET.NAME": self.about["dataset"],
            "USE_CUDA": False,
        }
        if "optimizer" in self.about:
            opts |= optimiser_options(self.about["optimizer"])
        return ["--trainer", trainer, *(str(word) for pair in opts.items() for word in pair)]

    def settings(self, known: dict) -> dict:
        """The case's configuration in our words: published code names the node of its settings as it likes."""
        values = {}
        for key, value in self.about.get("config", {}).items():
            values.setdefault(key.split(".")[-1], value)  # the method's own node stands before copied ones
        if isinstance(values.get("CTX_INIT"), bool):
            values["CTX_INIT"] = "a photo of a" if values["CTX_INIT"] else ""
        if "inject_before_block" in self.about:
            values["CLASS_TOKENS_LAYER"] = self.about["inject_before_block"] + 1
        return {key: value for key, value in values.items() if key in known}

    def build(self, trainer: str, classnames: list[str], role: str = "trained"):
        """The real trainer on this case's CLIP, with arrays where its data loaders would be."""
        cfg = resolve(train.parse([*self.arguments(trainer), "TEST.ROLE", role])).cfg
        real = TRAINER_REGISTRY.get(trainer)

        class WithArrays(real):
            def build_data_loader(self):
                self.dm = SimpleNamespace(dataset=SimpleNamespace(classnames=classnames))
                self.train_loader_x = self.train_loader_u = self.val_loader = self.test_loader = []
                self.num_classes, self.lab2cname = len(classnames), dict(enumerate(classnames))

        WithArrays.__name__ = trainer
        return WithArrays(cfg)


def optimiser_options(optimiser: dict) -> dict:
    """The case's optimiser under the engine's keys."""
    names = {
        "name": "NAME",
        "lr": "LR",
        "weight_decay": "WEIGHT_DECAY",
        "lr_scheduler": "LR_SCHEDULER",
        "max_epoch": "MAX_EPOCH",
        "warmup_epoch": "WARMUP_EPOCH",
        "warmup_type": "WARMUP_TYPE",
        "warmup_cons_lr": "WARMUP_CONS_LR",
        "warmup_min_lr": "WARMUP_MIN_LR",
        "warmup_recount": "WARMUP_RECOUNT",
        "momentum": "MOMENTUM",
    }
    return {f"OPTIM.{names[key]}": value for key, value in optimiser.items() if key in names}


def close(actual, expected, limit: float, what: str) -> None:
    """Assert a largest absolute difference, naming it."""
    actual, expected = torch.as_tensor(actual).double(), torch.as_tensor(expected).double()
    assert actual.shape == expected.shape, f"{what}: {tuple(actual.shape)} instead of {tuple(expected.shape)}"
    worst = (actual - expected).abs().max().item()
    assert worst <= limit, f"{what}: off by {worst:.2e}, limit {limit:.0e}"


def parameters(trainer) -> dict[str, torch.nn.Parameter]:
    """What the method learns, under the published names."""
    return {trainer.method.published_name(name): p for name, p in trainer.method.named_parameters()}


@torch.no_grad()
def load_initial(trainer, case: Case) -> None:
    """Put the case's start values into the trainer, and insist that they are all there is to learn."""
    own = parameters(trainer)
    initial = case.group("init")
    assert own.keys() == initial.keys() == case.about["trainable"].keys()
    for name, value in initial.items():
        assert own[name].shape == value.shape, name
        own[name].copy_(value)


def trained_cases() -> list[str]:
    """Cases of registered methods that learn something."""
    return [name for name in cases() if json.loads((GOLDEN / f"{name}.json").read_text())["trainable"]]


@pytest.fixture(params=trained_cases(), scope="module")
def case(request) -> Case:
    return Case(request.param)


def trained(case: Case):
    """The trainer after the case's six steps, checking each; one per case, shared by the tests below."""
    trainer = case.build(case.about["method"], case.about["classnames"])
    load_initial(trainer, case)
    per_epoch = case.about["optimizer"]["steps_per_epoch"]
    for step, (images, labels) in enumerate(zip(case["train/images"], case["train/labels"], strict=True)):
        trainer.batch_idx, trainer.num_batches = step % per_epoch, per_epoch
        trainer.set_model_mode("train")
        close(trainer.get_current_lr(), case["step/lr"][step], 1e-9, f"learning rate of step {step}")
        shown = trainer.forward_backward({"img": images, "label": labels})
        for name, value in case.group("step").items():
            if name in shown:
                close(shown[name], value[step], 1e-3 if name == "acc" else LOSS, f"{name} of step {step}")
        assert "loss" in shown
    return trainer


@pytest.fixture(scope="module")
def finished(case: Case):
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
    seen = outputs(trainer, images)
    for name, value in case.group("train0").items():
        if name.endswith("_raw") and name not in seen:
            name, value = name.removesuffix("_raw"), unit(value)
        if name in seen and seen[name].shape == value.shape:
            limit = LOGITS if "logits" in name else FEATURES if "raw" not in name else 10 * FEATURES
            close(seen[name], value, limit, name)
    for name in ("zs/text_features_clip", "zs/text_features"):
        if name in case.arrays:
            close(trainer.method.w_0, case[name], FEATURES, "frozen text features")
    losses = trainer.losses(images, labels)
    for name, term in losses.terms.items():
        if f"step/{name}" in case.arrays:
            close(term.value.detach(), case[f"step/{name}"][0], LOSS, name)
    trainer.method.backward(losses)
    gradients = case.group("grad")
    assert gradients.keys() == parameters(trainer).keys()
    for name, parameter in parameters(trainer).items():
        largest = gradients[name].abs().max().item()
        close(parameter.grad, gradients[name], max(GRADIENT * largest, 1e-8), f"gradient of {name}")


def test_training(case: Case, finished):
    limit = AMPLIFIED.get(case.name, PARAMETERS[case.about["optimizer"]["name"]])
    for name, parameter in parameters(finished).items():
        close(parameter.detach(), case[f"after/{name}"], limit, f"{name} after training")
        assert (case[f"after/{name}"] - case[f"init/{name}"]).abs().max() > 10 * limit, f"{name} hardly moves"


def test_evaluation(case: Case, finished):
    with finished.fixed_classes():
        compare_predictions(finished, case, "eval")


def test_evaluation_on_other_classes(case: Case, finished, tmp_path):
    """A new trainer for other class names loads what the first one saved."""
    if not case.group("eval_novel"):
        pytest.skip("the method has no prediction for other classes")
    finished.save_model(0, str(tmp_path))
    other = case.build(case.about["method"], case.about["novel_classnames"], role="transferred")
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


@torch.no_grad()
def outputs(trainer, images: torch.Tensor) -> dict[str, torch.Tensor]:
    """What cases store of a forward pass, as far as the method computes it, under the stored names."""
    method = trainer.method
    if hasattr(method, "space"):
        return mmrl_outputs(method, images)
    w, trained = method.class_features(), torch.tensor(True)
    found = {"logits": method.logits(images, w, trained)}
    if isinstance(w, torch.Tensor):
        found["text_features"] = w
    if hasattr(method, "image_features"):
        found["image_features"] = method.image_features(images)
    return found


def mmrl_outputs(method, images: torch.Tensor) -> dict[str, torch.Tensor]:
    """Both features, both logits, and the projected tokens."""
    found: dict[str, torch.Tensor] = {}
    shared = method.lower(images)
    f_c, f_r = method.image_features(shared)
    w = method.class_features()
    rows = method.clip.visual.upper(shared, method.deep_tokens(method.image_maps, method.image_layers))
    found["image_features_raw"] = rows[:, 0] @ method.clip.visual.proj
    found["image_features_rep_raw"] = rows[:, 1:].mean(1) @ method.rep_projection()
    text_tokens = method.deep_tokens(method.text_maps, method.text_layers)
    found["text_features_raw"] = method.clip.text.upper(method.text_start, text_tokens)
    found |= {"image_features": f_c, "text_features": w}
    found["image_features_clip"] = unit(method.clip.visual(images))
    found |= {"logits": 100 * f_c @ w.t(), "logits_rep": 100 * f_r @ w.t()}
    alpha = method.settings.ALPHA
    found["logits_fusion"] = alpha * found["logits"] + (1 - alpha) * found["logits_rep"]
    for kind, maps in (("visual", method.image_maps), ("text", method.text_maps)):
        source = method.deep_tokens(maps, method.image_layers)
        for i, layer in enumerate(method.image_layers):
            found[f"rep_tokens_{kind}/{i}"] = source.tokens(layer, None)
    return found


def compare_predictions(trainer, case: Case, group: str) -> None:
    """Features, logits and the published prediction of both rules, through the trainer's own inference."""
    images, expected = case["test/images"], case.group(group)
    trainer.set_model_mode("eval")
    seen = outputs(trainer, images)
    assert "logits" in seen
    for name, value in expected.items():
        if name in seen:
            close(seen[name], value, LOGITS if "logits" in name else FEATURES, f"{group}/{name}")
    rule = "pred_base" if trainer.cfg.TEST.ROLE == "trained" else "pred_new"
    target = expected.get(rule, expected.get("logits"))
    assert target is not None, f"{group} has no prediction to compare with"
    close(trainer.model_inference(images), target, LOGITS, f"{group} prediction")


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
        close(model.encode_image(images), case["image_features"], FEATURES, "image features")
        close(model.encode_text(tokens), case["text_features"], FEATURES, "text features")
        close(PrefixTextEncoder(model).encode(PromptBatch(tokens)), case["text_features"], FEATURES, "fast text")
        for key, value in activations.items():
            close(value[:2], case[key], 5e-5, key)
        logits, transposed = model(images, tokens)
        close(logits, case["logits_per_image"], LOGITS, "logits")
        close(transposed, case["logits_per_text"], LOGITS, "logits of texts")
        if "vision/block0" in case.arrays:
            x = model.visual.embed(images[:2])
            for layer in range(1, model.visual.transformer.layers + 1):
                x = model.visual.transformer.run(x, layer, layer)
                close(x, case[f"vision/block{layer - 1}"], 5e-5, f"image block {layer}")
    assert clip.tokenize(case.about["texts"], truncate=True).tolist() == tokens.tolist()


@pytest.mark.parametrize("name", cases({"ZeroshotCLIP"}))
@pytest.mark.parametrize(("trainer", "kind"), [("ZeroshotCLIP", "single"), ("ZeroshotCLIP2", "ensemble")])
def test_zero_shot(name: str, trainer: str, kind: str):
    case = Case(name)
    built = case.build(trainer, case.about["classnames"])
    with built.fixed_classes():
        close(built.class_features, case[f"zs/{kind}/text_features"], FEATURES, "text features")
        close(built.model_inference(case["test/images"]), case[f"eval/{kind}/logits"], LOGITS, "logits")
