"""Hook of mkdocs, for what pages in the repository have and a site has not.

Formulas, written as GitHub writes them (blocks fenced as `math`, $`...`$ within a line), become MathML, which browsers
draw without scripts or fonts from elsewhere. Links to files outside of docs/ become the file's path.
"""

from __future__ import annotations

import posixpath
import re
from typing import Any

from latex2mathml.converter import convert

FORMULA = re.compile(r"^```math\n(?P<block>.+?)^```$|\$`(?P<inline>[^`\n]+)`\$", re.M | re.S)
MARK = "formula-{}-end"
"""Stands for a formula while Markdown is read, which would take its stars and underscores for emphasis."""
UPWARD = re.compile(r"(?<!!)\[(?P<text>[^\]]+)\]\((?P<path>\.\./[^)#\s]+)(?:#[^)]*)?\)")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Take the formulas out of a page; name files that are not on the site."""
    page.formulas = []
    folder = posixpath.dirname(page.file.src_uri)

    def take(match: re.Match[str]) -> str:
        display = "block" if match["block"] else "inline"
        page.formulas.append(convert((match["block"] or match["inline"]).strip(), display=display))
        return MARK.format(len(page.formulas) - 1)

    def name(match: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join("docs", folder, match["path"]))
        return match[0] if path.startswith("docs/") else f"{match['text']} (`{path}`)"

    return UPWARD.sub(name, FORMULA.sub(take, markdown))


def on_page_content(html: str, page: Any, **_: Any) -> str:
    """Put the formulas back as MathML."""
    return re.sub(MARK.format(r"(\d+)"), lambda match: page.formulas[int(match[1])], html)
