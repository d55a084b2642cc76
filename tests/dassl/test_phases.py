"""Seconds are counted once, in the innermost phase."""

import time

import pytest

from dassl.utils.phases import PHASES, PhaseClock, seconds_since_start


def spin(seconds: float) -> None:
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


def test_a_block_does_not_count_what_lies_within_it():
    phase = PhaseClock()
    phase.begin()
    began = time.process_time()
    with phase("images"):
        spin(0.02)
        with phase("steps"):
            spin(0.05)
        spin(0.02)
    with pytest.raises(ValueError), phase("steps"):
        raise ValueError
    spin(0.01)
    found, passed = phase.as_dict(), time.process_time() - began
    assert list(found) == ["start", "images", "steps", "other"] == [name for name in PHASES if name in found]
    assert found["images"][1] == pytest.approx(0.04, abs=0.01) and found["steps"][1] == pytest.approx(0.05, abs=0.01)
    assert sum(found[name][1] for name in ("images", "steps", "other")) == pytest.approx(passed, abs=0.005)
    assert found["steps"][0] >= 0.045


def test_the_start_is_what_the_process_has_taken_until_then():
    phase = PhaseClock()
    phase.begin()
    clock, processor = phase.as_dict()["start"]
    assert clock == pytest.approx(seconds_since_start(), abs=1) and 0 < processor <= time.process_time() + 0.001


def test_runs_that_take_turns_are_not_counted():
    phase = PhaseClock()
    phase.stop()
    with phase("steps"):
        spin(0.001)
    assert phase.as_dict() == {}
