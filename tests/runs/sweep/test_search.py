"""Search of settings: ranges, trials on validation images, going on where it was stopped."""

from __future__ import annotations

from pathlib import Path

import pytest

import sweep
from dassl.engine import TRAINER_REGISTRY
from reports.records import find_runs
from reports.render.html import as_html
from reports.searches import find_searches
from runs.protocol import PlanError, methods, plan
from runs.record import RunRecord
from runs.sweep.search import STORE, parse_ranges, search
from safeio.read_back import DamagedFile

pytest.importorskip("optuna")
WORDS = ["base2new", "--methods", "CoOp", "--datasets", "clothing_64", "--seed", "1"]


@pytest.mark.parametrize(
    ("word", "low", "high", "whole", "log"),
    [
        ("OPTIM.LR=1e-4..1e-1:log", 1e-4, 0.1, False, True),
        ("TRAINER.MMRL.ALPHA=0..1.0", 0, 1, False, False),
        ("TRAINER.MMRL.N_REP_TOKENS=1..8", 1, 8, True, False),
        ("TRAINER.MMRL.REG_WEIGHT=0.5..7.25", 0.5, 7.25, False, False),
    ],
)
def test_ranges(word, low, high, whole, log):
    (found,) = parse_ranges([word], {}).values()
    assert (found.low, found.high, found.whole, found.log) == (low, high, whole, log)


def test_ranges_are_declared_with_the_settings():
    declared = sweep.declared_ranges("MMRL")
    assert declared["TRAINER.MMRL.ALPHA"] == "0.0..1.0" and declared["TRAINER.MMRL.REG_WEIGHT"] == "0.1..10:log"
    assert set(parse_ranges(["TRAINER.MMRL.ALPHA"], declared)) == {"TRAINER.MMRL.ALPHA"}
    usual = parse_ranges([], declared)
    assert set(usual) == {"OPTIM.LR", *(f"TRAINER.MMRL.{name}" for name in ("ALPHA", "REG_WEIGHT", "N_REP_TOKENS"))}
    assert usual["TRAINER.MMRL.N_REP_TOKENS"].whole and usual["OPTIM.LR"].log
    with pytest.raises(PlanError, match=r"Did you mean TRAINER\.MMRL\.ALPHA"):
        parse_ranges(["TRAINER.MMRL.ALHPA"], declared)


@pytest.mark.parametrize("method", methods())
def test_every_declared_range_is_one_and_is_allowed(method):
    """Both ends of a range are values that the setting takes."""
    ranges = parse_ranges([], sweep.declared_ranges(method))
    trainer = TRAINER_REGISTRY.get(method)
    for key, found in ranges.items():
        setting = trainer.declared.get(key.rpartition(".")[2])
        if setting is not None and key.startswith("TRAINER."):
            assert found.whole == isinstance(setting.default, int), key
            assert setting.rule is None or all(map(setting.rule.fits, (found.low, found.high))), key


@pytest.mark.parametrize("word", ["OPTIM.LR=1", "OPTIM.LR=2..1", "OPTIM.LR=0..1:log", "OPTIM.LR=a..b"])
def test_what_is_no_range_is_refused(word):
    with pytest.raises(PlanError, match="--range"):
        parse_ranges([word], {})


class Carried:
    """Stands in for train.py: accuracy is the highest where the rate is nearest to 0.3."""

    def __init__(self):
        self.runs = []

    def __call__(self, runs, output: Path, root, extra):
        (run,) = runs
        self.runs.append(run)
        record = RunRecord(output / run.folder, {})
        record.write()
        record.complete({"accuracy": 100 - 100 * abs(run.options["OPTIM.LR"] - 0.3)})
        return []


def test_trials_are_judged_on_validation_images_and_go_on(tmp_path):
    (base,) = plan("base2new", "train", "CoOp", "clothing_64", [1], [16])
    ranges, carried = parse_ranges(["OPTIM.LR=0..1.0"], {}), Carried()
    search(base, 3, ranges, tmp_path, "data", carried)
    found = search(base, 12, ranges, tmp_path, "data", carried)
    assert len(carried.runs) == 12 == len(found) and len({run.folder for run in carried.runs}) == 12
    assert {run.options["TEST.SPLIT"] for run in carried.runs} == {"val"}
    assert [trial["accuracy"] for trial in found] == sorted((trial["accuracy"] for trial in found), reverse=True)
    assert abs(found[0]["OPTIM.LR"] - 0.3) < 0.15
    assert len(search(base, 12, ranges, tmp_path, "data", carried)) == len(carried.runs) == 12


