"""The table of several methods: who is run, what a failure does, what is shown and kept. No run is started."""

import json
import os

import pytest

import sweep
from runs import compare, quickstart
from runs.launch import USAGE
from runs.protocol import PlanError, methods, plan, stages_of
from runs.record import RunRecord
from runs.table import as_text


@pytest.fixture
def started(monkeypatch):
    """Runs that would have been started; `started.fate` says by method what becomes of them."""

    class Started(list):
        fate = {}

    runs = Started()

    def execute(asked, output, root, extra):
        (run,) = asked
        runs.append((run.trainer, run.model_folder is not None, tuple(extra)))
        fate = runs.fate.get(run.trainer)
        if isinstance(fate, int):
            raise SystemExit(fate)
        if fate == "crash":
            return asked
        accuracy = 40.0 if run.model_folder else 60.0
        RunRecord(output / run.folder, {}).complete({"accuracy": accuracy}, trainable_params=1234)
        return []

    monkeypatch.setattr(compare, "execute", execute)
    return runs


def test_every_method_with_the_protocol_is_run(started, tmp_path, capsys):
    assert compare.main(["clothing_64", "2", "--output", str(tmp_path), "OPTIM.MAX_EPOCH", "1"]) == 0
    options = ("OPTIM.MAX_EPOCH", "1")
    stages = {name: stages_of("base2new", name) for name in methods()}
    assert started == [(name, stage == "test", options) for name, own in stages.items() for stage in own]
    shown = capsys.readouterr().out
    assert all(f"| {name} " in shown for name in methods()) and "48.0" in shown and "1,234" in shown
    data = json.loads((tmp_path / "compare" / "clothing_64-seed2.json").read_text())
    assert (data["dataset"], data["seed"]) == ("clothing_64", 2)
    assert [row["method"] for row in data["results"]] == methods()
    for row in data["results"]:
        new = (40.0, 48.0) if "test" in stages[row["method"]] else (None, None)
        assert (row["base"], row["new"], row["H"]) == (60.0, *new)


def test_a_missing_cell_leaves_the_others_of_its_column_rounded():
    rows = [
        {"method": "CoOp", "new": 100 / 3, "seconds": 12.0},
        {"method": "LinearProbe", "new": None, "seconds": None},
    ]
    cells = [[cell.strip() for cell in line.split("|")[2:-1]] for line in as_text(rows).splitlines()[2:]]
    assert cells == [["33.3", "12.0"], ["-", "-"]]


def test_a_method_without_new_classes_has_seconds_too(started, tmp_path):
    compare.main(["clothing_64", "--methods", "LinearProbe", "--output", str(tmp_path)])
    (row,) = json.loads((tmp_path / "compare" / "clothing_64-seed1.json").read_text())["results"]
    assert (row["base"], row["new"]) == (60.0, None) and row["seconds"] >= 0


@pytest.mark.parametrize("fate", ["crash", USAGE])
def test_a_failed_method_leaves_dashes_and_the_others(started, tmp_path, capsys, fate):
    started.fate = {"CoOp": fate}
    assert compare.main(["clothing_64", "--methods", "CoOp", "MMRL", "--output", str(tmp_path)]) == 1
    assert [(name, evaluates) for name, evaluates, _ in started] == [("CoOp", False), ("MMRL", False), ("MMRL", True)]
    rows = {line.split()[1]: line.split("|")[2:-1] for line in capsys.readouterr().out.splitlines() if " | " in line}
    assert {cell.strip() for cell in rows["CoOp"]} == {"-"}
    assert rows["MMRL"][0].strip() == "60.0"


