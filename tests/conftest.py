"""What every test gets: caches of its own, not the user's."""

import os

import pytest


@pytest.fixture(scope="session", autouse=True)
def caches(tmp_path_factory):
    os.environ["CROP_CACHE"] = str(tmp_path_factory.mktemp("crops"))
