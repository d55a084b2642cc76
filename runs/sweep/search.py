"""Search of settings with Optuna: trials are runs, judged on validation images only, kept in a sqlite file.

python sweep.py base2new --methods MMRL --datasets dtd --seed 1 --search 20 --range OPTIM.LR=1e-4..1e-1:log
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from runs.launch import execute
from runs.protocol import PlanError, PlannedRun
from runs.record import COMPLETE, read_record

FOLDER = "search"
NO_VALIDATION = "There are no validation images"
"""train.py's words where it falls back to the test images, which a search must not see."""
RANGE = re.compile(r"(?P<key>[A-Z][\w.]*)=(?P<low>[^.]+(?:\.\d+)?(?:e-?\d+)?)\.\.(?P<high>[^:]+)(?P<log>:log)?")

Carry = Callable[[Sequence[PlannedRun], Path, str, Sequence[str]], list[PlannedRun]]


@dataclass(frozen=True)
class Range:
    """Values of one setting to search: numbers from low to high, whole ones if both are written so."""

    low: float
    high: float
    whole: bool
    log: bool


def parse_ranges(words: Sequence[str]) -> dict[str, Range]:
    """Return the ranges by key, of words such as OPTIM.LR=1e-4..1e-1:log.

    Raises:
        PlanError: a word is none, or its numbers do not fit.
    """
    found = {}
    for word in words:
        parts = RANGE.fullmatch(word)
        try:
            low, high = float(parts["low"]), float(parts["high"])  # type: ignore[index]
        except (TypeError, ValueError):
            raise PlanError(f"--range takes KEY=LOW..HIGH or KEY=LOW..HIGH:log, this is {word!r}.") from None
        assert parts is not None
        if not low < high or (parts["log"] and low <= 0):
            raise PlanError(f"--range {word}: LOW has to be below HIGH, and above 0 on a logarithmic scale.")
        whole = all(re.fullmatch(r"-?\d+", parts[end]) for end in ("low", "high"))
        found[parts["key"]] = Range(low, high, whole, bool(parts["log"]))
    if not found:
        raise PlanError("--search needs what to search: --range KEY=LOW..HIGH, for example OPTIM.LR=1e-4..1e-1:log.")
    return found


def search(
    base: PlannedRun, count: int, ranges: Mapping[str, Range], output: Path, root: str, carry: Carry = execute
) -> list[dict[str, Any]]:
    """Run trials until `count` are complete; a search that was stopped goes on where it was.

    Args:
        base: the run that trials are made of, one that trains; output: folder of all runs; carry: runs them.

    Returns:
        The complete trials, best first: number, accuracy on validation images, values.

    Raises:
        PlanError: Optuna is not installed, or the dataset has no validation images.
    """
    try:
        import optuna
    except ImportError as error:
        raise PlanError("--search needs Optuna: pip install -e '.[search]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder = Path(FOLDER) / base.folder
    (output / folder).mkdir(parents=True, exist_ok=True)
    done = optuna.trial.TrialState.COMPLETE
    study = optuna.create_study(
        storage=f"sqlite:///{(output / folder / 'trials.db').absolute()}",
        study_name=" ".join(sorted(ranges)),
        direction="maximize",
        load_if_exists=True,
        sampler=optuna.samplers.TPESampler(seed=base.seed + 1000 * len(list((output / folder).glob("trial-*")))),
    )
    while len(study.get_trials(states=[done])) < count:
        trial = study.ask()
        values = {key: _suggest(trial, key, each) for key, each in ranges.items()}
        run = replace(
            base,
            folder=str(folder / f"trial-{trial.number}"),
            options={**base.options, **values, "TEST.SPLIT": "val", "SWEPT": list(values)},
        )
        if carry([run], output, root, []):
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            record = read_record(output / run.folder) or {}
            raise PlanError(f"trial {trial.number} failed: {record.get('failure', 'see its log.txt')}")
        study.tell(trial, _score(output / run.folder))
    best = sorted(study.get_trials(states=[done]), key=lambda trial: -(trial.value or 0))
    return [{"trial": trial.number, "accuracy": trial.value, **trial.params} for trial in best]


def _suggest(trial: Any, key: str, given: Range) -> float | int:
    if given.whole:
        return trial.suggest_int(key, int(given.low), int(given.high), log=given.log)
    return trial.suggest_float(key, given.low, given.high, log=given.log)


def _score(folder: Path) -> float:
    """Return the accuracy on validation images.

    Raises:
        PlanError: it was not on validation images, or there is none.
    """
    log = folder / "log.txt"
    if log.is_file() and NO_VALIDATION in log.read_text(encoding="utf-8", errors="replace"):
        raise PlanError(f"{folder}: the dataset has no validation images, and a search must not choose by test images.")
    record = read_record(folder) or {}
    accuracy = record.get("metrics", {}).get("accuracy")
    if record.get("status") != COMPLETE or accuracy is None:
        raise PlanError(f"{folder} has no accuracy on record.")
    return float(accuracy)
