"""Repeat the tests of MMRL and MMRL++ with the other of their two prediction rules.

    python -m tools.prediction_rules output/demo     add the results to docs/demonstration.csv
    python -m tools.results_page                     write the tables of docs/results.md

Both methods score base classes by class token and representation tokens together (fused); new classes, and the targets
of domain generalization, by the class token alone. The commands keep to that; this tool tests the other rule as well,
on the same models and images.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

PARSER = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
PARSER.add_argument("output", type=Path, help="folder of the demonstration's runs")

if __name__ == "__main__":  # --help and a wrong option are answered before PyTorch is loaded
    PARSER.parse_args()

import torch
import torchvision.transforms as T

from inference.labelled_images import Labelled, dataset_of, labelled
from inference.predictor import Predictor
from reports.records import RecordedRun, find_runs
from runs.command_line import fail
from safeio.errors import UserError, WrongChoice
from tools.results_page import DATA, OTHER_RULE, Rows, read, row_of, write

METHODS, PROTOCOLS = ("MMRL", "MMRLpp"), ("base2new", "domain_generalization")
BATCH = 100
"""Images at once, as the runs tested them."""


def model_of(run: RecordedRun, output: Path) -> tuple[Predictor, Labelled]:
    """Return the model that a run tested, for the run's classes, and its test images."""
    model = Predictor.load(run.record.get("model_dir") or output / run.folder, device="cpu")
    dataset = dataset_of(model.run, run.record["config"]["DATASET"]["NAME"])
    images = labelled(dataset)
    if dataset.test_change is not None:
        model.transform = T.Compose([dataset.test_change, model.transform])
    if run.part == "new":
        model.classes = tuple(dict.fromkeys(name for _, name in images if name not in model.classes))
    return model, [(file, name) for file, name in images if name in model.classes]


def accuracy(model: Predictor, images: Labelled, fused: bool) -> float:
    """Return the accuracy in % by a rule: fused, or by the class token alone."""
    model.own_seen = torch.full_like(model.own_seen, fused)
    files, labels = zip(*images, strict=True)
    return model.evaluate(files, labels, batch_size=BATCH).accuracy


def by_other_rule(run: RecordedRun, output: Path) -> float:
    """Return the accuracy in % by the rule that is not the run's own.

    Raises:
        WrongChoice: the run's own rule does not repeat the recorded accuracy.
    """
    model, images = model_of(run, output)
    fused = run.record["test_classes"] == "seen"
    own = accuracy(model, images, fused)
    if run.accuracy is None or abs(own - run.accuracy) > 0.1:
        raise WrongChoice(
            f"{output / run.folder} has {run.accuracy} % in its record, now {own} %: were the data or versions others?"
        )
    return accuracy(model, images, not fused)


def measured(output: Path) -> Rows:
    """Return a row for each complete run of both methods, with the accuracy by the other rule."""
    rows: Rows = {}
    for run in find_runs(output):
        if run.complete and run.protocol in PROTOCOLS and run.line.method in METHODS and not run.line.swept:
            found = by_other_rule(run, output)
            rows |= row_of(run, OTHER_RULE, found)
            print(f"{run.folder}: {run.accuracy:.2f} % by its own rule, {found:.2f} % by the other", flush=True)
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Test, and add the rows to the data."""
    output = PARSER.parse_args(arguments).output
    try:
        rows = measured(output)
    except UserError as error:
        return fail(error)
    if not rows:
        return fail(f"No complete test of MMRL or MMRL++ in {' or '.join(PROTOCOLS)} is below {output}.")
    write(read(DATA) | rows, DATA)
    return 0


if __name__ == "__main__":
    sys.exit(main())
