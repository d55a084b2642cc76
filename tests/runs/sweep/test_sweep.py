"""The command line of sweep.py: what it prints and returns; runs are a stand-in's."""

import json

import pytest

import sweep
from runs.protocol import methods
from runs.record import RunRecord
from runs.sweep.grid import concerns

WORDS = ["base2new", "--methods", "MMRL", "CoOp", "--datasets", "clothing_64", "--seeds", "1"]


@pytest.fixture
def call(tmp_path, monkeypatch, command):
    """Words -> exit status; the runs' output is in `tmp_path / "out"`."""
    monkeypatch.setattr(sweep, "command_of", lambda run, args: command(run))
    return lambda *words: sweep.main([*WORDS, "--output", str(tmp_path / "out"), *words])


def test_a_dry_run_starts_nothing_and_shows_where_it_stands(call, tmp_path, capsys):
    done = sweep.planned(sweep.make_parser().parse_args(WORDS))[0]
    RunRecord(tmp_path / "out" / done.folder, {}).complete({})
    assert call("--dry-run") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"complete    {done.folder}" and lines[-1] == "4 runs: 3 missing, 1 complete"
    assert sum("tests base2new/train_base" in line for line in lines) == 2
    assert [path.name for path in (tmp_path / "out").rglob("*") if path.is_file()] == ["run.json"]


def test_everything_is_run_once_and_the_status_says_so(call, attempts, capsys):
    assert call() == 0
    said = capsys.readouterr().out
    assert said.count("complete  ") == 4 and said.endswith("4 runs: 4 complete\n") and "50.0 %" in said
    assert call() == 0
    assert len(attempts("base2new/test_new/clothing_64/shots_16/CoOp/photo/seed1")) == 1


def test_what_failed_earlier_is_passed_over_until_asked_for(call, tmp_path, capsys):
    failed = sweep.planned(sweep.make_parser().parse_args(WORDS))[0]
    RunRecord(tmp_path / "out" / failed.folder, {}).failed(ValueError("no image"))
    assert call() == 1
    said = capsys.readouterr()
    assert "ValueError: no image" in said.err and "--retry-failed" in said.err
    assert "4 runs: 2 complete, 1 failed, 1 missing" in said.out
    assert call("--retry-failed") == 0


def test_what_fails_again_the_same_way_was_not_passed_over(call, tmp_path, capsys):
    failed = sweep.planned(sweep.make_parser().parse_args(WORDS))[0]
    RunRecord(tmp_path / "out" / failed.folder, {}).failed(ValueError("there is no image here"))
    (tmp_path / "fates").write_text(f"{failed.folder}: fails")
    assert call("--retry-failed") == 1
    said = capsys.readouterr().err
    assert f"failed      {tmp_path / 'out' / failed.folder}: ValueError: there is no image here" in said
    assert "--retry-failed" not in said


def test_commands_to_run_elsewhere(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert sweep.main([*WORDS, "--print-commands", "--root", "images"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and all(line.startswith("python ") and "train.py" in line for line in lines)
    assert all(f"--root {tmp_path}/images" in line and f"--output-dir {tmp_path}/output/" in line for line in lines)
    assert ["--eval-only" in line for line in lines] == [False, False, True, True]


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["--datasets", "clothing_65"], ["'clothing_65'", "clothing_64"]),
        (["--shard", "3/2"], ["--shard", "3/2"]),
        (["--only", "3/2"], ["--shard", "3/2"]),
        (["--set", "OPTIM.MAX_EPOCHS=1"], ["OPTIM.MAX_EPOCHS", "'OPTIM.MAX_EPOCH'"]),
        (["--set", "OPTIM.MAX_EPOCH=one"], ["'one'", "whole number"]),
        (["--set", "OPTIM.MAX_EPOCH"], ["KEY=VALUE"]),
    ],
)
def test_mistakes_are_said_before_anything_runs(call, tmp_path, capsys, words, parts):
    assert call(*words) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and all(part in said for part in parts), said
    assert not (tmp_path / "out").exists()


class Recorder:
    """An executor that only says what was asked of it."""

    def __init__(self):
        self.asked = []

    def __getattr__(self, name):
        return lambda *words: self.asked.append(name)


