"""Fixtures of every test: caches of its own, not the user's; for those that ask, a browser."""

import os
import signal
import sys
from pathlib import Path

import pytest

import chromium
from safeio import threads  # noqa: F401  (before torch)

SLOW = (
    *("benchmarks", "docs", "gpu", "integration", "packaging", "test_types.py", "dassl/test_exact_resume.py"),
    *(
        "mmrl/test_learning.py",
        "reports/test_browser.py",
        "reports/render/test_latex.py",
        "runs/sweep/test_ray_cluster.py",
    ),
    *("runs/sweep/test_sweep_killed.py", "runs/sweep/test_warm.py", "tools/test_inject_faults.py"),
    *("trainers/steps/test_distributed.py", "trainers/test_methods_as_plugins.py"),
)
"""Folders and files whose tests train whole runs, start processes, open pages or build the package."""


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        path = item.path.relative_to(here).as_posix()
        if path in SLOW or path.partition("/")[0] in SLOW:
            item.add_marker("slow")


@pytest.fixture(scope="session", autouse=True)
def interruptible():
    """Let SIGINT stop runs again: processes that a script starts in the background ignore it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


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
    if fractions := golden and golden.FRACTIONS:
        what = max(fractions, key=fractions.get)
        terminalreporter.write_line(f"golden: largest fraction of a limit used: {fractions[what]:.2f} ({what})")
