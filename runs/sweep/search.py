"""Search of settings with Optuna: trials are runs, compared on validation images only, and kept in a sqlite file.

mmrl sweep base2new --methods MMRL --datasets dtd --seed 1 --search 20
mmrl sweep base2new --methods MMRL --datasets dtd --seed 1 --search 20 --range OPTIM.LR=1e-4..1e-1:log
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from runs.launch import execute
from runs.protocol import PlanError, PlannedRun
from runs.record import COMPLETE, read_record
from safeio.atomic import atomic_write_json
from safeio.names import nearest_name
from safeio.read_back import reading

FOLDER, STORE, TRIALS = "search", "trials.db", "trials.json"
"""The folder of all searches; in each search's folder Optuna's storage, and the file that a report reads."""
OF_THE_ENGINE = {
    "OPTIM.LR": "1e-5..0.1:log",
    "OPTIM.WEIGHT_DECAY": "1e-6..1e-2:log",
    "OPTIM.MAX_EPOCH": "2..50:log",
}
"""Ranges of settings that every method has; a method's own are declared with its settings."""
NO_VALIDATION = "There are no validation images"
"""train.py's words where it falls back to the test images, which a search must not see."""
RANGE = re.compile(r"(?P<key>[A-Za-z][\w.]*)=(?P<low>[^.]+(?:\.\d+)?(?:e-?\d+)?)\.\.(?P<high>[^:]+)(?P<log>:log)?")

Carry = Callable[[Sequence[PlannedRun], Path, str, Sequence[str]], list[PlannedRun]]


@dataclass(frozen=True)
class Range:
    """Values of one setting to search: numbers from low to high, whole ones if both are written so."""

    low: float
    high: float
    whole: bool
    log: bool

    def __str__(self) -> str:
        return f"{self.low:g}..{self.high:g}" + (" (log)" if self.log else "")


def parse_ranges(words: Sequence[str], declared: Mapping[str, str]) -> dict[str, Range]:
    """Return the ranges by key.

    Args:
        words: KEY=LOW..HIGH, KEY=LOW..HIGH:log, or KEY alone for its declared range; none: the learning rate and all
            that the method declares.
        declared: the declared ranges by key, those of the engine among them.

    Raises:
        PlanError: a word is none, its numbers do not fit, or no range is declared for its key.
    """
    usual = [key for key in declared if key == "OPTIM.LR" or key not in OF_THE_ENGINE]
    return dict(_parse(word if "=" in word else _declared(word, declared)) for word in words or usual)


def _declared(key: str, declared: Mapping[str, str]) -> str:
    if key not in declared:
        near = nearest_name(key, declared)
        hint = f" Did you mean {near}?" if near else ""
        raise PlanError(f"--range {key}: no range is declared for it, give KEY=LOW..HIGH.{hint}")
    return f"{key}={declared[key]}"


def _parse(word: str) -> tuple[str, Range]:
    parts = RANGE.fullmatch(word)
    try:
        low, high = float(parts["low"]), float(parts["high"])  # type: ignore[index]
    except (TypeError, ValueError):
        raise PlanError(f"--range takes KEY, KEY=LOW..HIGH or KEY=LOW..HIGH:log; got {word!r}.") from None
    assert parts is not None
    if not low < high or (parts["log"] and low <= 0):
        raise PlanError(f"--range {word}: LOW must be below HIGH, and above 0 on a logarithmic scale.")
    whole = all(re.fullmatch(r"-?\d+", parts[end]) for end in ("low", "high"))
    return parts["key"], Range(low, high, whole, bool(parts["log"]))


def search(
    base: PlannedRun,
    count: int,
    ranges: Mapping[str, Range],
    output: Path,
    root: str,
    carry: Carry = execute,
    extra: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Run trials until `count` are complete; a search that was stopped continues where it was.

    Args:
        base: the run that trials are made of, one that trains; output: folder of all runs.
        carry: runs the trials; extra: arguments of train.py for each.

    Returns:
        The complete trials, best first: number, accuracy on validation images, values.

    Raises:
        PlanError: Optuna is not installed, or the dataset has no validation images.
        DamagedFile: what an earlier search left cannot be read.
    """
    try:
        import optuna
    except ImportError as error:
        raise PlanError("--search needs Optuna: pip install -e '.[search]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder = Path(FOLDER) / base.folder
    (output / folder).mkdir(parents=True, exist_ok=True)
    done = optuna.trial.TrialState.COMPLETE
    store = (output / folder / STORE).absolute()
    with reading(f"{store}, the trials so far (remove it to search anew)", "trials of Optuna"):
        study = optuna.create_study(
            storage=f"sqlite:///{store}",
            study_name=" ".join(sorted(ranges)),
            direction="maximize",
            load_if_exists=True,
            sampler=optuna.samplers.TPESampler(seed=base.seed + 1000 * len(list((output / folder).glob("trial-*")))),
        )
        study.get_trials()
    while len(study.get_trials(states=[done])) < count:
        trial = study.ask()
        values = {key: _suggest(trial, key, each) for key, each in ranges.items()}
        run = replace(
            base,
            folder=str(folder / f"trial-{trial.number}"),
            options={**base.options, **values, "TEST.SPLIT": "val", "SWEPT": list(values)},
        )
        if carry([run], output, root, extra):
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            record = read_record(output / run.folder) or {}
            raise PlanError(f"trial {trial.number} failed: {record.get('failure', 'see its log.txt')}")
        study.tell(trial, _score(output / run.folder))
        write_trials(output / folder, base, ranges, study.get_trials(states=[done]))
    best = sorted(study.get_trials(states=[done]), key=lambda trial: -(trial.value or 0))
    return [{"trial": trial.number, "accuracy": trial.value, **trial.params} for trial in best]


def write_trials(folder: Path, base: PlannedRun, ranges: Mapping[str, Range], trials: Sequence[Any]) -> None:
    """Write what a report shows of a search."""
    content = {
        "method": base.trainer,
        "dataset": base.dataset,
        "seed": base.seed,
        "shots": base.options["DATASET.NUM_SHOTS"],
        "ranges": {key: asdict(each) for key, each in ranges.items()},
        "trials": [{"number": trial.number, "accuracy": trial.value, "values": trial.params} for trial in trials],
    }
    atomic_write_json(folder / TRIALS, content)


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
