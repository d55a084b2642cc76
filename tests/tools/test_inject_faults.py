"""The fault injection itself, with one fault: a run killed while it writes a checkpoint loses nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import inject_faults
from tools.faults.bench import Bench


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks at processes as Linux shows them")
def test_nothing_is_lost(capsys):
    assert inject_faults.main(["--kills", "2", "--only", "writing"]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")][1:]
    assert [[cell.strip() for cell in row.strip("|").split("|")][1::2] for row in rows] == [["1", "0"]]


def test_a_run_that_ends_otherwise_is_counted(tmp_path, monkeypatch, capsys):
    """The tool can find something: a bench whose runs end each in another way."""

    class Forgetful(Bench):
        def finish(self, output):
            self.seconds = 0
            return str(output)

    def harmless(bench, times):
        return inject_faults.Row("nothing", times, "forgets", bench.lost(bench.new()))

    monkeypatch.setattr(inject_faults, "Bench", Forgetful)
    monkeypatch.setitem(inject_faults.SCENARIOS, "kill", (harmless, 1))
    assert inject_faults.main(["--kills", "1", "--only", "kill"]) == 1
    assert "| nothing | 1 | forgets | 1 |" in capsys.readouterr().out
