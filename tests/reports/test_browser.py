"""The page in a real Chromium: draws, sorts, filters, fits a phone, goes dark, prints, complains of nothing.

Skips itself where there is none; the variable CHROMIUM can name one.
"""

import importlib.util
import io
import itertools
import sys
from pathlib import Path

import pytest
from PIL import Image

import report
from runs.protocol import methods

HERE = Path(__file__).parent


def beside(name):
    """A module of this folder: tests are no package."""
    spec = importlib.util.spec_from_file_location(f"reports_{name.replace('/', '_')}", HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


of_page = beside("render/test_html")
pytestmark = pytest.mark.extras


@pytest.fixture
def shown(make, tab, capsys):
    """The page of a small study, opened."""
    of_page.study(make)
    make.base2new("TCP", "EuroSAT", [8.0] * 3, [9.0] * 3)  # as text it would sort after 95
    report.main([str(make.root), "--format", "html"])

    def open_page(**options):
        tab.open(make.root / "report.html", **options)
        return tab

    return open_page


COLUMN = "[...document.querySelectorAll('#base2new tbody tr')].map((row) => row.cells[{}].textContent)"
ROWS = "[...document.querySelectorAll('table.data tbody tr')].filter((row) => row.offsetParent !== null).length"


def test_it_draws_without_complaints(shown):
    tab = shown()
    assert tab.run("document.querySelectorAll('#charts svg polyline').length") >= 3
    assert tab.run("document.querySelectorAll('#charts .panels .point').length") >= 8
    assert tab.run("document.querySelectorAll('#run-details figure svg').length") == 2  # training curve, confusion
    assert tab.run("document.querySelector('.bars span').textContent") == of_page.EVIL
    assert tab.run("document.querySelectorAll('img').length") == 0
    assert tab.complaints() == []


def test_a_head_sorts_by_number_and_back(shown):
    tab = shown()
    click = "document.querySelectorAll('#base2new thead button')[2].click()"
    tab.run(click)
    assert [text[:2] for text in tab.run(COLUMN.format(2))][:3] == ["8.", "91", "96"]
    assert tab.run("document.querySelectorAll('#base2new th')[2].getAttribute('aria-sort')") == "ascending"
    tab.run(click)
    assert [text[:2] for text in tab.run(COLUMN.format(2))][:3] == [
        "96",
        "91",
        "8.",
    ]  # those without a number stay last
    tab.run("document.querySelectorAll('#base2new thead button')[1].click()")
    names = tab.run(COLUMN.format(1))
    known = [name for name in names if name != of_page.EVIL]
    assert known == sorted(known) and len(set(known)) == 3


def test_words_filter_all_tables(shown):
    tab = shown()
    before = tab.run(ROWS)
    tab.write("#filter", "coop eurosat")
    assert 0 < tab.run(ROWS) < before
    assert set(tab.run(COLUMN.replace("tbody tr", "tbody tr:not([hidden])").format(1))) == {"CoOp"}
    assert "of" in tab.run("document.getElementById('shown').textContent")
    tab.write("#filter", "")
    assert tab.run(ROWS) == before
    tab.run("document.getElementById('complete-only').click()")
    assert set(tab.run(COLUMN.replace("tbody tr", "tbody tr:not([hidden])").format(1))) == {"MMRL", "TCP"}
    assert tab.complaints() == []


def test_a_tapped_point_is_told(shown):
    tab = shown()
    tap = "document.querySelector('#charts .point').dispatchEvent(new MouseEvent('click', { bubbles: true }))"
    tab.run(tap)
    line = tab.run("document.querySelector('#charts .hover-line').textContent")
    assert "images per class 1, accuracy in % 51" in line


def test_a_name_hides_its_line_and_names_are_in_the_image(shown):
    tab = shown()
    press = "document.querySelector('#charts .legend button').click()"
    hidden = "document.querySelectorAll('#charts .panels g[visibility=hidden]').length"
    assert tab.run(hidden) == 0
    tab.run(press)
    assert tab.run(hidden) == 1
    outside = (
        "[...document.querySelectorAll('.heatmap text, #charts .name')].filter((text) => {"
        "const [box, all] = [text.getBoundingClientRect(), text.closest('svg').getBoundingClientRect()];"
        "return box.left < all.left - 1 || box.right > all.right + 1 || box.top < all.top - 1 }).length"
    )
    assert tab.run("document.querySelectorAll('.heatmap text, #charts .name').length") >= 6
    assert tab.run(outside) == 0


def test_a_dataset_is_named_once_whatever_the_order(shown):
    tab = shown()
    begins = "document.querySelectorAll('#base2new tbody tr:not(.again):not([hidden])').length"
    datasets = (
        "new Set([...document.querySelectorAll('#base2new tbody tr')].map((row) => row.cells[0].textContent)).size"
    )
    assert tab.run(begins) == tab.run(datasets) == 3
    tab.run("document.querySelectorAll('#base2new thead button')[2].click()")
    inside = "document.querySelectorAll('#base2new tbody tr.again').length"
    assert tab.run(inside) == sum(a == b for a, b in itertools.pairwise(tab.run(COLUMN.format(0))))


def test_another_run_can_be_chosen(shown):
    tab = shown()
    flags = tab.run(
        "(() => { const s = document.getElementById('run'); s.value = '1'; s.dispatchEvent(new Event('change'));"
        "return document.querySelector('#run-details .note').textContent })()"
    )
    assert "seed2" in flags


def test_it_fits_a_phone(shown):
    tab = shown(width=390)
    assert tab.run("document.documentElement.scrollWidth") <= 390
    assert tab.run("document.querySelector('#charts svg').getBoundingClientRect().width") <= 390
    letters = tab.run("document.querySelector('#charts svg text').getBoundingClientRect().height")
    assert letters >= 11  # pixels
    assert tab.complaints() == []


@pytest.mark.parametrize("dark", [True, False])
def test_it_follows_the_colour_scheme(shown, dark):
    tab = shown(dark=dark)
    corner = Image.open(io.BytesIO(tab.screenshot())).convert("L").getpixel((2, 2))
    assert corner < 40 if dark else corner > 215


def test_it_prints(shown):
    tab = shown()
    assert tab.pdf().startswith(b"%PDF")
    tab.call("Emulation.setEmulatedMedia", media="print")
    assert tab.run("getComputedStyle(document.querySelector('nav')).display") == "none"
    assert tab.run("getComputedStyle(document.querySelector('.wide')).overflowX") == "visible"


def test_names_and_columns_are_chosen_by_clicking(shown):
    tab = shown()
    chip = "[...document.querySelectorAll('.chips button')].find((one) => one.textContent === '{}').click()"
    before = tab.run(ROWS)
    tab.run(chip.format("CoOp"))
    visible = tab.run(COLUMN.replace("tbody tr", "tbody tr:not([hidden])").format(1))
    assert tab.run(ROWS) < before and "CoOp" not in visible and "MMRL" in visible
    tab.run(chip.format("published"))
    shown_columns = (
        "[...document.querySelectorAll('#base2new thead th.other')].filter((one) => one.offsetParent).length"
    )
    assert tab.run(shown_columns) == 0
    tab.run(chip.format("CoOp"))
    assert tab.run(ROWS) == before and tab.complaints() == []


def test_a_table_is_downloaded_and_no_name_of_a_scatter_is_missing_on_a_phone(shown):
    tab = shown(width=390, height=844)
    tab.run("window.saved = []; HTMLAnchorElement.prototype.click = () => {}")
    tab.run("URL.createObjectURL = (blob) => { blob.text().then((text) => saved.push(text)); return 'blob:x'; }")
    for kind in ("csv", "latex"):
        tab.run(f"document.querySelector('#base2new [data-kind={kind}]').click()")
    tab.run("new Promise((done) => setTimeout(done, 200))")
    csv, latex = tab.run("saved")
    assert csv.startswith("table,dataset,method") and r"\begin{tabular}" in latex
    drawn = "document.querySelectorAll('#charts .name').length"
    assert tab.run(drawn) == tab.run("DATA.charts.find((chart) => chart.kind === 'scatter').series.length")


def test_many_methods_look_different_and_no_name_covers_another(make, tab):
    for i, name in enumerate(methods()):
        base = (60.0 + i % 7, 61.0 + i % 5)
        make.base2new(name, "EuroSAT", base, (50.0 + i % 3, 51.0 + i % 4))
    report.main([str(make.root), "--format", "html"])
    tab.open(make.root / "report.html", width=390)
    tab.wait_for("document.querySelectorAll('#charts .name').length > 4")
    looks = "new Set([...document.querySelectorAll('#charts .legend .swatch')].map((swatch) => swatch.outerHTML)).size"
    shown = tab.run("document.querySelectorAll('#charts .legend button').length")
    assert tab.run(looks) == shown > 24
    covered = (
        "(() => { const boxes = [...document.querySelectorAll('#charts .name')].map((one) => one.getBBox());"
        "return boxes.filter((a, i) => boxes.some((b, j) => j > i && a.x < b.x + b.width && b.x < a.x + a.width"
        " && Math.abs(a.y - b.y) < 10)).length })()"
    )
    assert tab.run(covered) == 0


FITS = "[...document.querySelectorAll('.wide')].every((box) => box.scrollWidth <= box.clientWidth)"
DENSE = "document.querySelectorAll('#few_shot .dense, #efficiency .dense').length"


def test_wide_tables_fit_a_window_of_1280(make, tab):
    measured = dict.fromkeys(("train_images_per_second", "test_images_per_second", "peak_memory_mib"), 12345.6)
    for method in ("CoOp", "MMRL", "MMRLpp"):
        make.base2new(method, "EuroSAT", [95.0] * 3, [70.0] * 3, efficiency=measured)
        for seed, shots in itertools.product((1, 2, 3), (1, 2, 4, 8, 16)):
            make(method, "Caltech101", 90.0, seed, "all", protocol="few_shot", shots=shots, backbone="RN50")
    assert report.main([str(make.root), "--format", "html"]) == 0
    tab.open(make.root / "report.html", width=1280)
    assert tab.run(FITS) and tab.run(DENSE) >= 1
    tab.run("document.querySelectorAll('.chips [data-part]').forEach((chip) => chip.click())")
    assert tab.run(DENSE) == 0, "what is not shown takes no room"
