"""TEST.FIT_TEMPERATURE: from the training classes' validation images, never from test images or from new classes."""

import json

import pytest
from short_runs import Runs

import train

FIT = ("TEST.FIT_TEMPERATURE", True)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return Runs(tmp_path_factory.mktemp("runs"))


def calibration(folder):
    return json.loads((folder / "run.json").read_text())["calibration"]


def evaluated(runs, output, trained, *options):
    words = runs.arguments("CoOp", "new", output, *options)
    assert train.main([*words[:8], "--eval-only", "--model-dir", str(trained), *words[8:]]) == 0
    return calibration(output)


def test_new_classes_take_the_temperature_of_the_run_that_trained(runs, tmp_path):
    plain, fitted = runs("CoOp"), runs("CoOp", "base", *map(str, FIT))
    assert "temperature" not in calibration(plain)
    base = calibration(fitted)
    assert {key: base[key] for key in calibration(plain)} == calibration(plain), "what was measured stays as it was"
    assert base["temperature"] > 0 and base["scaled"]["images"] == base["images"]
    new = evaluated(runs, tmp_path / "new", fitted, *map(str, FIT))
    assert new["temperature"] == base["temperature"] and new["scaled"]["nll"] != new["nll"]


def test_new_classes_never_fit_one_of_their_own(runs, tmp_path, capsys):
    assert "temperature" not in evaluated(runs, tmp_path / "new", runs("CoOp"), *map(str, FIT))
    assert "No temperature is fitted: the classes tested are not the trained ones" in capsys.readouterr().out


def test_validation_images_that_are_test_images_fit_none(runs, tmp_path, capsys, monkeypatch):
    from trainers.coop import CoOp

    plain = CoOp.build_data_loader

    def same(self):
        plain(self)
        self.dm.dataset._val = self.dm.dataset._test

    monkeypatch.setattr(CoOp, "build_data_loader", same)
    assert train.main(runs.arguments("CoOp", "base", tmp_path / "same", *map(str, FIT))) == 0
    assert "are test images" in capsys.readouterr().out and "temperature" not in calibration(tmp_path / "same")
