"""One word for each thing, in code and in prose, so that a search finds all of it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

PROJECT = Path(__file__).parent.parent
TRACKED = subprocess.run(["git", "ls-files"], cwd=PROJECT, capture_output=True, text=True).stdout.split("\n")
TEXT = (".py", ".md", ".yaml", ".yml", ".sh", ".toml", ".js", ".html", ".cff")
ELSEWHERE = re.compile(
    r"https?://\S+|[\w./-]*configs/experiments\S*|[\w/]*base_to_new\w*\.(?:yaml|png)"  # names of others' files
)
OTHER_SPELLINGS = re.compile(
    r"\bbase[- ]to[- ]new\b|\bbase to novel\b|base_to_(?:new|novel)|\bcross[ -]datasets\b", re.I
)
"""Spellings of base-to-novel and cross-dataset; their keys are `base2new` and `cross_dataset`."""
OTHER_WORDS = re.compile(r"\b(?:towers?|pictures?|shares? of|\w+_share|(?:training|validation|test) parts?)\b", re.I)
"""Other words for encoder, image, fraction and split; "share" is the verb."""
KEYS = re.compile(r"\b(?:base2new|cross_datasets?|B2N)\b")
CODE = re.compile(r"^```.*?^```|`[^`]+`|\]\([^)]*\)|^ {4,}.*$|^\|.*$|https?://\S+", re.S | re.M)
"""Parts of a page that are no prose."""


def texts() -> dict[str, str]:
    """Return the content of the project's own text files by name, without this file's and published results'."""
    names = [
        name for name in TRACKED if name.endswith(TEXT) and not name.startswith(("reports/published/", "tests/golden/"))
    ]
    return {name: (PROJECT / name).read_text(encoding="utf-8") for name in names if name != "tests/test_words.py"}


def found(pattern: re.Pattern[str], content: dict[str, str]) -> list[str]:
    return [
        f"{name}:{number}: {match[0]}"
        for name, text in content.items()
        for number, line in enumerate(text.splitlines(), 1)
        for match in pattern.finditer(ELSEWHERE.sub("", line))
    ]


def test_a_protocol_has_one_spelling():
    assert not found(OTHER_SPELLINGS, texts())


def test_prose_calls_protocols_by_their_names_and_not_by_their_keys():
    pages = {name: CODE.sub("", text) for name, text in texts().items() if name.endswith(".md")}
    assert len(pages) > 20 and not found(KEYS, pages)


def test_images_encoders_fractions_and_splits_have_one_name():
    content = texts()
    del content["datasets/own/split_words.py"], content["tests/datasets/own/test_layouts.py"]  # names of users' folders
    del content["safeio/old_spellings.py"], content["tests/safeio/test_old_spellings.py"]  # names of earlier versions
    assert not found(OTHER_WORDS, content)
