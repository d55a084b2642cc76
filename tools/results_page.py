"""Write the tables of docs/results.md from the demonstration's runs.

    python -m tools.results_page output/demo     take the complete runs below a folder, then write the tables
    python -m tools.results_page [--check]       write the tables from docs/demonstration.csv alone

docs/demonstration.csv has a row for each complete run; a run replaces the row of an earlier one. Means are over seeds,
with half the width of the 95 % interval of Student's t. An arrow marks a method whose interval of the difference to
zero-shot CLIP, seed by seed, leaves out 0. Where all seeds differ by the same number there is no arrow.
"""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import isfinite
from pathlib import Path
from statistics import mean, stdev

from tools.pages import PROJECT, make_parser, update, with_blocks

PARSER = make_parser(__doc__)
PARSER.add_argument("output", type=Path, nargs="?", help="folder of the demonstration's runs to take results from")

if __name__ == "__main__":  # --help and a wrong option are answered before SciPy is loaded
    PARSER.parse_args()

from scipy.stats import t

from reports.records import TABLES, RecordedRun, find_runs, topic_of
from runs.command_line import fail
from runs.names import dataset_name, method_name
from safeio.errors import UserError

DOCS = PROJECT / "docs"
DATA, PAGE = DOCS / "demonstration.csv", DOCS / "results.md"
KEY = ("protocol", "method", "dataset", "shots", "seed", "part", "swept")
"""`swept` is the setting that an ablation changes and its value, `N_REP_TOKENS=3`; empty in a protocol's own runs."""
FIELDS = (*KEY, "accuracy", "parameters")
OTHER_RULE = "rule=other"
"""`swept` of a model tested with the prediction rule that is not its own for these classes (tools.prediction_rules)."""
ZERO_SHOT, BEST, AVERAGE = "ZeroshotCLIP", "MMRL", "average"

Rows = dict[tuple[str, ...], dict[str, str]]
"""Rows of the data by their key, all as text."""
Seeds = Mapping[str, float]
"""A number in % for each seed."""


def read(file: Path) -> Rows:
    """Return the rows of a file; none if there is no file."""
    if not file.is_file():
        return {}
    with open(file, encoding="utf-8", newline="") as lines:
        return {tuple(row[field] for field in KEY): row for row in csv.DictReader(lines)}


def taken(output: Path) -> Rows:
    """Return a row for each complete run of a protocol's table below a folder."""
    rows: Rows = {}
    for run in find_runs(output):
        if run.accuracy is None or run.protocol not in TABLES:
            continue
        swept = " ".join(f"{topic_of(setting)}={value}" for setting, value in run.line.swept)
        rows |= row_of(run, swept, run.accuracy)
    return rows


def row_of(run: RecordedRun, swept: str, accuracy: float) -> Rows:
    """Return the row of a run's test, by its key; the accuracy is in %."""
    key = (run.protocol, run.line.method, run.dataset, str(run.shots), str(run.seed), run.part, swept)
    numbers = (f"{accuracy:.2f}", str(int(run.number("trainable_params") or 0)))
    return {key: dict(zip(FIELDS, (*key, *numbers), strict=True))}


def write(rows: Rows, file: Path) -> None:
    """Write rows, sorted by their key."""
    with open(file, "w", encoding="utf-8", newline="") as lines:
        writer = csv.DictWriter(lines, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows[key] for key in sorted(rows))


def interval(numbers: Seeds) -> float:
    """Return half the width of the 95 % interval of the mean; infinite for one seed."""
    if len(numbers) < 2:
        return float("inf")
    return float(t.ppf(0.975, len(numbers) - 1)) * stdev(numbers.values()) / len(numbers) ** 0.5


def cell(numbers: Seeds, reference: Seeds | None = None) -> str:
    """Return mean and interval as text, with an arrow if the interval of the difference to `reference` leaves out 0."""
    if not numbers:
        return ""
    width = interval(numbers)
    shown = f"{mean(numbers.values()):.1f}" + (f" ± {width:.1f}" if isfinite(width) else "")
    return shown + arrow(differences(numbers, reference or {}))


def differences(numbers: Seeds, others: Seeds) -> dict[str, float]:
    """Return the differences for the seeds that both have."""
    return {seed: numbers[seed] - others[seed] for seed in numbers if seed in others}


