"""CoOp's result parser."""

import importlib.util
from pathlib import Path

import pytest

PATH = Path(__file__).parents[2] / "parse_test_res.py"


@pytest.fixture(scope="module")
def parse():
    spec = importlib.util.spec_from_file_location("parse_test_res", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return lambda *argv: module.main([str(word) for word in argv])


def result(accuracy, f1=50.0):
    return f"=> result\n* total: 1,549\n* correct: 9\n* accuracy: {accuracy}%\n* error: 1%\n* macro_f1: {f1}%\n"


def training_log(accuracy, wording="Finish training"):
    return f"epoch [1/2]\n{result(11.1)}{wording}\nDeploy the model\n{result(accuracy)}Elapsed: 0:00:09\n"


@pytest.fixture
def write(tmp_path):
    def write(**logs):
        for name, text in logs.items():
            folder = tmp_path / name
            folder.mkdir(parents=True)
            (folder / "log.txt").write_text(text)
        return tmp_path

    return write


def test_mean_and_deviation(parse, write, capsys):
    folder = write(
        seed1=training_log(90.0), seed2=training_log(93.0, "Finished training"), seed3=training_log("9.6e+1")
    )
    assert parse(folder) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"file: {folder}/seed1/log.txt. accuracy: 90.00%. "
    assert lines[3:] == [
        "===",
        f"Summary of directory: {folder}",
        "* accuracy: 93.00% +- 2.45%",
        "runs with a result: 3 of 3",
        "===",
    ]
    parse(folder, "--ci95", "--keyword", "macro_f1")
    assert "* macro_f1: 50.00% +- 0.00%" in capsys.readouterr().out
    parse(folder, "--ci95")
    assert "* accuracy: 93.00% +- 2.77%" in capsys.readouterr().out  # 1.96 * 2.449 / sqrt(3)


def test_runs_without_a_result_are_named(parse, write, capsys):
    folder = write(seed1=training_log(90.0), seed2=result(70.0), seed3="epoch [1/2]\n")
    (folder / "seed4").mkdir()
    assert parse(folder) == 0
    out = capsys.readouterr().out
    assert "* accuracy: 90.00% +- 0.00%" in out
    assert "runs with a result: 1 of 4, missing: seed2, seed3, seed4" in out
    assert "seed2/log.txt: training did not finish; if it is an evaluation log, use --test-log" in out
    assert "seed3/log.txt: no accuracy in it" in out and "seed4/log.txt: there is no such file" in out


def test_a_number_beyond_all_accuracies_is_no_result(parse, write, capsys):
    folder = write(seed1=result("9" * 400), seed2=result(50.0))
    assert parse(folder, "--test-log") == 0
    shown = capsys.readouterr().out
    assert "* accuracy: 50.00% +- 0.00%" in shown and "missing: seed1" in shown


def test_evaluation_logs(parse, write, capsys):
    folder = write(seed1=result(70.0), seed2=result(60.0) + result(80.0))
    assert parse(folder, "--test-log") == 0
    assert "* accuracy: 75.00% +- 5.00%" in capsys.readouterr().out
    assert parse(folder) == 1
    assert "runs with a result: 0 of 2, missing: seed1, seed2" in capsys.readouterr().out


def test_files_and_hidden_entries_beside_runs_are_ignored(parse, write, capsys):
    folder = write(seed1=training_log(90.0), **{".cache": "x"})
    (folder / "parse.txt").write_text(training_log(1.0))
    assert parse(folder) == 0
    assert "runs with a result: 1 of 1\n" in capsys.readouterr().out
    assert {path.name for path in folder.iterdir()} == {"seed1", ".cache", "parse.txt"}  # nothing is written


def test_several_experiments(parse, write, capsys):
    folder = write(**{"a/seed1": training_log(90.0), "a/seed2": training_log(80.0), "b/seed1": training_log(60.0)})
    (folder / "c").mkdir()
    assert parse(folder, "--multi-exp") == 0
    end = capsys.readouterr().out.splitlines()[-3:]
    assert end == ["Average performance", "* accuracy: 72.50%", "experiments with a result: 2 of 3"]


def test_missing_folder(parse, tmp_path, capsys):
    with pytest.raises(SystemExit):
        parse(tmp_path / "nowhere")
    assert "nowhere" in capsys.readouterr().err
