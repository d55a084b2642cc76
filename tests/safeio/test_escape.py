"""Text of unknown origin stays text in every format."""

import csv
import html
import io
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest
import yaml

from safeio import escape

EVIL = '50%_of_{A}&B$ #1 ~^\\ [1] *x* <b> | "q" `t`'


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1+1"])
def test_a_formula_is_shown_instead_of_run(cell):
    assert escape.for_csv(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["MMRL", "a-b", "1=1", "", "é"])
def test_other_cells_stay_as_they_are(cell):
    assert escape.for_csv(cell) == cell


def test_a_csv_cell_with_quotes_is_read_back():
    out = io.StringIO()
    csv.writer(out).writerow([escape.for_csv('say "hi", \n=1')])
    assert next(csv.reader(io.StringIO(out.getvalue()))) == ['say "hi", \n=1']


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("a\rb", r"a\x0db"),
        ("\x9b2J", r"\x9b2J"),
        ("abc\u202etxt.exe", r"abc\u202etxt.exe"),
        ("\ud800", r"\ud800"),
        ("line\nnext\tcolumn", "line\nnext\tcolumn"),
        ("Grüße 👩‍🔬 中文", "Grüße 👩‍🔬 中文"),
    ],
)
def test_the_terminal_obeys_nothing(text, shown):
    assert escape.for_terminal(text) == shown


def test_html_has_no_tags_and_reads_back():
    class Text(HTMLParser):
        tags, data = 0, ""

        def handle_starttag(self, tag, attributes):
            self.tags += 1

        def handle_data(self, data):
            self.data += data

    parsed = Text(convert_charrefs=True)
    parsed.feed(escape.for_html(EVIL))
    parsed.close()
    assert (parsed.tags, parsed.data) == (0, EVIL)


def test_a_markdown_cell_ends_nowhere_early():
    text = escape.for_markdown("a|b\n<script>[x](y) *z* `c`\n# head")
    assert not re.search(r"(?<!\\)[|`*\[\]#]|<|\n", re.sub(r"&#\d+;", "", text))


def test_what_markdown_renders_is_the_text():
    markdown = pytest.importorskip("markdown_it", reason="markdown-it-py").MarkdownIt("commonmark", {"html": True})
    for text in (EVIL, "1. one", "- two", "+ x", "= y", "---", "===", "# z", "a@b $x$ ~s~ &amp; <i>"):
        page = markdown.enable(["table", "strikethrough"]).render(f"above\n{escape.for_markdown(text)}\n")
        assert html.unescape(re.sub(r"<[^>]*>", "", page)).strip() == f"above\n{text}"


@pytest.mark.parametrize(("text", "code"), [("a", "`a`"), ("`a`", "`` `a` ``"), ("``", "``` `` ```"), ("", "")])
def test_code_ends_where_it_should(text, code):
    assert escape.for_code(text) == code


def test_values_of_yaml_and_scripts_read_back():
    assert yaml.safe_load(f"a: {escape.for_yaml(EVIL)}") == {"a": EVIL}
    assert yaml.safe_load(f"[x, {escape.for_yaml('a: b, c # d')}]") == ["x", "a: b, c # d"]
    content = {"</script>": [EVIL, 1.5, None], "b": ("\x1b[31m", "\u202e")}
    text = escape.for_script(content)
    assert not set("<>&'") & set(text)
    assert json.loads(text) == {"</script>": [EVIL, 1.5, None], "b": ["\\x1b[31m", "\\u202e"]}


def test_latex_specials_have_commands():
    assert escape.for_latex("50%_{a}&$#") == r"50\%\_\{a\}\&\$\#"
    assert escape.for_latex("a--b,,c") == "a-{}-b,{},c"
    assert escape.for_latex("[1]*") == "{[}1{]}{*}"
    assert escape.for_latex("éüñçő Žižek") == r"""\'{e}\"{u}\~{n}\c{c}\H{o} \v{Z}i\v{z}ek"""
    assert escape.for_latex("中") == "{[}U+4E2D{]}"


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex (texlive-latex-base)")
@pytest.mark.parametrize("encoding", ["", r"\usepackage[T1]{fontenc}"])
def test_every_printable_character_compiles_as_a_row_of_a_table(tmp_path, encoding):
    characters = [chr(code) for code in (*range(0x20, 0x250), *range(0x370, 0x400), *range(0x2010, 0x2030), 0x4E2D)]
    rows = "\n".join(rf"{escape.for_latex(f'{one}x {EVIL}')} & y\\" for one in characters if one.isprintable())
    (tmp_path / "t.tex").write_text(
        rf"\documentclass{{article}}{encoding}\usepackage{{longtable}}\begin{{document}}"
        rf"\begin{{longtable}}{{ll}}{rows}\end{{longtable}}\end{{document}}"
    )
    words = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
