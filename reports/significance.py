"""Significance of differences between methods, paired over datasets and seeds.

A pair is one dataset and seed that both methods have. The p-value is of a sign-flip permutation test of the mean
difference (exact up to 13 pairs), corrected by Holm for the methods compared in one result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from reports.records import Line, RecordedRun
from reports.scores import Score
from reports.table_types import Cell, Table
from reports.tables import method_order, with_rows
from runs.table import harmonic_mean

Pairs = dict[tuple[str, int, int], float]
"""(dataset, shots, seed) -> accuracy in percent."""
LEVEL = 0.05
RESAMPLES = 9999
SAME = 1e-9
"""Points by which differences that are all the same may differ by rounding; they have no interval."""
CAPTION = (
    "Each method against the one with the highest mean over the pairs of dataset and seed that both have. difference: "
    "the best's mean minus this one's, in points; low and high: its 95 % confidence interval (Student's t over the "
    "pairs); p: permutation test of the pairs' signs, corrected by Holm. It speaks of these datasets, not of others. "
    f"noise: p is {LEVEL} or more, so the data do not tell the two apart; too few pairs: no difference, however large, "
    f"could bring p below {LEVEL}."
)


def significance(runs: Sequence[RecordedRun]) -> Table:
    """Return each method's difference to the best one, for base, new, H, few-shot and the targets of other datasets."""
    rows = []
    for result, by_line in _results([run for run in runs if not run.line.swept and run.accuracy is not None]).items():
        rows += [((result,), line, verdict, cells) for line, verdict, cells in _against_best(by_line)]
    table = Table(
        "significance",
        "Significance",
        CAPTION,
        ("Result", "Method"),
        ("difference", "low", "high", "pairs", "p"),
        (2, 2, 2, 0, 4),
        higher_is_better=False,
    )
    shown = with_rows(table, [(first, line, cells) for first, line, _, cells in rows])
    labelled = [((*labels, row[2]), cells) for (labels, cells), row in zip(shown.rows, rows, strict=True)]
    return Table(**{**vars(shown), "labels": (*shown.labels, "Verdict"), "rows": labelled})


def _results(runs: Sequence[RecordedRun]) -> dict[str, dict[Line, Pairs]]:
    """Result -> line -> its pairs. H is that of a seed's own base and new."""
    names = {
        ("base2new", "base"): "base",
        ("base2new", "new"): "new",
        ("few_shot", "all"): "few-shot",
        ("cross_dataset", "target"): "cross-dataset",
        ("domain_generalization", "target"): "domain generalization",
    }
    found: dict[str, dict[Line, Pairs]] = {}
    for run in runs:
        if (name := names.get((run.protocol, run.part))) and run.accuracy is not None:
            pairs = found.setdefault(name, {}).setdefault(run.line, {})
            pairs[run.dataset, run.shots, run.seed] = run.accuracy
    base, new = found.get("base", {}), found.get("new", {})
    h = {
        line: {key: harmonic_mean(value, new[line][key]) for key, value in base[line].items() if key in new[line]}
        for line in base
        if line in new
    }
    order = ["base", "new", "H", "cross-dataset", "domain generalization", "few-shot"]
    found |= {"H": {line: pairs for line, pairs in h.items() if pairs}} if h else {}
    return {name: found[name] for name in order if len(found.get(name, {})) > 1}


def _against_best(by_line: Mapping[Line, Pairs]) -> list[tuple[Line, str, list[Cell]]]:
    most = max(len(pairs) for pairs in by_line.values())
    whole = [line for line, pairs in by_line.items() if len(pairs) == most]
    best = max(whole, key=lambda line: fmean(by_line[line].values()))
    compared = []
    for line in sorted(set(by_line) - {best}, key=method_order):
        common = sorted(set(by_line[best]) & set(by_line[line]))
        if common:
            compared.append((line, compare([by_line[best][k] for k in common], [by_line[line][k] for k in common])))
    corrected = holm([found["p"] for _, found in compared])
    rows: list[tuple[Line, str, list[Cell]]] = [(best, "best", [Cell(Score()) for _ in range(5)])]
    for (line, found), p in zip(compared, corrected, strict=True):
        values = (found["difference"], found["low"], found["high"], found["pairs"], p)
        least = len(compared) * 2.0 ** (1 - found["pairs"])  # all signs alike, and the first of Holm's steps
        verdict = "difference" if p < LEVEL else "too few pairs" if least >= LEVEL else "noise"
        rows.append((line, verdict, [Cell(Score({}, None if v is None else float(v))) for v in values]))
    return rows


def compare(ours: Sequence[float], other: Sequence[float]) -> dict[str, Any]:
    """Return mean difference, 95 % confidence interval, number of pairs and p-value of paired results."""
    import numpy as np  # both here: the help of report.py needs neither, and not every report compares
    from scipy import stats

    differences = np.subtract(ours, other)
    low = high = None
    if len(differences) > 1 and np.ptp(differences) > SAME:
        low, high = stats.ttest_1samp(differences, 0).confidence_interval(1 - LEVEL)
    p = 1.0
    if len(differences) > 1 and np.any(differences):
        p = stats.permutation_test(
            (differences,), np.mean, permutation_type="samples", n_resamples=RESAMPLES, rng=np.random.default_rng(0)
        ).pvalue
    return {"difference": differences.mean(), "low": low, "high": high, "pairs": len(differences), "p": float(p)}


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number by Holm's step-down method, in the given order."""
    corrected, highest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = highest
    return corrected
