"""docs/methods/files.md is what `python -m tools.method_files` writes; lines may have changed a little since."""

import re

from tools import method_files


def without_counts(page: str) -> str:
    return re.sub(r"\| \d+ \||[\d,]+ lines", "", page)


def test_page_is_up_to_date():
    written = method_files.PAGE.read_text(encoding="utf-8")
    assert without_counts(written) == without_counts(method_files.page()), "python -m tools.method_files"


def test_every_published_code_has_its_licence_named():
    unknown = [method for method in method_files.methods() if "licence" not in method_files.sources_of(method)]
    assert not unknown, f"configs/trainers/{{{','.join(unknown)}}}/sources.yaml"


def test_a_method_file_stays_short():
    assert max(method_files.files().values()) <= 260
