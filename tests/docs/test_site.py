"""The documentation as a site: it builds without warnings, every page can be reached, nothing comes from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml

pytest.importorskip("mkdocs")
pytest.importorskip("material")

PROJECT = Path(__file__).parents[2]
DOCS = PROJECT / "docs"
LOADS = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}


class Page(HTMLParser):
    """Links of a page, files it loads, and its anchors."""

    def __init__(self, path: Path):
        super().__init__()
        self.links, self.loads, self.anchors, self.formulas = [], [], set(), 0
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list) -> None:
        found = dict(attrs)
        self.anchors |= {found["id"]} if "id" in found else set()
        self.formulas += tag == "math" and found.get("display") == "block"
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        if tag in LOADS and found.get(LOADS[tag]) and found.get("rel") != "canonical":
            self.loads.append(found[LOADS[tag]])


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> dict[Path, Page]:
    """The built pages by file."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=PROJECT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    return {path: Page(path) for path in folder.rglob("*.html") if path.name != "404.html"}


def leaves(nav: list | dict | str) -> list[str]:
    """The files of a navigation."""
    if isinstance(nav, str):
        return [nav]
    return [file for entry in (nav.values() if isinstance(nav, dict) else nav) for file in leaves(entry)]


def test_every_page_is_in_the_navigation_once():
    nav = leaves(yaml.safe_load((PROJECT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"])
    assert sorted(nav) == sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))


def test_every_page_is_built(site):
    assert len(site) == len(list(DOCS.rglob("*.md")))


def test_every_link_resolves(site):
    """Files and anchors in them; addresses elsewhere are not visited."""
    broken = []
    for path, page in site.items():
        for link in page.links:
            file, _, anchor = unquote(link).partition("#")
            if re.match(r"[a-z]+:", file):
                continue
            target = (path.parent / file).resolve() if file else path
            there = target.is_file() and (not anchor or target not in site or anchor in site[target].anchors)
            broken += [] if there else [f"{path.name}: {link}"]
    assert not broken


def test_nothing_is_loaded_from_elsewhere(site):
    for path, page in site.items():
        for load in page.loads:
            assert not re.match(r"(https?:)?//", load), f"{path.name} loads {load}"
            assert (path.parent / unquote(load).split("?")[0]).exists(), f"{path.name} loads {load}"


def test_every_formula_is_drawn(site):
    for path, page in site.items():
        source = next(file for file in DOCS.rglob("*.md") if file.stem == path.stem)
        text = source.read_text(encoding="utf-8")
        assert page.formulas == text.count("```math\n"), path.name
        assert "formula-" not in path.read_text(encoding="utf-8")


def test_the_search_works_in_a_page_opened_as_a_file(site, tab):
    tab.open(next(path for path in site if path.name == "index.html"))
    tab.run("document.querySelector('.md-search__input').focus()")
    tab.wait_for("document.querySelector('.md-search-result__meta').textContent.includes('Type to start')")
    tab.write(".md-search__input", "representation tokens")
    tab.run("document.querySelector('.md-search__input').dispatchEvent(new KeyboardEvent('keyup', { bubbles: true }))")
    tab.wait_for("document.querySelectorAll('.md-search-result__item').length > 2")
    assert "matching documents" in tab.run("document.querySelector('.md-search-result__meta').textContent")
    assert not [complaint for complaint in tab.complaints(console=False) if not complaint.startswith("data:")]
