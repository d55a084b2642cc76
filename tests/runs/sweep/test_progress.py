"""Display of a sweep: its progress and the time left, by the times of runs of the same kind."""

import pytest

from runs.protocol import PlannedRun
from runs.record import COMPLETE, FAILED, FILE_NAME
from runs.sweep.progress import Estimate, Progress
from runs.sweep.scheduler import State
from safeio.atomic import atomic_write_json


@pytest.fixture
def finish(tmp_path):
    """Leaves the record of a complete run that took so many seconds."""

    def write(run, seconds):
        content = {"status": COMPLETE, "timing": {"seconds": seconds}, "metrics": {"accuracy": 61.25}}
        atomic_write_json(tmp_path / run.folder / FILE_NAME, content)

    return write


def run_of(folder, trainer="MMRL", dataset="dtd", model_folder=None):
    return PlannedRun(trainer, dataset, 1, "vit_b16", folder, model_folder, {})


def test_a_run_is_expected_to_take_what_the_nearest_ones_took(tmp_path, finish):
    estimate = Estimate(tmp_path)
    assert estimate.of(run_of("new")) is None and estimate.left([run_of("new")], 1) is None
    for folder, trainer, dataset, model, seconds in (
        ("a", "MMRL", "dtd", None, 100),
        ("b", "MMRL", "dtd", None, 300),
        ("c", "MMRL", "ucf101", None, 800),
        ("d", "MMRL", "dtd", "a", 20),
        ("e", "CoOp", "dtd", None, 30),
    ):
        run = run_of(folder, trainer, dataset, model)
        finish(run, seconds)
        estimate.learn(run)
    expected = {"same": 200, "other dataset": 400, "other method": 250}
    for asked, run in (
        ("same", run_of("new")),
        ("other dataset", run_of("new", dataset="eurosat")),
        ("other method", run_of("new", trainer="MaPLe")),
    ):
        assert estimate.of(run) == pytest.approx(expected[asked]), asked
    assert estimate.left([run_of(f"new{i}") for i in range(6)], 3) == pytest.approx(400)
    assert estimate.left([run_of("new")], 3) == pytest.approx(200)


def test_copied_runs_are_named_and_leave_the_estimate_alone(tmp_path, finish, capsys):
    finish(run_of("a"), 100)
    record = {"status": COMPLETE, "timing": {"seconds": 900}, "metrics": {"accuracy": 40.0}}
    record |= {"copied_from": str(tmp_path / "other")}
    atomic_write_json(tmp_path / "b" / FILE_NAME, record)
    progress = Progress([run_of("a"), run_of("b")], {"a": State(COMPLETE), "b": State("missing")}, tmp_path, 1)
    progress.started(run_of("b"))
    progress.ended(run_of("b"), State(COMPLETE))
    assert "b  40.0 %  copied from other" in capsys.readouterr().out
    assert progress.estimate.of(run_of("new")) == 100 and progress.estimate.start == 0
    progress.close()


def test_a_run_that_takes_longer_shortens_no_other(tmp_path, finish):
    estimate = Estimate(tmp_path)
    finish(run_of("a"), 100)
    estimate.learn(run_of("a"))
    two = [run_of("long"), run_of("next")]
    assert estimate.left(two, 2, {"long": 30}) == pytest.approx(85)
    assert estimate.left(two, 2, {"long": 500}) == pytest.approx(50)
    assert estimate.left(two[:1], 2, {"long": 500}) is None, "not `about 00:00 left` for as long as it takes"
    assert estimate.left([], 2) == 0


def test_starting_a_process_counts_waiting_for_a_place_does_not(tmp_path, finish):
    estimate = Estimate(tmp_path)
    for folder, waited in (("a", 16.0), ("b", 14.0), ("queued", 90.0)):
        finish(run_of(folder), 10)
        estimate.learn(run_of(folder), waited)
    assert estimate.left([run_of("new")], 1) == pytest.approx(14)


def test_what_cannot_be_run_is_not_waited_for(tmp_path, finish, capsys):
    runs = [
        run_of("a"),
        run_of("b"),
        run_of("b-test", model_folder="b"),
        run_of("old"),
        run_of("old-test", model_folder="old"),
    ]
    states = dict.fromkeys([run.folder for run in runs], State("missing")) | {"old": State(FAILED)}
    progress = Progress(runs, states, tmp_path, 1)
    assert set(progress.left) == {"a", "b", "b-test"}
    progress = Progress(runs[:3], states, tmp_path, 1)
    for run in runs[:2]:
        progress.started(run)
    finish(runs[0], 5)
    progress.ended(runs[0], State(COMPLETE))
    progress.ended(runs[1], State(FAILED, "ValueError: no image"))
    progress.close()
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("complete") and "61.2 %" in first and "[1/3, about 00:" in first
    assert "ValueError: no image" in second and "[1/3, about 00:00 left]" in second
