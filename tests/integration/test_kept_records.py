"""A command that is refused leaves the record of the run in its folder as it was."""

from __future__ import annotations

import json
import shutil

import pytest
from short_runs import clothes

import train
from runs.record import FILE_NAME


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    assert train.main(clothes(folder, "OPTIM.MAX_EPOCH", 2)) == 0
    return folder


@pytest.fixture
def run(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


REFUSED = {
    "fewer epochs": (("OPTIM.MAX_EPOCH", 1), "has trained 2 epochs"),
    "another rate": (("OPTIM.MAX_EPOCH", 2, "OPTIM.LR", 0.5), "OPTIM.LR: 0.002 there, 0.5 here"),
    "other shots": (("OPTIM.MAX_EPOCH", 2, "DATASET.NUM_SHOTS", 2), "NUM_SHOTS: 1 there, 2 here"),
    "another CLIP": (("OPTIM.MAX_EPOCH", 2, "MODEL.BACKBONE.NAME", "lost.pt"), "lost.pt"),
    "no such image size": (("OPTIM.MAX_EPOCH", 2, "INPUT.SIZE", "(0, 0)"), "INPUT.SIZE"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refused_command_keeps_the_record(case, run, capsys):
    words, said = REFUSED[case]
    before = (run / FILE_NAME).read_bytes()
    assert train.main(clothes(run, *words)) in (1, 2)
    assert said in capsys.readouterr().err and (run / FILE_NAME).read_bytes() == before


def test_an_interrupted_run_stays_one_that_can_be_continued(run):
    record = json.loads((run / FILE_NAME).read_bytes()) | {"status": "interrupted", "built": True}
    (run / FILE_NAME).write_text(json.dumps(record))
    assert train.main(clothes(run, "OPTIM.MAX_EPOCH", 2, "DATASET.NUM_SHOTS", 2)) == 1
    assert json.loads((run / FILE_NAME).read_bytes()) == record
    assert train.main(clothes(run, "OPTIM.MAX_EPOCH", 2)) == 0
    assert json.loads((run / FILE_NAME).read_bytes())["status"] == "complete"


def test_another_method_or_a_test_takes_a_folder_of_its_own(run, capsys):
    before = (run / FILE_NAME).read_bytes()
    assert train.main(clothes(run, "OPTIM.MAX_EPOCH", 2, method="ProGrad")) == 2
    assert f"{run} holds a complete run of CoOp" in capsys.readouterr().err
    assert train.main(clothes(run, "--eval-only", "--model-dir", run, "OPTIM.MAX_EPOCH", 2)) == 2
    assert f"{run} holds a complete training" in capsys.readouterr().err
    assert (run / FILE_NAME).read_bytes() == before


def test_more_epochs_continue_a_complete_run(run):
    assert train.main(clothes(run, "OPTIM.MAX_EPOCH", 3)) == 0
    assert json.loads((run / FILE_NAME).read_bytes())["config"]["OPTIM"]["MAX_EPOCH"] == 3
