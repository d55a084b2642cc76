"""Evaluation protocols, read from configs/protocols/: datasets, shots, seeds, and what is tested on what."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from runs import names as display_names
from safeio.errors import UserError
from safeio.names import find_name, nearest_name

CONFIGS = Path(__file__).parent.parent / "configs"
OWN_DATA = "folder"
"""Dataset config of own images, whose folders are named by the images' own name."""


NO_CONFIGS = {"protocols", "per_dataset", "sources"}
"""Files of a method's folder that are no config of a run."""


class PlanError(UserError, ValueError):
    """A protocol, method or dataset that does not exist; the message lists what does."""


@dataclass(frozen=True)
class PlannedRun:
    """One call of train.py.

    Attributes:
        folder: its output folder, below the output root.
        model_folder: the run whose checkpoint it evaluates; None: it trains.
        options: KEY VALUE pairs of the protocol and of the method's published scripts.
    """

    trainer: str
    dataset: str
    seed: int
    cfg: str
    folder: str
    model_folder: str | None
    options: dict[str, Any]

    @property
    def swept(self) -> dict[str, Any]:
        """The values that a sweep varies."""
        return {key: self.options[key] for key in self.options.get("SWEPT", ())}

    def arguments(self, output: Path, root: str, extra: Sequence[str]) -> list[str]:
        """Arguments of train.py; `extra` comes last and wins."""
        base = CONFIGS.relative_to(CONFIGS.parent)
        arguments = [
            "--root", root,
            "--seed", str(self.seed),
            "--trainer", self.trainer,
            "--dataset-config-file", str(base / "datasets" / f"{self.dataset}.yaml"),
            "--config-file", str(base / "trainers" / self.trainer / f"{self.cfg}.yaml"),
            "--output-dir", str(output / self.folder),
        ]  # fmt: skip
        if self.model_folder is not None:
            arguments += ["--eval-only", "--model-dir", str(output / self.model_folder)]
        return [*arguments, *(str(part) for pair in self.options.items() for part in pair), *extra]


def choose(kind: str, name: str, among: Iterable[str]) -> str:
    """Return the known name that is spelled so, in any capitals, with any separators, or as papers write it.

    Raises:
        PlanError: it is not; the message lists them and names the nearest.
    """
    names = sorted(among)
    in_papers = {"method": display_names.find_method, "dataset": display_names.find_dataset}
    meant = in_papers[kind](name, names) if kind in in_papers else name
    if (found := find_name(name, names) or find_name(meant, names)) is not None:
        return found
    raise PlanError(f"There is no {kind} {name!r}.{_hint(kind, name, names)}")


def _hint(kind: str, name: str, names: Sequence[str]) -> str:
    """Return a hint for an unknown name: the nearest known name, else all known names."""
    others = {"method": ("dataset", datasets), "dataset": ("method", methods)}
    if kind in others and (found := find_name(name, others[kind][1]())):
        return f" {found} is a {others[kind][0]}; the method comes before the dataset."
    if near := nearest_name(name, names):
        return f" Did you mean {near}?"
    return f" It must be one of: {', '.join(names)}."


def _for_shots(given: str | dict[Any, str], shots: int) -> str:
    """A method's config for a number of shots: the same for all, or by number with a `default`.

    Raises:
        PlanError: there are no images of a class.
    """
    if shots == 0 or shots < -1:
        raise PlanError(f"{shots} images of each class: give --shots 1 or more (-1: all images).")
    return given.get(shots, given["default"]) if isinstance(given, dict) else given


@cache
def read(file: Path) -> dict[str, Any]:
    """Return a yaml file's content, read once; callers must not change it."""
    return yaml.safe_load(file.read_text(encoding="utf-8")) or {}


def protocols() -> list[str]:
    """Names of the protocols, the ablations among them."""
    return sorted(path.stem for path in (CONFIGS / "protocols").glob("*.yaml"))


def load_protocol(name: str) -> dict[str, Any]:
    """A protocol's data by file name, on top of the protocol that it `extends`.

    `name` in it is the protocol that methods have settings for, `recorded` of a stage the one its runs belong to:
    a stage that is taken over unchanged stays the other protocol's, so that its runs are shared.
    """
    name = choose("protocol", name, protocols())
    own = read(CONFIGS / "protocols" / f"{name}.yaml")
    below: dict[str, Any] = load_protocol(own["extends"]) if "extends" in own else {"name": name, "stages": {}}
    stages = dict(below["stages"])
    for stage, data in own.get("stages", {}).items():
        stages[stage] = {**stages.get(stage, {}), **data, "recorded": name}
    return {**below, **{key: value for key, value in own.items() if key != "extends"}, "stages": stages}


def methods() -> list[str]:
    """Methods that say how they run each protocol."""
    return sorted(path.parent.name for path in (CONFIGS / "trainers").glob("*/protocols.yaml"))


def protocols_of(trainer: str) -> dict[str, Any]:
    """Return a method's settings for each protocol: its config by dataset, options, stages."""
    trainer = choose("method", trainer, methods())
    return read(CONFIGS / "trainers" / trainer / "protocols.yaml")


def stages_of(protocol: str, trainer: str) -> list[str]:
    """The stages of a protocol that a method takes part in: all, unless its protocols.yaml names some."""
    return _settings(protocol, trainer).get("stages", list(load_protocol(protocol)["stages"]))


def _settings(protocol: str, trainer: str) -> dict[str, Any]:
    """Return a method's settings for one protocol; for one that extends another, that one's with its own on top."""
    of_method, name = protocols_of(trainer), choose("protocol", protocol, protocols())
    if (base := load_protocol(name)["name"]) not in of_method:
        raise PlanError(f"{trainer} has no settings for {base}; see configs/trainers/{trainer}/protocols.yaml.")
    return {**of_method[base], **of_method.get(name, {})}


