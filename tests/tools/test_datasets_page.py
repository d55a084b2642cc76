"""docs/datasets.md has the table that `python -m tools.datasets_page` writes."""

from tools import datasets_page


def test_it_is_up_to_date(capsys):
    assert datasets_page.main(["--check"]) == 0, capsys.readouterr().out


def test_files_that_a_fetched_archive_holds_are_not_fetched_by_hand():
    files = [{"name": "a.zip", "url": "https://a"}, {"name": "b.tar", "from": "a.zip"}, {"name": "c", "from": "a copy"}]
    assert list(datasets_page.by_hand({"files": files})) == ["`c`"]