def test_a_dataset_without_validation_images_is_refused(tmp_path):
    class Fallen(Carried):
        def __call__(self, runs, output, root, extra):
            super().__call__(runs, output, root, extra)
            (output / runs[0].folder / "log.txt").write_text(
                "There are no validation images: evaluating on the test set"
            )
            return []

    (base,) = plan("base2new", "train", "CoOp", "clothing_64", [1], [16])
    with pytest.raises(PlanError, match="must not choose by test images"):
        search(base, 1, parse_ranges(["OPTIM.LR=0..1.0"], {}), tmp_path, "data", Fallen())


@pytest.mark.parametrize("damage", [b"no database", b"", None], ids=["nonsense", "empty", "a folder"])
def test_what_an_earlier_search_left_damaged_is_said(damage, tmp_path):
    (base,) = plan("base2new", "train", "CoOp", "clothing_64", [1], [16])
    ranges, carried = parse_ranges(["OPTIM.LR=0..1.0"], {}), Carried()
    search(base, 1, ranges, tmp_path, "data", carried)
    (store,) = tmp_path.rglob(STORE)
    store.unlink()
    store.mkdir() if damage is None else store.write_bytes(damage)
    if damage == b"":  # for sqlite, a database without tables
        assert len(search(base, 1, ranges, tmp_path, "data", carried)) == 1
        return
    with pytest.raises(DamagedFile, match=f"{STORE}.*remove it to search anew"):
        search(base, 1, ranges, tmp_path, "data", carried)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--search", "2", "--range", "OPTIM.MOMENTUM"], "give KEY=LOW..HIGH"),
        (["--range", "OPTIM.LR=0..1"], "give it too"),
        (["--search", "2", "--range", "OPTIM.LRR=0..1"], "'OPTIM.LR'"),
        (["--search", "2", "--range", "OPTIM.MAX_EPOCH=-5..2"], "at least 1"),
        (["--search", "2", "--range", "OPTIM.LR=0..1", "--seeds", "1", "2"], "for one run"),
    ],
)
def test_a_wrong_command_line(words, said, tmp_path, capsys):
    assert sweep.main([*WORDS, "--output", str(tmp_path), *words]) == 2
    assert said in capsys.readouterr().err


def test_the_page_shows_the_trials(tmp_path, capsys):
    (base,) = plan("base2new", "train", "CoOp", "clothing_64", [1], [16])
    search(base, 3, parse_ranges(["OPTIM.LR=0..1.0"], {}), tmp_path, "data", Carried())
    (found,) = find_searches(tmp_path)
    assert [row[1] for row in found.rows] == sorted((row[1] for row in found.rows), reverse=True)
    page = as_html([], [], tmp_path)
    assert "Searches of settings" in page and found.title in page and f"{found.rows[0][1]:.1f}</b>" in page
    (tmp_path / found.folder / "trials.json").write_text('{"method": 3}')
    assert find_searches(tmp_path) == []
    assert "trials.json" in (said := capsys.readouterr().err) and "The search is left out" in said


def test_for_real(tmp_path, capsys):
    """One trial of the command, by train.py."""
    words = ["--search", "1", "--range", "OPTIM.LR=1e-4..1e-2:log", "--output", str(tmp_path), "--shots", "1"]
    assert sweep.main([*WORDS, *words]) == 0
    assert "best on validation images: OPTIM.LR=" in capsys.readouterr().out
    (log,) = tmp_path.rglob("log.txt")
    assert "Evaluate on the *val* set" in log.read_text()
    (found,) = find_searches(tmp_path)
    assert found.title.startswith("CoOp on ") and found.title.endswith(", 1 shots, seed 1")
    assert len(found.rows) == 1 and found.keys[0][0] == "OPTIM.LR"
    with pytest.raises(FileNotFoundError):  # a trial is no result
        find_runs(tmp_path)