def _options(step: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """Return a method's options for a stage.

    `test_options` are for runs that test a trained model: protocols that share a training must plan it alike.
    """
    return {**settings.get("options", {}), **(settings.get("test_options", {}) if step.get("evaluates") else {})}


def _no_part(protocol: str, stage: str, trainer: str) -> str:
    """Return the message for a stage that a method takes no part in."""
    return (
        f"{trainer} takes no part in stage {stage} of {protocol}: configs/trainers/{trainer}/protocols.yaml names "
        f"{' and '.join(stages_of(protocol, trainer))} alone and says why."
    )


def _tested(step: dict[str, Any], settings: dict[str, Any]) -> str | None:
    """Return the stage whose model is tested in a stage; None where the stage trains, for this method or for all."""
    return None if step["recorded"] in settings.get("learns_on_targets", ()) else step.get("evaluates")


def published_options(protocol: str, trainer: str) -> dict[str, Any]:
    """Return what a method's published scripts give by key in a protocol; nothing for a run outside of one."""
    return protocols_of(trainer).get(protocol, {}).get("options", {}) if trainer in methods() else {}


def datasets() -> list[str]:
    """Names of the dataset configs."""
    return sorted(path.stem for path in (CONFIGS / "datasets").glob("*.yaml"))


def find_dataset(name: str) -> str:
    """Return the config's name of a dataset, given by that or by its registry name (DescribableTextures).

    Raises:
        PlanError: there is none; the message names the nearest.
    """
    known = datasets()
    if find_name(name, known) is None:
        registered = {read(CONFIGS / "datasets" / f"{each}.yaml")["DATASET"]["NAME"]: each for each in known}
        if (found := find_name(name, registered)) is not None:
            return registered[found]
    return choose("dataset", name, known)


def embedded_config(dataset: str) -> str | None:
    """Return the config file that every method uses for a dataset inside the repository; None for other datasets."""
    embedded = read(CONFIGS / "embedded.yaml")
    return embedded["cfg"] if dataset in embedded["datasets"] else None


def backbones() -> dict[str, bool]:
    """Return the CLIPs that have a name; True: inside the package, False: OpenAI's, whose weights are fetched once."""
    folder = CONFIGS.parent / "clip"
    with open(folder / "models.csv", newline="", encoding="utf-8") as table:
        fetched = [row["name"] for row in csv.DictReader(table)]
    return {
        **{file.stem: True for file in sorted((folder / "embedded").glob("*.npz"))},
        **dict.fromkeys(fetched, False),
    }


def find_backbone(name: str) -> str:
    """Return the CLIP that is meant by a name in any spelling; paths and open_clip's names are returned as they are."""
    return name if Path(name).exists() else find_name(name, backbones()) or name


def config_for(backbone: str | None) -> str | None:
    """Return the config file that every method has for a CLIP inside the package; None for other CLIPs."""
    name = find_backbone(backbone or "")
    return name.partition("-")[0] if backbones().get(name) else None


def plan(
    protocol: str,
    stage: str,
    trainer: str,
    dataset: str,
    seeds: Sequence[int] = (),
    shots: Sequence[int] = (),
    cfg: str | None = None,
    own_name: str = "",
) -> list[PlannedRun]:
    """The runs of one stage of a protocol for one method and dataset.

    Args:
        protocol, stage: names in configs/protocols, for example base2new and train.
        trainer: registry name of the method; dataset: name of a file in configs/datasets.
        seeds, shots: the protocol's own where empty; shots those that the method is published with, where it says so.
        cfg: a file of the method's config folder instead of the one the protocol names.
        own_name: what own images (dataset `folder`) are called in the runs' folders and records.

    Raises:
        PlanError: something of that name does not exist, or there are no images of a class.
    """
    data = load_protocol(protocol)
    trainer, dataset = choose("method", trainer, methods()), find_dataset(dataset)
    stages = data["stages"]
    step = stages[choose(f"stage of {protocol}", stage, stages)]
    settings = _settings(protocol, trainer)
    files = {path.stem for path in (CONFIGS / "trainers" / trainer).glob("*.yaml")} - NO_CONFIGS
    if stage not in stages_of(protocol, trainer):
        raise PlanError(_no_part(protocol, stage, trainer))
    given = cfg or embedded_config(dataset) or settings["cfg"].get(dataset, settings["cfg"]["default"])
    shots = shots or (data if embedded_config(dataset) else {**data, **settings})["shots"]
    chosen = {k: choose(f"config of {trainer}", _for_shots(given, k), files) for k in shots}
    source = data.get("source", {}).get(dataset, data.get("source", {}).get("default", dataset))

    def folder(template: str, name: str, k: int, seed: int) -> str:
        name = own_name if name == OWN_DATA and own_name else name
        return template.format(dataset=name, shots=k, trainer=trainer, cfg=chosen[k], seed=seed)

    return [
        PlannedRun(
            trainer=trainer,
            dataset=dataset,
            seed=seed,
            cfg=chosen[k],
            folder=folder(step["folder"], dataset, k, seed),
            model_folder=(tested := _tested(step, settings)) and folder(stages[tested]["folder"], source, k, seed),
            options={
                "DATASET.NUM_SHOTS": k,
                "TASK": data["task"],
                "PROTOCOL": step["recorded"],
                "STAGE": stage,
                **step["options"],
                **_options(step, settings),
                **({"DATASET.OWN_NAME": own_name} if dataset == OWN_DATA and own_name else {}),
            },
        )
        for k in shots
        for seed in seeds or data["seeds"]
    ]