def test_an_interrupt_stops_everything(started, tmp_path):
    started.fate = {"CoOp": 130}
    with pytest.raises(SystemExit):
        compare.main(["clothing_64", "--methods", "CoOp", "MMRL", "--output", str(tmp_path)])
    assert len(started) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["clothing_64", "--methods", "MaPel"], "Did you mean MaPLe?"),
        (["clothing_64s"], "Did you mean clothing_64?"),
        (["clothing_64", "1", "2"], "one seed"),
        (["clothing_64", "one"], "'one' stands where the seed is expected"),
        (["clothing_64", "--seeds", "1", "2"], "one seed"),
        (["clothing_64", "2", "--seed", "1"], "given twice"),
    ],
)
def test_mistakes_get_a_message_before_anything_runs(started, tmp_path, capsys, arguments, message):
    assert compare.main([*arguments, "--output", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err and not started


def of_sweep(command: list[str]) -> list[str]:
    """Return the words of sweep.py in a command line."""
    return command[1 + [os.path.basename(word) for word in command].index("sweep.py") :]


@pytest.fixture
def swept(monkeypatch):
    """Commands of the quickstart, which are not started: their runs are complete but those of `swept.stops`."""

    class Swept(list):
        stops, status = "", 0

    calls = Swept()

    def start(command):
        calls.append(command)
        runs = sweep.planned(sweep.make_parser().parse_args(of_sweep(command)))
        for run in runs:
            if run.trainer != calls.stops:
                accuracy = 40.0 if run.model_folder else 60.0
                record = RunRecord(quickstart.Path(command[command.index("--output") + 1]) / run.folder, {})
                record.complete({"accuracy": accuracy}, trainable_params=1234)
        return runs

    monkeypatch.setattr(quickstart.subprocess, "Popen", start)
    monkeypatch.setattr(quickstart, "wait_for", lambda runs: calls.status)
    return calls


def test_the_quickstart_is_a_sweep_of_five_methods(swept, tmp_path, capsys):
    assert quickstart.main(tmp_path) == 0
    (command,) = swept
    runs = sweep.planned(sweep.make_parser().parse_args(of_sweep(command)))
    both = [run for name in quickstart.METHODS for stage in ("train", "test")
            for run in plan("base2new", stage, name, "caltech101_64", [1])]  # fmt: skip
    assert {run.folder for run in runs} == {run.folder for run in both}
    assert {"CoOp", "MaPLe", "MMRL"} <= set(quickstart.METHODS)
    rows = json.loads((tmp_path / "results.json").read_text())["results"]
    assert [(row["method"], row["base"], row["new"]) for row in rows] == [(n, 60.0, 40.0) for n in quickstart.METHODS]
    said = capsys.readouterr().out
    assert said.index("$ python sweep.py base2new") < said.index("| MMRLpp ") < said.index("What next?")


def test_the_ending_says_how_to_reach_the_commands(swept, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(quickstart.sys, "prefix", str(quickstart.OWN))
    for active, said in (("", f" First: {quickstart.ACTIVATE}\n"), (quickstart.sys.prefix, "What next?\n")):
        monkeypatch.setenv("VIRTUAL_ENV", active)
        quickstart.main(tmp_path)
        assert said in capsys.readouterr().out


@pytest.mark.parametrize(("cores", "workers"), [(1, "1"), (2, "2"), (64, "5")])
def test_the_quickstart_has_a_run_on_each_core(monkeypatch, tmp_path, cores, workers):
    monkeypatch.setattr(quickstart.threads, "allowed_cores", lambda: cores)
    words = quickstart.words(tmp_path)
    assert words[words.index("--workers") + 1] == workers


def test_the_quickstart_shows_what_is_there(swept, tmp_path, capsys):
    swept.stops, swept.status = "CoOp", 1
    assert quickstart.main(tmp_path) == 1
    (row,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("| CoOp "))
    assert {cell.strip() for cell in row.split("|")[2:-1]} == {"-"}
    swept.status = 130  # Ctrl-C
    assert quickstart.main(tmp_path) == 130
    assert "What next?" not in capsys.readouterr().out


def test_a_method_without_a_stage_says_so():
    assert stages_of("base2new", "CoOp") == ["train", "test"]
    assert stages_of("base2new", "LinearProbe") == ["train"]
    with pytest.raises(PlanError, match="LinearProbe takes no part in stage test of base2new"):
        plan("base2new", "test", "LinearProbe", "clothing_64")
