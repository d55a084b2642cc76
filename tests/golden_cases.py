"""Golden cases (tests/golden/README.md) and the real trainers on them; GOLDEN_DIR names another folder of cases."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Collection
from functools import cache, cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

import train
import trainers  # noqa: F401  (registers the methods)
from clip.tokenizer import default_tokenizer
from dassl.engine import TRAINER_REGISTRY
from trainers.base.run_settings import settings_of_run

GOLDEN = Path(os.environ.get("GOLDEN_DIR") or Path(__file__).parent / "golden")
FEATURES, LOGITS, LOSS, GRADIENT = 2e-5, 2e-4, 5e-5, 1e-4
"""Limits of cases whose noise was not observed; of the others `Case.limit` follows from it."""
PARAMETERS = {"sgd": 5e-6, "adam": 3e-5, "adamw": 3e-5}
AMPLIFIED = {"MMRL_h2": 2e-4, "MMRLpp_h2": 2e-4, "CLIPLoRA_a": 5e-5}
"""Limits of cases with AdamW steps where gradients nearly vanish. In CLIPLoRA_a one is 4e-9, half of Adam's eps: the
published run in float32 is 8e-6 from the same steps in float64."""
ROOM = 12
"""Allowed multiple of the difference between two equivalent official runs: other processors sum in other orders."""
FRACTIONS: dict[str, float] = {}
"""Largest fraction of its limit that each comparison of this session used."""
OPTIMISER = {  # the case's name: the engine's, where they differ
    "momentum": "MOMENTUM",
    "dampening": "SGD_DAMPNING",
    "nesterov": "SGD_NESTEROV",
    "eps": "ADAM_EPS",
    **{
        key: key.upper()
        for key in (
            *("name", "lr", "weight_decay", "lr_scheduler", "stepsize", "gamma", "max_epoch", "warmup_epoch"),
            *("warmup_type", "warmup_cons_lr", "warmup_min_lr", "warmup_recount"),
        )
    },
}


def described(name: str) -> dict[str, Any]:
    """Return the description of a case."""
    return json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))


def cases(methods: Collection[str] = ()) -> list[str]:
    """Names of the cases in the folder whose method is registered (or is one of `methods`)."""
    wanted = methods or TRAINER_REGISTRY.registered_names()
    return [file.stem for file in sorted(GOLDEN.glob("*.json")) if described(file.stem).get("method") in wanted]


def weights_file(name: str) -> Path:
    """CLIP weights in the folder of the cases or, for cases that came without, in the project's own."""
    here = GOLDEN / name
    return here if here.is_file() else Path(__file__).parent / "golden" / name


