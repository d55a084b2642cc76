"""Numbers over seeds and datasets, against numpy and results of the papers."""

import numpy as np
import pytest

from reports.records import find_runs
from reports.scores import Score, average, harmonic, score


def runs_of(make):
    return find_runs(make.root)


def test_mean_and_deviation_are_numpys(make):
    values = [81.25, 79.5, 84.0]
    for seed, value in enumerate(values, start=1):
        make(accuracy=value, seed=seed)
    found = score(runs_of(make), (1, 2, 3))
    assert found.mean == pytest.approx(np.mean(values)) and found.deviation == pytest.approx(np.std(values))
    assert (found.seeds, found.incomplete, found.notes) == (3, "", ())


def test_a_missing_or_failed_seed_is_told(make):
    make(accuracy=80.0, seed=1)
    make(seed=2, status="failed")
    found = score(runs_of(make), (1, 2, 3))
    assert (found.mean, found.deviation, found.seeds, found.incomplete) == (80.0, None, 1, "1 of 3 seeds")
    nothing = score([run for run in runs_of(make) if run.seed == 2], (1, 2, 3))
    assert (nothing.mean, nothing.incomplete) == (None, "failed")


def test_of_two_runs_with_one_seed_the_newest_counts_and_a_note_says_so(make):
    for accuracy, folder in ((70.0, "a"), (60.0, "b")):
        make(accuracy=accuracy, seed=1, preset=folder)
    runs = runs_of(make)
    for run, ended in zip(runs, (2.0, 1.0), strict=True):
        run.record["timing"]["ended"] = ended
    found = score(runs, (1,))
    assert found.mean == 70.0 and "newest" in found.notes[0]


def test_seeds_with_other_settings_are_told_by_key(make):
    for seed, epochs in ((1, 10), (2, 5)):
        make(seed=seed, config={"SEED": seed, "OUTPUT_DIR": str(seed), "OPTIM": {"MAX_EPOCH": epochs, "LR": 0.1}})
    assert score(runs_of(make), (1, 2)).notes == ("The seeds' settings differ: OPTIM.MAX_EPOCH.",)


def test_h_is_of_the_means_as_published():
    # CLIP's row of the base-to-novel tables: 69.34 and 74.22 give 71.70
    assert harmonic(Score({1: 1.0}, 69.34), Score({1: 1.0}, 74.22)).mean == pytest.approx(71.70, abs=0.005)
    base, new = Score({1: 90.0, 2: 50.0}, 70.0, 20.0), Score({1: 50.0, 2: 90.0}, 70.0, 20.0)
    found = harmonic(base, new)
    assert found.mean == 70.0 and found.deviation is None and found.seeds == 2  # the seeds' own H are both 64.3
    assert harmonic(base, Score(incomplete="not run")).mean is None


def test_an_average_needs_every_dataset():
    there = Score({1: 60.0, 2: 62.0}, 61.0, 1.0)
    assert average([there, Score(incomplete="failed")]).mean is None
    assert average([there, Score(incomplete="failed")]).incomplete == "1 of 2 datasets"
    found = average([there, Score({1: 80.0, 2: 90.0}, 85.0, 5.0)])
    assert (found.mean, found.deviation) == (73.0, pytest.approx(np.std([70.0, 76.0])))
    uneven = average([there, Score({1: 80.0}, 80.0, None, "1 of 2 seeds")])
    assert (uneven.mean, uneven.deviation, uneven.incomplete) == (70.5, None, "1 of 2 seeds")
