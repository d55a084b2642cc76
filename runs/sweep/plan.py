"""Plan of a sweep's runs: each once, those that train before those that test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

from runs.presets import file_under, load_preset, settings_under
from runs.protocol import (
    PlanError,
    PlannedRun,
    choose,
    find_dataset,
    load_protocol,
    methods,
    plan,
    protocols_of,
    stages_of,
)
from runs.sweep.grid import Grid, concerns, folder_of, variants

ALL = "all"
DECIDED = {
    "SEED": "use --seeds",
    "DATASET.NUM_SHOTS": "use --shots",
    "DATASET.NAME": "use --datasets",
    "DATASET.ROOT": "use --root",
    "TRAINER.NAME": "use --methods",
    "PRESET": "use --preset",
    "OUTPUT_DIR": "use --output",
    **dict.fromkeys(("TASK", "PROTOCOL", "STAGE", "SWEPT", "DATASET.SUBSAMPLE_CLASSES"), "the protocol sets it"),
}
"""Settings that have an option of their own on the command line, and what to use instead."""


@dataclass(frozen=True)
class Request:
    """Request for runs. Empty sequences stand for the protocol's own values.

    Attributes:
        methods: registry names, or `all`: those with settings for the protocol.
        datasets: names of configs/datasets, or `all`: the protocol's.
        grid: key -> values to try, on top of an ablation's own; every combination is run.
        own_name: what own images (dataset `folder`) are called.
        cfg: every method's config file, instead of the presets' and the protocol's.
    """

    protocol: str
    methods: Sequence[str] = ()
    datasets: Sequence[str] = ()
    seeds: Sequence[int] = ()
    shots: Sequence[int] = ()
    presets: Sequence[str] = ("paper",)
    grid: Grid = field(default_factory=dict)
    own_name: str = ""
    cfg: str | None = None


def expand(request: Request) -> list[PlannedRun]:
    """The runs of a sweep, in an order in which each comes after the one whose checkpoint it tests.

    Raises:
        PlanError: something of a name does not exist, which lists what does, or a key concerns no method.
    """
    data = load_protocol(request.protocol)
    grid = {**data.get("set", {}), **request.grid}
    for key in grid:
        if key in DECIDED:
            raise PlanError(f"--set cannot vary {key}: {DECIDED[key]}.")
    chosen, wanted = _methods(request, data), _datasets(request, data)
    idle = [key for key in grid if not any(concerns(key, trainer) for trainer in chosen)]
    for key in idle:
        if key in request.grid:
            raise PlanError(f"--set {key}: none of the chosen methods ({', '.join(chosen)}) has this setting.")
    if grid and len(idle) == len(grid):
        raise PlanError(
            f"{request.protocol} varies {', '.join(idle)}; none of the chosen methods ({', '.join(chosen)}) has it."
        )
    found: dict[str, PlannedRun] = {}
    for preset in request.presets:
        for trainer in chosen:
            for run in _runs_of(request, data, preset, trainer, wanted):
                for values in variants(grid, trainer):
                    placed = place(run, preset, values)
                    found.setdefault(placed.folder, placed)
    return sorted(found.values(), key=lambda run: run.model_folder is not None)


def _methods(request: Request, data: Mapping[str, Any]) -> list[str]:
    known = [name for name in methods() if data["name"] in protocols_of(name)]
    named = list(request.methods or data.get("methods", ()))
    if not named:
        raise PlanError(f"Name the methods (--methods), or {ALL}. This protocol has {', '.join(known)}.")
    return known if named == [ALL] else [choose("method", name, known) for name in dict.fromkeys(named)]


def _datasets(request: Request, data: Mapping[str, Any]) -> list[str]:
    """Names to test on; a source stands for its targets where the protocol says so."""
    named = list(request.datasets or [ALL])
    named = list(data["datasets"]) if named == [ALL] else [find_dataset(name) for name in named]
    targets = data.get("targets", {})
    return list(dict.fromkeys(target for name in named for target in targets.get(name, [name])))


def _runs_of(
    request: Request, data: Mapping[str, Any], preset: str, trainer: str, wanted: Sequence[str]
) -> Iterator[PlannedRun]:
    """One method's runs, before a preset and swept values give them their place."""
    own = settings_under(preset, data["name"], trainer)
    for stage in stages_of(request.protocol, trainer):
        for dataset in _of_stage(data, stage, wanted):
            for shots in request.shots or own.get("shots", data["shots"]):
                cfg = request.cfg or file_under(preset, data["name"], trainer, _source(data, dataset), shots)
                yield from plan(
                    request.protocol, stage, trainer, dataset, request.seeds, [shots], cfg, request.own_name
                )


def _source(data: Mapping[str, Any], dataset: str) -> str:
    """The dataset whose model is tested on `dataset`: itself, unless the protocol has sources."""
    sources = data.get("source")
    return sources.get(dataset, sources["default"]) if sources else dataset


def _of_stage(data: Mapping[str, Any], stage: str, wanted: Sequence[str]) -> list[str]:
    """The datasets of one stage: where a protocol has sources, it trains on these only and tests on the others."""
    if "source" not in data:
        return list(wanted)
    if "evaluates" not in data["stages"][stage]:
        return list(dict.fromkeys(_source(data, name) for name in wanted))
    return [name for name in wanted if _source(data, name) != name]


def place(run: PlannedRun, preset: str, values: Mapping[str, Any]) -> PlannedRun:
    """The run with a preset's and swept values, in folders of their own; those of the scripts for `paper`."""
    above = PurePosixPath(load_preset(preset)["folder"], *(["set", folder_of(values)] if values else []))
    labels: dict[str, Any] = {"PRESET": preset, **({"SWEPT": list(values)} if values else {})}
    return replace(
        run,
        folder=str(above / run.folder),
        model_folder=run.model_folder and str(above / run.model_folder),
        options={**run.options, **values, **labels},
    )


def part_of(runs: Sequence[PlannedRun], index: int, parts: int) -> list[PlannedRun]:
    """The `index`-th (from 1) of so many parts; a run is in the part of the one whose checkpoint it tests."""
    roots = list(dict.fromkeys(run.model_folder or run.folder for run in runs))
    mine = set(roots[index - 1 :: parts])
    return [run for run in runs if (run.model_folder or run.folder) in mine]