@pytest.mark.parametrize("words", [[], ["--executor", "ray"], ["--workers", "2"], ["--search", "3"]])
@pytest.mark.parametrize("fault", ["images", "weights"])
def test_data_and_weights_are_looked_at_before_anything_runs(tmp_path, monkeypatch, capsys, words, fault):
    """For every executor; one message for one cause, however many runs it would stop."""
    for number in range(4):
        (tmp_path / "own" / "cat").mkdir(parents=True, exist_ok=True)
        (tmp_path / "own" / "cat" / f"{number}.jpg").write_bytes(b"no image")
    (tmp_path / "page.pt").write_text("<html>404 not found</html>")
    executor = Recorder()
    monkeypatch.setattr(sweep, "make_executor", lambda args: executor)
    data = ["folder", "--root", str(tmp_path / "own")] if fault == "images" else ["clothing_64"]
    more = [] if fault == "images" else ["--backbone", str(tmp_path / "page.pt")]
    seeds = ["1"] if "--search" in words else ["1", "2"]
    sizes = ["few_shot", "--methods", "CoOp", "--shots", "2", "--seeds", *seeds, "--output", str(tmp_path / "out")]
    assert sweep.main([*sizes, "--datasets", *data, *more, *words]) == 2
    said = capsys.readouterr().err
    wanted = "one class only, 'cat'" if fault == "images" else "page.pt"
    (line,) = [line for line in said.splitlines() if wanted in line]
    assert line.startswith("error: ") and f"({len(seeds)} of {len(seeds)} runs need it; nothing was started)" in said
    assert "submit" not in executor.asked and not (tmp_path / "out").exists()
    assert executor.asked[-1:] == ([] if "--search" in words else ["close"])


def test_what_the_start_of_a_context_keeps_from_being_read_is_said(call, capsys):
    """CoOp's file for Clothing names the words to start from; only their number decides the context's length."""
    words = ["--dry-run", "--set", "TRAINER.COOP.N_CTX=2,4"]
    assert call(*words) == 0
    (warning,) = capsys.readouterr().err.splitlines()
    assert warning.startswith("warning: TRAINER.COOP.N_CTX changes nothing in CoOp") and "'a photo of a'" in warning
    assert call(*words, "TRAINER.COOP.CTX_INIT=", "TRAINER.MMRL.ALPHA=0.5") == 0
    assert not capsys.readouterr().err


def test_what_made_no_difference_is_said(call, capsys):
    """The stand-in learns the same whatever it is wanted."""
    assert call("--set", "TRAINER.MMRL.ALPHA=0.3,0.7", "OPTIM.LR=0.1") == 0
    assert capsys.readouterr().err == (
        "note: TRAINER.MMRL.ALPHA made no difference to MMRL, its results are the same for all values.\n"
    )


def test_the_settings_of_every_method_can_be_varied():
    import trainers  # noqa: F401
    from dassl.engine import TRAINER_REGISTRY

    for name in methods():
        trainer = TRAINER_REGISTRY.get(name)
        assert all(concerns(f"TRAINER.{trainer.settings_node}.{key}", name) for key in trainer.defaults), name


def test_a_record_says_protocol_preset_and_swept_values(tmp_path):
    """By the settings of a real run, not started."""
    import train

    words = ["domain_generalization", "--methods", "MMRLpp", "--datasets", "caltech101_64", "--seeds", "2"]
    grid = ["--preset", "fair", "--set", "TRAINER.MMRLpp.REP_LAYERS=[5,6]"]
    trained, tested, *_ = sweep.planned(sweep.make_parser().parse_args([*words, *grid]))
    for run, protocol, test_classes in (
        (trained, "cross_dataset", "seen"),
        (tested, "domain_generalization", "unseen"),
    ):
        args = train.parse(run.arguments(tmp_path, "data", []))
        fields = json.loads(json.dumps(train.record_fields(train.settings_of_run(args), args)))
        assert (fields["protocol"], fields["test_classes"], fields["preset"]) == (protocol, test_classes, "fair")
        assert fields["swept"] == {"TRAINER.MMRLpp.REP_LAYERS": [5, 6]}
        assert fields["model_dir"] == (str(tmp_path / trained.folder) if run is tested else "")
        assert (fields["stage"], fields["seed"], fields["shots"]) == ("test" if run is tested else "train", 2, 16)
