"""Text of unknown origin as plain text of each format that it goes to.

Class names, folder names and error messages come from files. One function for each format keeps them from being read
as commands of that format.
"""

from __future__ import annotations

import html as _html
import json
import re
import unicodedata
from typing import Any

SPECIAL_IN_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"{\char34}",  # the default font encoding lacks \textquotedbl
    # Behind the end of a table's row, a bracket begins a length and a star is part of the command.
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    "`": r"\textasciigrave{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "±": r"$\pm$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "−": r"$-$",
    "Δ": r"$\Delta$",
    "α": r"$\alpha$",
    "β": r"$\beta$",
    "λ": r"$\lambda$",
    "τ": r"$\tau$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "→": r"$\rightarrow$",
    "°": r"$^{\circ}$",
    "µ": r"$\mu$",
    "μ": r"$\mu$",
    "…": r"\dots{}",
    "–": "--",
    "—": "---",
    "‘": "`",
    "’": "'",
    "“": "``",
    "”": "''",
    "ß": r"\ss{}",
    "æ": r"\ae{}",
    "Æ": r"\AE{}",
    "ø": r"\o{}",
    "Ø": r"\O{}",
    "ł": r"\l{}",
    "Ł": r"\L{}",
    "œ": r"\oe{}",
    "Œ": r"\OE{}",
    "ı": r"\i{}",
    "\u00a0": "~",
    "\u202f": r"\,",
    "\u00ad": r"\-",
}
ACCENTS_OF_LATEX = {
    "\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0304": "=", "\u0306": "u", "\u0307": ".",
    "\u0308": '"', "\u030a": "r", "\u030b": "H", "\u030c": "v", "\u0323": "d", "\u0327": "c",
}  # fmt: skip
"""Combining character -> LaTeX's accent command."""

LONGEST_SHOWN = 200
LIGATURES = "-,"
"""Characters that LaTeX joins when one follows another."""

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""Spreadsheets run a cell that begins with one of these (the last four: full-width forms) as a formula."""


def for_latex(text: str) -> str:
    """Return text that pdfLaTeX prints as it is, whatever font encoding the document has.

    Characters that it has no command for are printed as their code point, ``[U+4E2D]``.
    """
    pairs = zip(text, " " + text, strict=False)
    return "".join(
        ("{}" if same == before and same in LIGATURES else "") + _latex_character(same) for same, before in pairs
    )


def _latex_character(character: str) -> str:
    if character in SPECIAL_IN_LATEX:
        return SPECIAL_IN_LATEX[character]
    if " " <= character <= "~":
        return character
    if character.isspace():
        return " "
    parts = unicodedata.normalize("NFD", character)
    if len(parts) == 2 and parts[0].isascii() and parts[0].isalpha() and parts[1] in ACCENTS_OF_LATEX:
        letter = rf"\{parts[0]}" + "{}" if parts[0] in "ij" else parts[0]
        return rf"\{ACCENTS_OF_LATEX[parts[1]]}{{{letter}}}"
    return f"{{[}}U+{ord(character):04X}{{]}}"


def for_csv(text: str) -> str:
    """Return text that a spreadsheet shows instead of running: a formula gets an apostrophe in front.

    Quotes and separators are the csv module's work. Numbers do not pass through here.
    """
    shown = "\r".join(map(for_terminal, text.replace("\0", "").split("\r")))
    return f"'{shown}" if text.lstrip(" \u00a0").startswith(FORMULA) or text.startswith(FORMULA) else shown


def for_html(text: str) -> str:
    """Return text without markup, for the content of an element and for an attribute's value."""
    return _html.escape(for_terminal(text), quote=True)


def for_markdown(text: str) -> str:
    """Return text that ends no table cell and starts no markup, HTML, formula, mention, link or list, on one line."""
    text = re.sub(r"[&<>$~@]|[\\|`*_\[\]#]", _markdown_character, for_line(text))
    text = re.sub(r"^[-+=](?= |$|-|=)", r"\\\g<0>", text)  # a list, a line, a heading
    return re.sub(r"^(\d+)([.)])(?= |$)", r"\1\\\2", text)  # a numbered list


def _markdown_character(found: re.Match[str]) -> str:
    """Return a backslash and the character, or what HTML writes for one that a backslash does not keep on all hubs."""
    return f"&#{ord(found[0])};" if found[0] in "&<>$~@" else f"\\{found[0]}"


def for_code(text: str) -> str:
    """Return text as code within a line of Markdown, between more backticks than there are in it."""
    text = for_line(text)
    longest = max(map(len, re.findall("`+", text)), default=0)
    if not text:
        return ""
    return f"`{text}`" if not longest else f"{'`' * (longest + 1)} {text} {'`' * (longest + 1)}"


def for_yaml(text: str) -> str:
    """Return text as a quoted value of YAML."""
    return json.dumps(for_line(text), ensure_ascii=False)


def for_script(content: Any) -> str:
    """Return values as JSON that ends no `<script>` element it stands in and holds no control characters."""
    text = json.dumps(_plain(content))
    return re.sub(r"[<>&']", lambda found: f"\\u{ord(found[0]):04x}", text)


def _plain(content: Any) -> Any:
    if isinstance(content, dict):
        return {_plain(key): _plain(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_plain(value) for value in content]
    return for_terminal(content) if isinstance(content, str) else content


def for_figure(text: str) -> str:
    """Return text that matplotlib draws as it is, on one line: no formula, no label that is left out of a legend."""
    text = for_line(text).replace("$", r"\$")
    return rf"$\_${text[1:]}" if text.startswith("_") else text


def shown(value: Any) -> str:
    """Return a value as an error message shows it: as Python writes it, its beginning if that is long."""
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]} ... ({len(text):,} characters)"


def for_line(text: str) -> str:
    """Return text as `for_terminal` does, on one line."""
    return " ".join(for_terminal(text).split())


def for_terminal(text: str) -> str:
    r"""Return text that moves no cursor, sets no colour and changes no direction of writing.

    Line breaks and tabs stay. Other control characters are shown by their escape: ESC is ``\x1b``.
    """
    plain = all(line.isprintable() for line in text.replace("\t", "\n").split("\n"))
    return text if plain else "".join(map(_terminal_character, text))


def _terminal_character(character: str) -> str:
    if character in "\n\t" or not _is_control(character):
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _is_control(character: str) -> bool:
    """Return true for control characters, lone surrogates, and format characters other than joiners of emoji and
    scripts that need them."""
    category = unicodedata.category(character)
    return (
        category in ("Cc", "Cs")
        or (category == "Cf" and character not in "\u00ad\u200c\u200d")
        or (category in ("Zl", "Zp"))
    )
