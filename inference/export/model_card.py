"""The learned parameters alone, with a card that says what they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.torch import save

from inference.export.programs import ExportError
from inference.output import doubts
from inference.predictor import Predictor
from safeio.atomic import atomic_write, atomic_write_text
from safeio.escape import for_code, for_markdown

LICENCE_NOTE = (
    "These parameters were learned from the images of the dataset named above, on top of the frozen weights of the "
    "backbone named above, which are not in this file. The licences of both still hold for what is done with them; "
    "whoever passes this file on has to look them up and name them here."
)


def write_learned(predictor: Predictor, path: Path) -> str:
    """The parameters as safetensors, and beside them the card (`<name>.md`).

    Returns:
        A sentence that says where the card is.

    Raises:
        ExportError: the method learns nothing.
    """
    header = {key: value if isinstance(value, str) else json.dumps(value) for key, value in facts(predictor).items()}
    write_parameters(predictor, path, header)
    atomic_write_text(path.with_suffix(".md"), card(predictor, path.name))
    return f"Its card is {path.with_suffix('.md')}"


def write_parameters(predictor: Predictor, path: Path, header: dict[str, str]) -> None:
    """Write what was learned as safetensors; its folder is made.

    Raises:
        ExportError: the method learns nothing.
    """
    state = predictor.run.state_dict
    if not state:
        raise ExportError(f"{predictor.run.record['method']} learns nothing: there are no parameters to export")
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        file.write(save({name: value.contiguous() for name, value in state.items()}, metadata=header))


def facts(predictor: Predictor) -> dict[str, Any]:
    """Return the facts on the card, in order."""
    run, cfg = predictor.run, predictor.run.cfg
    return {
        "method": run.record["method"],
        "backbone": cfg.MODEL.BACKBONE.NAME,
        "dataset": cfg.DATASET.NAME,
        "shots": run.record.get("shots", cfg.DATASET.NUM_SHOTS),
        "seed": run.record.get("seed", cfg.SEED),
        "template": predictor.method.task.template,
        "settings": dict(predictor.method.settings),
        "metrics": run.record.get("metrics", {}),
        "notices": doubts(run),
        "classes": list(run.classes),
    }


def card(predictor: Predictor, file: str) -> str:
    """The card as Markdown."""
    about, run = facts(predictor), predictor.run
    count = sum(value.numel() for value in run.state_dict.values())
    metrics = [f"| {for_markdown(name)} | {value:.2f} |" for name, value in about["metrics"].items()]
    method, dataset = for_markdown(about["method"]), for_markdown(about["dataset"])
    notices = [f"- {for_markdown(notice)}" for notice in about["notices"]]
    part = for_markdown(run.record.get("subsample_classes", "all"))
    lines = [
        f"# {method} on {dataset}",
        "",
        f"{for_code(file)}: {count:,} learned numbers in {len(run.state_dict)} tensors, read with `safetensors`.",
        "",
        f"- Method: {method} with {_listed(about['settings'])}",
        f"- Backbone: {for_markdown(about['backbone'])}, frozen, not included",
        f"- Data: {dataset}, {about['shots']} shots, classes: {part}, seed {about['seed']}",
        f"- Class prompts: {for_code(about['template'])}",
        "",
        "## Metrics",
        "",
        "Of the run itself, on its own test images, in %:" if metrics else "The run has none on record.",
        "",
        *(["| metric | value |", "|---|---|", *metrics, ""] if metrics else []),
        *(["## Notices", "", *notices, ""] if notices else []),
        f"## Classes ({len(run.classes)})",
        "",
        ", ".join(map(for_markdown, run.classes)),
        "",
        "## Licence",
        "",
        LICENCE_NOTE,
    ]
    return "\n".join(lines) + "\n"


def _listed(settings: dict[str, Any]) -> str:
    return ", ".join(for_markdown(f"{key} {value}") for key, value in settings.items()) or "no settings of its own"
