"""Predictions as text, CSV and JSON."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from clip.pretrained import embedded
from inference.predictor import Predictions, Predictor
from inference.run_folder import TrainedRun
from inference.zero_shot import METHOD
from safeio.atomic import atomic_write_text
from safeio.escape import for_csv, for_line
from trainers.base.frozen_clip import unknown_note

COLUMNS = ("image", "rank", "class", "probability", "rule")


def rows(predictions: Predictions) -> list[tuple[str, int, str, float, str]]:
    """One row per image and class, as COLUMNS says."""
    return [
        (str(one.path), rank, name, probability, rule)
        for one in predictions
        for rank, (name, probability, rule) in enumerate(
            zip(one.classes, one.probabilities, one.rules, strict=True), start=1
        )
    ]


def notes(predictor: Predictor) -> list[str]:
    """Return the note below predictions: how many classes of which kind, and which rule scored them."""
    run, backbone = predictor.run, predictor.run.cfg.MODEL.BACKBONE.NAME
    seen = sum(predictor.seen)
    groups = [(seen, "trained on"), (len(predictor.seen) - seen, "new to it")]
    settings = [
        f"{count} {kind} ({rule})" for (count, kind), rule in zip(groups, predictor.method.rules, strict=True) if count
    ]
    if not predictor.method.state_dict():
        settings = [f"zero-shot with {backbone}"]
    found = [f"{run.record['method']}, {len(predictor.classes)} classes: {', '.join(settings)}"]
    if run.record["method"] == METHOD and backbone in embedded():
        found.append(f"{backbone} is small and knows few names; --backbone ViT-B/16 knows far more.")
    if unknown := predictor.clip.unknown_names(predictor.classes):
        found.append(unknown_note(backbone, unknown, len(predictor.classes)))
    found += doubts(run)
    if predictor.reduced:
        found.append("The run was trained in float16, which needs a GPU: computed in float32.")
    return found


def doubts(run: TrainedRun) -> list[str]:
    """Return a note for each reason to doubt what a run learned: it is not complete, or noticed something itself."""
    found = [f"The run noticed: {notice}" for notice in run.notices]
    if not run.complete:
        found.append(f"The run is not complete ({run.record.get('status')}): this is what it had learned so far.")
    return found


def as_text(predictions: Predictions) -> str:
    """Return predictions as text for the terminal: each image, and below it its classes."""
    lines = []
    for image, rank, name, probability, rule in rows(predictions):
        if rank == 1:
            lines.append(for_line(image))
        lines.append(f"  {100 * probability:5.1f} %  {for_line(name)}  ({rule})")
    return "\n".join(lines)


def write_csv(predictions: Predictions, path: str | Path) -> None:
    """A table with a head line, in UTF-8; unreadable images are not in it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(
        (for_csv(image), rank, for_csv(name), probability, rule)
        for image, rank, name, probability, rule in rows(predictions)
    )
    atomic_write_text(path, text.getvalue())


def as_data(predictions: Predictions, predictor: Predictor) -> dict[str, Any]:
    """Return the text that `--json` prints."""
    return {
        "run": str(predictor.run.folder),
        "method": predictor.run.record["method"],
        "notices": list(predictor.run.notices),
        "classes": [
            {"class": name, "trained_on": seen, "rule": rule}
            for name, seen, rule in zip(predictor.classes, predictor.seen, predictor.rules, strict=True)
        ],
        "predictions": [
            {
                "image": str(one.path),
                "top": [
                    {"class": name, "probability": probability, "rule": rule}
                    for name, probability, rule in zip(one.classes, one.probabilities, one.rules, strict=True)
                ],
            }
            for one in predictions
        ],
        "unreadable": [{"image": str(path), "why": why} for path, why in predictions.unreadable],
    }
