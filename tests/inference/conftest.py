"""Finished runs of every method, on a tiny random CLIP and a folder of images."""

from __future__ import annotations

import pytest
from short_runs import Runs

from dassl.engine import TRAINER_REGISTRY
from trainers.base.trainer import ClipTrainer


@pytest.fixture(scope="session")
def runs(tmp_path_factory) -> Runs:
    return Runs(tmp_path_factory.mktemp("inference"))


def pytest_generate_tests(metafunc):
    """`method`: every method of ours; no list of names here."""
    if "method" in metafunc.fixturenames:
        names = TRAINER_REGISTRY.registered_names()
        metafunc.parametrize("method", [n for n in names if issubclass(TRAINER_REGISTRY.get(n), ClipTrainer)])