class Case:
    """One case: its description, arrays, and CLIP weights."""

    def __init__(self, name: str):
        self.name, self.about = name, described(name)
        self.weights = weights_file(self.about["clip"]) if "clip" in self.about else None
        with np.load(GOLDEN / f"{name}.npz", allow_pickle=False) as arrays:
            self.arrays = {key: torch.from_numpy(arrays[key]) for key in arrays.files}

    def __getitem__(self, key: str) -> torch.Tensor:
        return self.arrays[key]

    def group(self, prefix: str, without: Collection[str] = ()) -> dict[str, torch.Tensor]:
        """Arrays below `prefix/`, under their names there."""
        found = {key.removeprefix(f"{prefix}/"): v for key, v in self.arrays.items() if key.startswith(f"{prefix}/")}
        return {name: value for name, value in found.items() if name not in without}

    def limit(self, usual: float, array: str, relative: bool = False) -> float:
        """Return how far an array of this case may be off: ROOM times its noise, but at least a fraction of `usual`.

        The fraction is a tenth where the official run was also made in float64; else 1: the noise says too little.

        Args:
            usual: the limit where the case's noise was not observed.
            relative: whether the difference is compared with the array's largest element.
        """
        groups = [array.rsplit("/", n)[0] for n in range(array.count("/") + 1)]
        measured = observed().get(self.name, {})
        if group := next((group for group in groups if group in measured), ""):
            key = "max_rel_to_array_max" if relative else "max_abs"
            return max(ROOM * max(found[key] for found in measured[group].values()), usual / 10)
        runs = [run for run in self.about.get("observed_noise", {}).values() if isinstance(run, dict)]
        noise = [run[group] for run in runs for group in groups if group in run]
        return max(ROOM * max(noise), usual) if noise else usual

    def arguments(self, trainer: str) -> list[str]:
        """Return the arguments of train.py."""
        real = TRAINER_REGISTRY.get(trainer)
        opts = {f"TRAINER.{real.settings_node}.{key}": value for key, value in self.settings(real.defaults).items()} | {
            "MODEL.BACKBONE.NAME": str(self.weights),
            "INPUT.SIZE": tuple(self.arrays["test/images"].shape[-2:]),
            "DATASET.NAME": self.about["dataset"],
            "DATASET.TEMPLATE": self.hand_written,
            "USE_CUDA": False,
        }
        if "SHOTS" in self.about.get("config", {}):
            opts["DATASET.NUM_SHOTS"] = self.about["config"]["SHOTS"]
        if "optimizer" in self.about:
            opts |= optimiser_options(self.about["optimizer"])
        return ["--trainer", trainer, *(str(word) for pair in opts.items() for word in pair)]

    @property
    def hand_written(self) -> str:
        """The template of the zero-shot prompts; empty: the dataset's."""
        return self.about.get("template_zero_shot", self.about.get("template", ""))

    def settings(self, known: Collection[str]) -> dict[str, Any]:
        """The case's configuration in our words: published code names the node of its settings as it likes."""
        values: dict[str, Any] = {}
        for key, value in self.about.get("config", {}).items():
            values.setdefault(key.split(".")[-1], value)  # the method's own node stands before copied ones
        if isinstance(values.get("CTX_INIT"), bool):
            values["CTX_INIT"] = self.first_words if values["CTX_INIT"] else ""
        if values.get("ENHANCED_BASE") in self.arrays:
            values["ENHANCED_BASE"] = self.file_of(values["ENHANCED_BASE"])
        if "inject_before_block" in self.about:
            values["CLASS_TOKENS_LAYER"] = self.about["inject_before_block"] + 1
        if "template_zero_shot" in self.about:
            values["TEMPLATE"] = self.about["template"]
        values |= {key.upper(): value for key, value in values.items() if key.endswith("_adapter_m")}
        if "llm_texts" in self.about:
            values["TEXTS"] = str(Path(tempfile.mkdtemp()) / "texts.json")
            Path(values["TEXTS"]).write_text(json.dumps(self.about["llm_texts"]), encoding="utf-8")
        values.setdefault("PREC", "fp32")
        if self.about["method"] == "TwoStage":
            values.setdefault("DROPOUT", 0.0)  # its cases were run without (`adaptations`)
        return {key: value for key, value in values.items() if key in known}

    def file_of(self, array: str) -> str:
        """A file with an array as its `weight`."""
        path = Path(tempfile.mkdtemp()) / "weight.pth"
        torch.save({"weight": self.arrays[array]}, path)
        return str(path)

    @cached_property
    def first_words(self) -> str:
        """The words before the class name: where CTX_INIT is a switch, the published code has them built in."""
        ids = self.arrays["prompt/tokens"][0]
        prompt = default_tokenizer().decode(ids[1 : int(ids.argmax())])
        name = self.about["classnames"][0].replace("_", " ").lower()
        words = [word for word in prompt.rpartition(name)[0].split() if word != "x"]  # placeholders are no words
        own = self.hand_written.partition("{}")[0].strip()  # as written, with commas behind words
        return own if own.replace(",", " ,").split() == words else " ".join(words)

    def build(self, trainer: str, classnames: list[str], test_classes: str = "seen"):
        """The real trainer on this case's CLIP, with arrays where its data loaders would be."""
        cfg = settings_of_run(train.parse([*self.arguments(trainer), "TEST.CLASSES", test_classes])).cfg
        real = TRAINER_REGISTRY.get(trainer)

        class WithArrays(real):
            def build_data_loader(self):
                self.dm = SimpleNamespace(dataset=SimpleNamespace(classnames=classnames))
                self.train_loader_x = self.train_loader_u = self.val_loader = self.test_loader = []
                self.num_classes, self.lab2cname = len(classnames), dict(enumerate(classnames))

        WithArrays.__name__ = trainer
        return WithArrays(cfg)


