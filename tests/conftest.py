"""What every test gets: caches of its own, not the user's; for those that ask, a browser."""

import os

import pytest

import chromium


@pytest.fixture(scope="session", autouse=True)
def caches(tmp_path_factory):
    os.environ["CROP_CACHE"] = str(tmp_path_factory.mktemp("crops"))


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    """A tab of a real Chromium (`tests/chromium.py`)."""
    if chromium.find() is None:
        pytest.skip("no Chromium: set CHROMIUM to one's path")
    page = chromium.Page(tmp_path_factory.mktemp("profile"))
    yield page
    page.close()
