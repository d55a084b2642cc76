"""Faults in the data, weights and settings of planned runs are found before any starts."""

from __future__ import annotations

import pytest

import train


def builder(tmp_path, *more, method="CoOp", data=("DATASET.NAME", "Clothing")):
    words = ["--trainer", method, "--config-file", f"configs/trainers/{method}/photo.yaml", "--root", str(tmp_path)]
    return train.settings_of_run(train.parse([*words, "--output-dir", str(tmp_path / "run"), *data, *more]))


def test_runs_that_can_start_have_no_problem(tmp_path):
    assert train.problems([builder(tmp_path), builder(tmp_path, "SEED", "2"), builder(tmp_path, method="MMRL")]) == {}


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        (["INPUT.SIZE", "(224,224)"], "INPUT.SIZE (64,64)"),
        (["TRAINER.COOP.CTX_INIT", "", "TRAINER.COOP.N_CTX", "76"], "context of 76"),
        (["TRAINER.COOP.PREC", "fp16", "USE_CUDA", "False"], "PREC fp16 needs a GPU"),
        (["DATASET.NAME", "DescribableTextures"], "no folder"),
    ],
)
def test_each_cause_has_one_message_with_the_number_of_runs(more, wanted, tmp_path):
    runs = [builder(tmp_path, *more, "SEED", str(seed)) for seed in (1, 2, 3)]
    ((message, count),) = train.problems([*runs, builder(tmp_path)]).items()
    assert wanted in message and count == 3


def test_a_device_counts_only_where_the_runs_are_for_this_machine(tmp_path):
    run = builder(tmp_path, "TRAINER.COOP.PREC", "fp16", "USE_CUDA", "False")
    assert train.problems([run]) and not train.problems([run], here=False)


def test_a_run_with_several_faults_is_counted_once(tmp_path):
    runs = [builder(tmp_path, "INPUT.SIZE", "(32,32)", "DATASET.NAME", "DescribableTextures")]
    assert list(train.problems(runs).values()) == [1]
