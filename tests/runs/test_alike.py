"""Swept settings that made no difference, by what runs learned and scored."""

import pytest

from runs.alike import without_effect
from runs.protocol import PlannedRun
from runs.record import RunRecord

ALPHA, RATE = "TRAINER.MMRL.ALPHA", "OPTIM.LR"


@pytest.fixture
def found(tmp_path):
    """(method, seed, swept values, sum of what was learned) -> what is said to have had no effect."""

    def of(*lines):
        runs = []
        for number, (trainer, seed, values, learned) in enumerate(lines):
            options = {**values, "SWEPT": list(values)}
            runs.append(PlannedRun(trainer, "dtd", seed, "vit_b16", str(number), None, options))
            if learned is not None:
                RunRecord(tmp_path / str(number), {}).complete({"accuracy": 50.0}, parameters_sha256=learned)
        return list(without_effect(runs, tmp_path))

    return of


def test_only_what_is_the_same_everywhere_is_named(found):
    assert found(("MMRL", 1, {ALPHA: 0.3}, "x"), ("MMRL", 1, {ALPHA: 0.7}, "x")) == [(ALPHA, "MMRL")]
    assert not found(("MMRL", 1, {ALPHA: 0.3}, "x"), ("MMRL", 1, {ALPHA: 0.7}, "y"))
    seeds = [("MMRL", s, {ALPHA: a}, f"{s}{a if s == 2 else ''}") for s in (1, 2) for a in (0.3, 0.7)]
    assert not found(*seeds)


def test_keys_and_methods_are_told_apart(found):
    lines = [
        (trainer, 1, {ALPHA: alpha, RATE: rate}, f"{trainer if trainer == 'CoOp' else (trainer, rate)}")
        for trainer in ("MMRL", "CoOp")
        for alpha in (0.3, 0.7)
        for rate in (0.1, 0.2)
    ]
    assert found(*lines) == [(ALPHA, "MMRL"), (ALPHA, "CoOp"), (RATE, "CoOp")]


def test_nothing_is_said_of_single_values_and_incomplete_runs(found):
    assert not found(("MMRL", 1, {ALPHA: 0.3}, "x"), ("MMRL", 1, {ALPHA: 0.7}, None))
    assert not found(("MMRL", 1, {ALPHA: 0.3}, "x"), ("MMRL", 2, {ALPHA: 0.3}, "x"))
    assert not found(("MMRL", 1, {}, "x"), ("MMRL", 2, {}, "x"))
