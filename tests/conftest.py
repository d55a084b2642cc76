"""What every test gets: caches of its own, not the user's; for those that ask, a browser."""

import importlib.util
import os
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location("chromium", Path(__file__).with_name("chromium.py"))
chromium = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(chromium)


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
