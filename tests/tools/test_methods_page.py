"""docs/methods.md has the table that `python -m tools.methods_page` writes."""

import pytest

from runs.names import METHODS
from runs.protocol import read
from tools import methods_page


def test_it_is_up_to_date(capsys):
    assert methods_page.main(["--check"]) == 0, capsys.readouterr().out


def test_a_method_without_an_entry_is_refused():
    entries = {name: cells for name, cells in read(METHODS).items() if name != "CoOp"}
    with pytest.raises(ValueError, match="differ in CoOp"):
        list(methods_page.rows(entries))


@pytest.mark.parametrize(
    ("method", "cited"),
    [
        ("MMRL", "Guo and Gu, CVPR 2025"),
        ("CoOp", "Zhou et al., IJCV 2022"),
        ("CLIPLoRA", "Zanella and Ben Ayed, CVPRW 2024"),
        ("CLAP", "Silva-Rodríguez et al., CVPR 2024"),
    ],
)
def test_a_paper_is_cited_by_authors_venue_and_year(method, cited):
    assert methods_page.paper(method) == cited


def test_protocols_without_published_settings_or_without_new_classes_are_marked():
    assert methods_page.protocols("VPT") == "B X (F)"
    assert methods_page.protocols("TaskRes") == r"F (B\* X\*)"


def test_the_command_is_few_shot_where_new_classes_cannot_be_predicted():
    assert methods_page.command("MMRL", "") == "`bash scripts/mmrl/base2new_train.sh DATASET 1`"
    assert methods_page.command("TaskRes", "A 1") == "`bash scripts/task_res/few_shot.sh DATASET 1 A 1`"