def arrow(found: Seeds) -> str:
    """Return an arrow for differences whose 95 % interval leaves out 0; nothing if they are equal or of one seed."""
    if len(found) < 2 or not 0 < interval(found) < abs(mean(found.values())):
        return ""
    return " ↑" if mean(found.values()) > 0 else " ↓"


def averaged(columns: Sequence[Seeds]) -> dict[str, float]:
    """Return each seed's mean over the columns, for seeds that all columns have."""
    seeds = set.intersection(*(set(numbers) for numbers in columns))
    return {seed: mean(numbers[seed] for numbers in columns) for seed in sorted(seeds)}


def harmonic(base: Seeds, new: Seeds) -> dict[str, float]:
    """Return the harmonic mean of each seed's base and new accuracy."""
    return {seed: 2 * base[seed] * new[seed] / (base[seed] + new[seed]) for seed in base if seed in new}


def gathered(
    rows: Rows, protocol: str, column: Callable[[dict[str, str]], str]
) -> dict[str, dict[str, dict[str, float]]]:
    """Return method -> column -> seed -> accuracy of a protocol's own runs."""
    found: dict[str, dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows.values():
        if row["protocol"] == protocol and not row["swept"]:
            found[row["method"]][column(row)][row["seed"]] = float(row["accuracy"])
    return found


def table(
    found: Mapping[str, Mapping[str, Seeds]], heads: Mapping[str, str], extra: Mapping[str, Mapping[str, str]]
) -> Iterator[str]:
    """Give a Markdown table, sorted by the last column with the best method at the end; zero-shot CLIP comes first.

    Args:
        extra: head of a further column -> its texts by method.
    """
    last = [*heads][-1]

    def order(method: str) -> tuple[bool, float, str]:
        numbers = found[method].get(last, {})
        return method != ZERO_SHOT, mean(numbers.values()) if numbers else -1.0, method

    zero_shot = found.get(ZERO_SHOT, {})
    yield f"| method | {' | '.join((*heads.values(), *extra))} |"
    yield "|---|" + "---|" * (len(heads) + len(extra))
    for method in sorted(found, key=order):
        reference = {} if method == ZERO_SHOT else zero_shot
        cells = [cell(found[method].get(column, {}), reference.get(column) or reference.get("0")) for column in heads]
        cells += [texts.get(method, "") for texts in extra.values()]
        yield f"| {method_name(method)} | {' | '.join(cells)} |"


def base2new(rows: Rows) -> Iterator[str]:
    """Give base and new accuracy, H of each seed, its difference to the best method's, and the learned parameters."""
    found = gathered(rows, "base2new", lambda row: row["part"])
    both = {name: parts for name, parts in found.items() if parts.get("base") and parts.get("new")}
    for parts in both.values():
        parts["H"] = harmonic(parts["base"], parts["new"])
    base = (row for row in rows.values() if row["part"] == "base" and not row["swept"])
    learned = {row["method"]: f"{int(row['parameters']):,}" for row in base}
    best = both.get(BEST, {}).get("H", {})
    below = {name: cell(differences(best, parts["H"])) for name, parts in both.items() if name != BEST}
    further = {f"H of {method_name(BEST)} − H": below, "parameters": learned}
    yield from table(both, {"base": "base", "new": "new", "H": "H"}, further)


def base_alone(rows: Rows) -> Iterator[str]:
    """Give the base accuracy of methods that cannot predict new classes."""
    found = gathered(rows, "base2new", lambda row: row["part"])
    alone = {name: parts for name, parts in found.items() if name == ZERO_SHOT or not parts.get("new")}
    yield from table(alone, {"base": "base"}, {})


def few_shot(rows: Rows) -> Iterator[str]:
    """Give the accuracy by shots."""
    found = gathered(rows, "few_shot", lambda row: row["shots"])
    shots = sorted({column for columns in found.values() for column in columns}, key=int)
    heads = {column: f"{column} {'shot' if column == '1' else 'shots'}" for column in shots}
    yield from table(found, heads, {})


def targets(protocol: str) -> Callable[[Rows], Iterator[str]]:
    """Return the function that gives a protocol's table: accuracy on the source, on each target, and their average.

    Methods that were tested on no target are left out.
    """

    def give(rows: Rows) -> Iterator[str]:
        sources = gathered(rows, "cross_dataset", lambda row: row["dataset"] if row["part"] == "source" else "")
        found = gathered(rows, protocol, lambda row: row["dataset"] if row["part"] == "target" else "")
        names = sorted({name for columns in found.values() for name in columns if name})
        whole = {method: columns for method, columns in found.items() if columns.keys() & set(names)}
        for method, columns in whole.items():
            columns[AVERAGE] = averaged([columns.get(name, {}) for name in names])
            columns.update({name: numbers for name, numbers in sources[method].items() if name})
        source = sorted({name for method in whole for name in sources[method] if name})
        heads = {name: dataset_name(name) for name in (*source, *names)}
        yield from table(whole, heads | ({AVERAGE: "average of targets"} if len(names) > 1 else {}), {})

    return give


def ablation(topic: str, head: str) -> Callable[[Rows], Iterator[str]]:
    """Return the function that gives an ablation's table in base-to-novel: a row for each value of a setting.

    Args:
        topic: the setting's name, without that of its method.
        head: of the first column.
    """

    def give(rows: Rows) -> Iterator[str]:
        found: dict[str, dict[str, dict[str, dict[str, float]]]] = defaultdict(
            lambda: defaultdict(lambda: defaultdict(dict))
        )
        for row in rows.values():
            name, _, value = row["swept"].partition("=")
            if name == topic and row["protocol"] == "base2new":
                found[value.strip("[]")][row["method"]][row["part"]][row["seed"]] = float(row["accuracy"])
        methods = sorted({method for of_value in found.values() for method in of_value})
        columns = [(method, column) for method in methods for column in ("base", "new", "H")]
        yield f"| {head} | {' | '.join(f'{method_name(method)} {column}' for method, column in columns)} |"
        yield "|---|" + "---|" * len(columns)
        for value in sorted(found, key=lambda text: int(text.split("-")[0])):
            for parts in found[value].values():
                parts["H"] = harmonic(parts["base"], parts["new"])
            yield f"| {value} | {' | '.join(cell(found[value][method][column]) for method, column in columns)} |"

    return give


def prediction_rules(rows: Rows) -> Iterator[str]:
    """Give the accuracy of the same models by both prediction rules: fused, and by the class token alone.

    A method has a row for base classes, new classes, and the average of the targets of domain generalization.
    """
    found: dict[str, dict[tuple[str, str], dict[str, dict[str, float]]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(dict))
    )
    for row in rows.values():
        if row["protocol"] in ("base2new", "domain_generalization") and row["swept"] in ("", OTHER_RULE):
            found[row["method"]][row["part"], row["swept"]][row["dataset"]][row["seed"]] = float(row["accuracy"])
    names = {"base": "base classes", "new": "new classes", "target": "other images"}
    yield "| method | tested on | fused | class token | difference |"
    yield "|---|---|---|---|---|"
    for method in sorted(name for name, parts in found.items() if parts["base", OTHER_RULE]):
        for part, name in names.items():
            own, other = (found[method][part, swept] for swept in ("", OTHER_RULE))
            if own and other:
                rules = [averaged([*datasets.values()]) for datasets in (own, other)]
                fused, alone = rules if part == "base" else reversed(rules)
                apart = differences(fused, alone)
                cells = (name, cell(fused), cell(alone), cell(apart) + arrow(apart))
                yield f"| {method_name(method)} | {' | '.join(cells)} |"


BLOCKS: dict[str, Callable[[Rows], Iterator[str]]] = {
    "base-to-novel": base2new,
    "base classes alone": base_alone,
    "prediction rules": prediction_rules,
    "few-shot": few_shot,
    "cross-dataset": targets("cross_dataset"),
    "domain generalization": targets("domain_generalization"),
    "number of tokens": ablation("N_REP_TOKENS", "tokens"),
    "layers of tokens": ablation("REP_LAYERS", "layers"),
}


def filled(page: str, rows: Rows) -> str:
    """Return the page with its tables written from the rows; a table without markers in the page is left out."""
    return with_blocks(page, {name: lines(rows) for name, lines in BLOCKS.items() if f"<!-- {name} -->" in page})


def main(arguments: Sequence[str] | None = None) -> int:
    """Take runs if a folder is given, and write the page; with --check say whether it is up to date."""
    args = PARSER.parse_args(arguments)
    rows = read(DATA)
    try:
        rows |= taken(args.output) if args.output else {}
    except UserError as error:
        return fail(error)
    if args.output and not args.check:
        write(rows, DATA)
    return update({PAGE: filled(PAGE.read_text(encoding="utf-8"), rows)}, "tools.results_page", args.check)


if __name__ == "__main__":
    sys.exit(main())
