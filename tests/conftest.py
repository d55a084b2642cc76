"""Fixtures of every test: caches of its own, not the user's; for those that ask, a browser."""

import os
import sys

import pytest

import chromium
from safeio import threads  # noqa: F401  (before torch)


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


def pytest_terminal_summary(terminalreporter):
    """After golden comparisons: how near the nearest came to its limit."""
    golden = sys.modules.get("golden_cases")
    if shares := golden and golden.SHARES:
        what = max(shares, key=shares.get)
        terminalreporter.write_line(f"golden: largest share of a limit used: {shares[what]:.2f} ({what})")
