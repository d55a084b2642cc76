"""Test the trained runs of MMRL and MMRL++ with both prediction rules, on base and on new classes.

    python -m tools.prediction_rules output/demo     add the results to docs/demonstration.csv
    python -m tools.results_page                     write the tables of docs/results.md

Both methods score base classes by class token and representation tokens together (fused), new classes by the class
token alone. The commands keep to that; this tool tests the other rule as well, on the same models and images.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

PARSER = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
PARSER.add_argument("output", type=Path, help="folder of the demonstration's runs")

if __name__ == "__main__":  # --help and a wrong option are answered before PyTorch is loaded
    PARSER.parse_args()

from inference.labelled_images import Labelled, test_images
from inference.predictor import Predictor
from reports.records import find_runs
from runs.command_line import fail
from safeio.errors import UserError, WrongChoice
from tools.results_page import DATA, OTHER_RULE, Rows, read, row, write

METHODS = ("MMRL", "MMRLpp")
BATCH = 100
"""Images at once, as the runs tested them."""


def accuracy(model: Predictor, images: Labelled) -> float:
    """Return the accuracy in % on the images of the model's classes."""
    files, labels = zip(*((file, name) for file, name in images if name in model.classes), strict=True)
    return model.evaluate(files, labels, batch_size=BATCH).accuracy


def with_other_rule(folder: Path, recorded: float | None) -> Iterator[tuple[str, float]]:
    """Yield base and new, each with the accuracy in % of the rule that is not the method's own there.

    Args:
        folder: of a training on base classes.
        recorded: accuracy in % of its own test.

    Raises:
        WrongChoice: the method's own rule does not repeat the recorded accuracy on the base classes.
    """
    model = Predictor.load(folder, device="cpu")
    images = test_images(model.run)
    base = model.classes
    new = tuple(dict.fromkeys(name for _, name in images if name not in base))
    own = accuracy(model, images)
    if recorded is None or abs(own - recorded) > 0.1:
        raise WrongChoice(f"{folder} has {recorded} % in its record, now {own} %: were the data or versions others?")
    for part, classes in (("base", base), ("new", new)):
        model.classes = classes
        model.own_seen = ~model.own_seen
        yield part, accuracy(model, images)


def measured(output: Path) -> Rows:
    """Return a row for each method, seed and half of the classes."""
    rows: Rows = {}
    for run in find_runs(output):
        if (run.protocol, run.part) == ("base2new", "base") and run.line.method in METHODS and not run.line.swept:
            for part, found in with_other_rule(output / run.folder, run.accuracy):
                rows |= row(run, part, OTHER_RULE, found)
                print(f"{run.line.method} seed {run.seed}, {part} classes by the other rule: {found:.2f} %", flush=True)
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Test, and add the rows to the data."""
    output = PARSER.parse_args(arguments).output
    try:
        rows = measured(output)
    except UserError as error:
        return fail(error)
    if not rows:
        return fail(f"No complete base-to-novel training of MMRL or MMRL++ is below {output}.")
    write(read(DATA) | rows, DATA)
    return 0


if __name__ == "__main__":
    sys.exit(main())