def optimiser_options(optimiser: dict[str, Any]) -> dict[str, Any]:
    """The case's optimiser under the engine's keys."""
    known = {key: value for key, value in optimiser.items() if key in OPTIMISER}
    fixed = {key: value for key, value in known.items() if not str(value).startswith("stat/")}  # not measured ones
    options = {f"OPTIM.{OPTIMISER[key]}": value for key, value in fixed.items()}
    if "betas" in optimiser:
        options |= dict(zip(("OPTIM.ADAM_BETA1", "OPTIM.ADAM_BETA2"), optimiser["betas"], strict=True))
    return options


@cache
def observed() -> dict[str, Any]:
    """Return the noise that was observed of the cases in the folder, by case and group of arrays."""
    file = GOLDEN / "tolerances.json"
    return json.loads(file.read_text(encoding="utf-8"))["cases"] if file.is_file() else {}


def close(actual, expected, limit: float, what: str) -> None:
    """Assert a largest absolute difference, naming it; keep the fraction of the limit that it uses."""
    actual, expected = torch.as_tensor(actual).double(), torch.as_tensor(expected).double()
    assert actual.shape == expected.shape, f"{what}: {tuple(actual.shape)} instead of {tuple(expected.shape)}"
    worst = (actual - expected).abs().max().item()
    if limit > 0:
        FRACTIONS[what] = max(FRACTIONS.get(what, 0.0), worst / limit)
    assert worst <= limit, f"{what}: off by {worst:.2e}, limit {limit:.0e}"


def parameters(trainer) -> dict[str, torch.nn.Parameter]:
    """Return the learned parameters under the published names."""
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


def trained(case: Case):
    """The trainer after the case's six steps, checking each."""
    trainer = case.build(case.about["method"], case.about["classnames"])
    load_initial(trainer, case)
    take_steps(trainer, case)
    return trainer


def draw_text(trainer, case: Case, step: int) -> None:
    """Let CoPrompt draw the text that the case drew in a step."""
    trainer.method.drawn = lambda count: case["train/text_index"][step : step + 1]


def take_steps(trainer, case: Case, first: int = 0, last: int | None = None) -> None:
    """The case's steps from `first` to before `last` (all by default): rates, losses and loss terms are the case's."""
    trainer.set_model_mode("train")
    per_epoch = case.about["optimizer"]["steps_per_epoch"]
    for step in range(len(case["train/images"]))[first:last]:
        trainer.batch_idx, trainer.num_batches = step % per_epoch, per_epoch
        close(trainer.get_current_lr(), case["step/lr"][step], 1e-9, f"learning rate of step {step}")
        if "rate/new_layers" in case.arrays:
            rate = trainer.optim.param_groups[1]["lr"]
            close(rate, case["rate/new_layers"][step], 1e-9, f"rate of the new layers in step {step}")
        batch = {"img": case["train/images"][step], "label": case["train/labels"][step]}
        if "train/images2" in case.arrays:
            batch["img"] = [batch["img"], case["train/images2"][step]]
            draw_text(trainer, case, step)
        shown = trainer.forward_backward(batch)
        assert "loss" in shown
        for name in case.group("step").keys() - {"lr", "dot"}:  # dot: of ProGrad's gradients, not shown
            limit = 1e-3 if name == "acc" else case.limit(LOSS, f"step/{name}")
            close(shown[name], case[f"step/{name}"][step], limit, f"{case.name} {name} of step {step}")
