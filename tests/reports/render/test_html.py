"""The HTML page as a file: complete, self-contained, nothing from a record becomes markup. Needs no browser."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

import report

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>'\"&"


class Parsed(HTMLParser):
    """Tags with attributes, the text of scripts, the cells of tables."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.scripts, self.cells, self.bold, self._in = [], [], [], [], None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self._in = "td" if self._in == "td" and tag in ("b", "span") else tag
        if tag == "script":
            self.scripts.append("")
        if tag == "td":
            self.cells.append("")
        if tag == "b":
            self.bold.append("")

    def handle_endtag(self, tag):
        self._in = self._in if tag in ("b", "span") else None

    def handle_data(self, data):
        if self._in == "script":
            self.scripts[-1] += data
        if self._in == "td":
            self.cells[-1] += data
        if self.tags and self.tags[-1][0] == "b" and self.bold[-1] == "":
            self.bold[-1] += data


@pytest.fixture
def page(make, capsys):
    def build(*arguments):
        assert report.main([str(make.root), "--format", "html", *arguments]) == 0
        return (make.root / "report.html").read_text(encoding="utf-8")

    return build


def study(make):
    """A bit of everything."""
    counts = [[0, 0, 8], [0, 1, 2], [1, 1, 5], [1, 0, 5]]
    confusion = {"classes": ["cat", EVIL], "counts": counts}
    curve = [{"epoch": epoch, "loss": 3.0 / epoch, "acc": 20.0 * epoch, "lr": 0.002} for epoch in (1, 2, 3)]
    make.base2new("MMRL", "EuroSAT", [95.0, 96.0, 97.0], [70.0, 72.0, 74.0], confusion=confusion, curve=curve)
    make.base2new("CoOp", "EuroSAT", [91.0, 92.0], [50.0, 52.0])
    for tokens in (1, 9):
        make.base2new("MMRL", "EuroSAT", [90.0 + tokens], [70.0], swept={"TRAINER.MMRL.N_REP_TOKENS": tokens})
    for shots in (1, 2, 4):
        make(part="all", protocol="few_shot", shots=shots, accuracy=50.0 + shots)
    make(method=EVIL, dataset=EVIL, status="failed")


def test_it_asks_nothing_of_anywhere(make, page):
    study(make)
    text = page()
    parsed = Parsed(text)
    for tag, attributes in parsed.tags:
        assert not {"src", "srcset", "action", "formaction", "data", "poster"} & set(attributes), (tag, attributes)
        assert attributes.get("href", "#").startswith("#")
        assert not any(name.startswith("on") or name == "style" for name in attributes)
    assert not {"link", "iframe", "object", "embed", "base", "form", "img"} & {tag for tag, _ in parsed.tags}
    style = re.search("<style>(.*?)</style>", text, re.S)[1]
    assert "url(" not in style and "@import" not in style
    addresses = set(re.findall(r"(?:https?:)?//[a-z][\w.-]+\.[a-z]{2,}", parsed.scripts[-1] + style))
    assert addresses <= {"http://www.w3.org"}  # the name of SVG, never fetched


def test_only_its_own_script_may_run(make, page):
    study(make)
    parsed = Parsed(page())
    (policy,) = [a["content"] for tag, a in parsed.tags if tag == "meta" and "http-equiv" in a]
    _, script = parsed.scripts
    expected = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"'sha256-{expected}'" in policy and "default-src 'none'" in policy and "script-src 'unsafe" not in policy
    assert "innerHTML" not in script and "insertAdjacentHTML" not in script and "document.write" not in script


def test_names_from_records_stay_text(make, page):
    study(make)
    text = page()
    parsed = Parsed(text)
    assert "<script>alert" not in text and "<img" not in text
    assert EVIL in [json.loads(parsed.scripts[0])["runs"][0]["classes"][1]]
    assert any(EVIL in cell or "script_<script" in cell or "_script>" in cell for cell in parsed.cells)


def test_cells_say_what_the_tables_say(make, page):
    study(make)
    parsed = Parsed(page())
    assert {"96.00 ± 0.82 (n=3)", "+0.40", "91.50 ± 0.50 (n=2)* [1]"} <= set(parsed.cells)
    assert any(re.match(r"95\.60 \d\d\.\d\d–\d\d\.\d\d$", cell) for cell in parsed.cells), (
        "published, and what others report"
    )
    values = [float(a["data-value"]) for tag, a in parsed.tags if tag == "td" and "data-value" in a]
    assert 96.0 in values
    titles = [a["title"] for tag, a in parsed.tags if tag == "td" and "title" in a]
    assert all(any(words in title for title in titles) for words in ("VACSR", "2 of 3 seeds"))


def test_charts_and_details_are_in_the_data(make, page):
    study(make)
    data = json.loads(Parsed(page()).scripts[0])
    kinds = {chart["kind"]: chart for chart in data["charts"]}
    assert set(kinds) == {"few_shot", "scatter", "ablation"}
    assert [point["x"] for point in kinds["few_shot"]["series"][0]["points"]] == [1, 2, 4]
    base = next(series for series in kinds["ablation"]["series"] if series["label"] == "base")
    assert [(point["x"], point["y"]) for point in base["points"]] == [(1, 91.0), (9, 99.0)]
    run = data["runs"][0]
    assert (run["correct"], run["total"], run["pairs"]) == ([8, 5], [10, 10], [[1, 0, 5], [0, 1, 2]])
    assert [row["loss"] for row in run["curve"]] == [3.0, 1.5, 1.0]


@pytest.mark.parametrize("broken", ["{", "[]", '{"classes": ["a"], "counts": [[0, 5, 1]]}', '{"classes": 3}'])
def test_a_damaged_file_of_a_run_leaves_its_details_out(make, page, broken):
    folder = make(curve=[{"epoch": 1, "loss": 1.0}])
    (folder / "confusion.json").write_text(broken)
    (run,) = json.loads(Parsed(page()).scripts[0])["runs"]
    assert run["classes"] == [] and run["curve"]


def test_old_records_make_a_page_without_details(make, page):
    make.base2new("MMRL", "EuroSAT", [95.0], [70.0])
    text = page()
    assert 'id="details"' not in text and json.loads(Parsed(text).scripts[0])["runs"] == []


def test_a_run_that_still_runs_or_was_killed_does_not_spoil_the_page(make, page):
    make.base2new("MMRL", "EuroSAT", [95.0], [70.0])
    make("CoOp", status="running")
    parsed = Parsed(page())
    assert "running" in parsed.cells and any("CoOp" in cell for cell in parsed.cells)


def test_the_best_complete_number_is_bold(make, page):
    make.base2new("MMRL", "EuroSAT", [95.0, 96.0, 97.0], [70.0] * 3)
    make.base2new("CoOp", "EuroSAT", [91.0] * 3, [72.0] * 3)
    make.base2new("TCP", "EuroSAT", [99.0], [99.0])  # of one seed
    assert Parsed(page()).bold == ["72.00", "96.00", "80.96"]
