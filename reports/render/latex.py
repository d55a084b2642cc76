"""Tables as LaTeX for a paper. Needs \\usepackage{booktabs,graphicx} and nothing else.

A table that is too long for a page is split at the end of a dataset, one that is too wide at a column; what little is
left is scaled by \\fitbox. Notes stand below the table where the page has room for them, else as text after it, where
they may run over pages.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from reports.paper_layout import Block, PaperCell, as_paper, has_paper_form
from reports.render.text import BEST, RANGE, Footnotes, below, head_beside, number, text_beside
from reports.table_types import ALL_COLUMNS, OWN, Cell, Table, ranked_cells
from runs.names import citation, registry_name
from safeio.escape import for_latex

HEAD = r"""% Needs \usepackage{booktabs,graphicx}.
\providecommand{\fitbox}[1]{\sbox0{#1}\ifdim\wd0>\linewidth\resizebox{\linewidth}{!}{\usebox0}\else\usebox0\fi}
"""
WIDTH = 500
"""Points of a two-column page's text; blocks are put side by side up to it."""
WIDEST = 700
"""Points up to which a block is scaled to the page; a wider one is split, or its letters were too small to read."""
LETTER, GAP, BETWEEN = 4.3, 6.0, 14.0
"""Points of a letter in \\footnotesize, between columns, between blocks."""
LINES = {r"\footnotesize": 44, r"\scriptsize": 54}
"""Lines of a table that a page has room for beside the caption, by size of letters."""
BORDER, RULE = 3, 0.65
"""Lines that a block has beside its rows (title, heads, rules), and lines of height of a rule between datasets."""
SPARE = 4
"""Lines of notes that a page has room for below a table that fills it."""
MOST_BESIDE = 3
SECOND = "Underlined: the second highest."


@dataclass(frozen=True)
class Style:
    """Options of a table: the parts of a cell that are shown, and whether \\cite follows names."""

    shown: Collection[str] = ALL_COLUMNS
    cite: bool = False

    @property
    def own(self) -> bool:
        """Return whether the cells' own numbers are shown."""
        return bool(set(OWN) & set(self.shown))

    def method(self, name: str) -> str:
        """Return a method's name, cited if that is asked for."""
        key = citation(registry_name("methods", name)) if self.cite else ""
        return for_latex(name) + (rf"~\cite{{{key}}}" if key else "")


def as_latex(tables: Sequence[Table], layout: str = "records", style: Style | None = None) -> str:
    """Return a table environment for each table, or several for one that is longer than a page."""
    style = style or Style()
    makers = {table.name: _paper if layout == "paper" and has_paper_form(table) else _records for table in tables}
    return HEAD + "\n".join(makers[table.name](table, style) for table in tables)


def _paper(table: Table, style: Style) -> str:
    blocks = [part for block in as_paper(table).blocks for part in _parts_of(table, block, style)]
    footnotes = Footnotes()
    width = max(_block_width(table, block, style) for block in blocks)
    beside = max(1, min(MOST_BESIDE, int((WIDTH + BETWEEN) // (width + BETWEEN)), len(blocks)))
    bands = [blocks[i : i + beside] for i in range(0, len(blocks), beside)]
    heights = [max(len(block.rows) for block in band) + BORDER for band in bands]
    size = next((size for size, lines in LINES.items() if sum(heights) <= lines), r"\footnotesize")
    widths = [max(1 + len(_heads_of(table, block, style)) for block in blocks[at::beside]) for at in range(beside)]
    grids = []
    for group in _fill_pages(bands, heights, LINES[size]):
        grids.append([line for band in group for line in _band(table, band, widths, style, footnotes)])
    columns = rf"@{{\hskip {BETWEEN:g}pt}}".join("l" + "r" * (width - 1) for width in widths)
    bodies = [(grid[:-1], f"@{{}}{columns}@{{}}") for grid in grids]
    return _environments(table, bodies, size, _notes(table, footnotes, style))


def _parts_of(table: Table, block: Block, style: Style) -> list[Block]:
    """Return a block in as many parts as keep it legible when it is scaled to the page, and no higher than one."""
    width, count, most = _block_width(table, block, style), len(block.columns), LINES[r"\footnotesize"] - BORDER
    size = math.ceil(count / math.ceil(width / WIDEST))
    rows = math.ceil(len(block.rows) / math.ceil(len(block.rows) / most))
    return [
        Block(block.title, block.columns[j : j + size], [(name, cells[j : j + size]) for name, cells in of])
        for of in (block.rows[i : i + rows] for i in range(0, len(block.rows), rows))
        for j in range(0, count, size)
    ]


def _fill_pages(bands: list, heights: list[int], room: int) -> Iterator[list]:
    """Yield groups of bands that fit a page; each has at least one."""
    group: list = []
    used = 0
    for band, height in zip(bands, heights, strict=True):
        if group and used + height > room:
            yield group
            group, used = [], 0
        group.append(band)
        used += height
    yield group


HEADS_BESIDE = {"published": "publ.", "reported": "others", "difference": r"$\Delta$"}
LETTERS_BESIDE = {"published": 5, "reported": 11, "difference": 5}
"""Letters that a column beside a number has room for."""


def _head_beside(table: Table, part: str) -> str:
    usual = part != "published" or table.beside == "published"
    return HEADS_BESIDE[part] if usual else for_latex(head_beside(table, part))


def _heads(table: Table, column: str, cells: Sequence[Cell], style: Style) -> list[str]:
    """Return the heads of a column of numbers and of what stands beside it."""
    beside = [_head_beside(table, part) for part in table.parts_beside(cells, style.shown)]
    return [for_latex(column), *beside] if style.own else [f"{for_latex(column)} {head}" for head in beside]


def _columns_of(block: Block) -> list[list[Cell]]:
    return [[cells[j].cell for _, cells in block.rows] for j in range(len(block.columns))]


def _heads_of(table: Table, block: Block, style: Style) -> list[str]:
    columns = zip(block.columns, _columns_of(block), strict=True)
    return [head for column, cells in columns for head in _heads(table, column, cells, style)]


def _block_width(table: Table, block: Block, style: Style) -> float:
    names = LETTER * max(len(name) for name, _ in block.rows)
    each = [_width(table, *pair, style) for pair in zip(block.columns, _columns_of(block), strict=True)]
    return names + sum(each)


def _width(table: Table, column: str, cells: Sequence[Cell], style: Style) -> float:
    """Return the points of a column of numbers with what stands beside it."""
    own = 5 + 5 * ("deviation" in style.shown) + 2 * ("n" in style.shown)
    letters = [own] if style.own else []
    letters += [LETTERS_BESIDE[part] for part in table.parts_beside(cells, style.shown)]
    heads = [len(re.sub(r"\\\w+|[${}\\]", "", head)) for head in _heads(table, column, cells, style)]
    return sum(LETTER * max(pair) + GAP for pair in zip(letters, heads, strict=True))


def _band(table: Table, band: list[Block], widths: list[int], style: Style, footnotes: Footnotes) -> list[str]:
    """Return the lines of blocks side by side; `widths` are the columns of each place, its names included."""
    heads = [["", *_heads_of(table, block, style)] for block in band]
    lines = [r"\toprule"]
    if any(block.title for block in band):
        bold = [rf"\textbf{{{for_latex(block.title)}}}" for block in band]
        titles = [rf"\multicolumn{{{width}}}{{@{{}}l}}{{{title}}}" for title, width in zip(bold, widths, strict=False)]
        lines.append(" & ".join(titles) + r" \\")
    padded = [head for of, width in zip(heads, widths, strict=False) for head in _pad(of, width)]
    lines += [" & ".join(padded) + r" \\", r"\midrule"]
    for i in range(max(len(block.rows) for block in band)):
        rows = [_paper_row(table, block, i, style, footnotes) if i < len(block.rows) else [] for block in band]
        padded = [text for row, width in zip(rows, widths, strict=False) for text in _pad(row, width)]
        lines.append(" & ".join(padded) + r" \\")
    return [*lines, r"\bottomrule", r"\addlinespace"]


def _pad(row: list[str], width: int) -> list[str]:
    return [*row, *[""] * (width - len(row))]


def _paper_row(table: Table, block: Block, i: int, style: Style, footnotes: Footnotes) -> list[str]:
    name, cells = block.rows[i]
    row = [style.method(name)]
    for own, column in zip(cells, _columns_of(block), strict=True):
        row += _numbers(table, own, column, style, footnotes)
    return row


def _numbers(table: Table, own: PaperCell, column: Sequence[Cell], style: Style, footnotes: Footnotes) -> list[str]:
    """Return a cell's own number, if it is shown, and what stands beside it."""
    marks = footnotes.marks(own.cell, style.shown)
    beside = []
    for part in table.parts_beside(column, style.shown):
        text = text_beside(own.cell, part, own.digits).replace(",", "{,}").replace(RANGE, "--")
        beside.append(f"${text}$" if text and part == "difference" else text)
    if style.own:
        return [_own(own.cell, own.digits, marks, own.place, style.shown), *beside]
    return [beside[0] + _raised(map(str, marks)), *beside[1:]] if beside else []


def _raised(marks: Iterable[str]) -> str:
    text = ",".join(marks)
    return rf"$^{{{text}}}$" if text else ""


def _own(cell: Cell, digits: int, marks: Sequence[int], place: int, shown: Collection[str]) -> str:
    """Return the cell's own number: best bold, second best underlined, deviation and n small, marks raised."""
    score = cell.score
    if score.mean is None:
        return r"{\tiny(" + for_latex(score.incomplete) + ")}" if score.incomplete else ""
    mean = number(score.mean, digits).replace(",", "{,}")
    mean = {1: rf"\textbf{{{mean}}}", 2: rf"\underline{{{mean}}}"}.get(place, mean) if "accuracy" in shown else ""
    deviation = rf"{{\tiny$\pm${number(score.deviation, digits)}}}" if score.deviation is not None else ""
    return "".join(
        [
            mean,
            deviation if "deviation" in shown else "",
            rf"{{\tiny({score.seeds})}}" if "n" in shown and score.seeds else "",
            _raised([*(["*"] if score.incomplete else []), *map(str, marks)]),
        ]
    )


def _records(table: Table, style: Style) -> str:
    footnotes, tops = Footnotes(), {place: rank for rank in (1, 2) for place in ranked_cells(table, rank)}
    bodies = []
    for columns in _column_groups(table, style):
        rows = [
            ("" if table.labels[0] == "Method" else labels[0], _record_row(table, i, columns, tops, footnotes, style))
            for i, (labels, _) in enumerate(table.rows)
        ]
        heads = [
            *map(for_latex, table.labels),
            *(head for j in columns for head in _heads(table, table.columns[j], table.column(j), style)),
        ]
        for chunk in _chunks(rows, LINES[r"\footnotesize"] - 2):
            bodies.append((heads, chunk))
    grids = []
    for heads, chunk in bodies:
        kinds = "l" * len(table.labels) + "r" * (len(heads) - len(table.labels))
        lines = [r"\toprule", " & ".join(heads) + r" \\", r"\midrule"]
        for j, (dataset, row) in enumerate(chunk):
            lines += [r"\midrule"] if j and chunk[j - 1][0] != dataset else []
            lines.append(" & ".join(row) + r" \\")
        grids.append(([*lines, r"\bottomrule"], kinds))
    return _environments(table, grids, r"\footnotesize", _notes(table, footnotes, style))


def _chunks(rows: list, room: float) -> Iterator[list]:
    """Yield rows in pages, a page ending where a dataset ends if it is not less than half full then.

    A rule between two datasets takes a part of a line too.
    """
    start = 0
    while start < len(rows):
        end, used, last = start, 0.0, start
        while end < len(rows):
            between = end > start and rows[end][0] != rows[end - 1][0]
            used += 1 + RULE * between
            if used > room:
                break
            last = end if between and used > room / 2 else last
            end += 1
        if end < len(rows):
            ends_there = rows[end][0] != rows[end - 1][0]
            end = end if ends_there or last == start else last
        yield rows[start:end]
        start = end


def _column_groups(table: Table, style: Style) -> list[list[int]]:
    """Return columns in groups that a page has room for beside the labels."""
    labels = [max(len(row[0][k]) for row in table.rows) for k in range(len(table.labels))]
    start = used = LETTER * sum(labels) + GAP * 2 * len(labels)
    groups: list[list[int]] = [[]]
    for j, column in enumerate(table.columns):
        width = _width(table, column, table.column(j), style) + GAP
        if groups[-1] and used + width > WIDTH:
            groups.append([])
            used = start
        groups[-1].append(j)
        used += width
    return groups


def _record_row(table: Table, i: int, columns: list[int], tops: dict, notes: Footnotes, style: Style) -> list[str]:
    labels, cells = table.rows[i]
    at = table.labels.index("Method") if "Method" in table.labels else -1
    row = [style.method(label) if k == at else for_latex(label) for k, label in enumerate(labels)]
    for j in columns:
        row += _numbers(table, PaperCell(cells[j], table.digits[j], tops.get((i, j), 0)), table.column(j), style, notes)
    return row


def _environments(table: Table, bodies: Sequence[tuple[list[str], str]], size: str, notes: Sequence[str]) -> str:
    """Return an environment for each body (its lines, its columns), and the notes in the last one or after it."""
    wanted = sum(math.ceil(len(note) * LETTER / WIDTH) for note in notes)
    rows = sum(1 if line.endswith(r"\\") else RULE / 2 for line in bodies[-1][0])
    inside = rows + wanted <= LINES[size] + SPARE
    found = []
    for i, (lines, columns) in enumerate(bodies):
        last = i == len(bodies) - 1
        found += _float(table, lines, columns, size, (i, len(bodies)), notes if inside and last else ())
    if notes and not inside:
        begin = rf"\begingroup\footnotesize\raggedright\noindent Notes to Table~\ref{{tab:{table.name}}}.\par"
        found += [begin, *(rf"\noindent {note}\par" for note in notes), r"\endgroup", ""]
    return "\n".join(found)


def _float(
    table: Table, lines: list[str], columns: str, size: str, part: tuple[int, int], notes: Sequence[str]
) -> list[str]:
    """Return one environment, `part` (i, of n) of the table; only the first has the whole caption."""
    i, count = part
    of = f" ({i + 1} of {count})" if count > 1 else ""
    caption = f"{table.title}{of}. {table.caption if i == 0 else 'Continued.'}"
    label = table.name if i == 0 else f"{table.name}_{i + 1}"
    below_it = [r"\par\smallskip", r"\parbox{\linewidth}{\raggedright", *(rf"{note}\par" for note in notes), "}"]
    return [
        *([r"\clearpage"] if i and i % 8 == 0 else []),  # LaTeX holds only so many tables that wait for a page
        r"\begin{table*}[tp]",
        r"\centering" + size + r"\setlength{\tabcolsep}{3pt}",
        rf"\caption{{{for_latex(caption)}}}",
        rf"\label{{tab:{re.sub('[^A-Za-z0-9_]+', '_', label)}}}",
        r"\smallskip\par",
        rf"\fitbox{{\begin{{tabular}}{{{columns}}}",
        *lines,
        r"\end{tabular}}",
        *(below_it if notes else []),
        r"\end{table*}",
        "",
    ]


def _notes(table: Table, footnotes: Footnotes, style: Style) -> list[str]:
    """Return the notes on a table, a paragraph each."""
    notes = below(table, footnotes, style.shown)[1:]  # the first is the caption
    notes += [f"{BEST} {SECOND}"] if ranked_cells(table) and "accuracy" in style.shown else []
    return [_breakable(for_latex(note)) for note in notes]


def _breakable(text: str) -> str:
    """Return text in which long addresses and paths may end a line."""
    return re.sub(r"(?<=[^\s\\]{12})(/|\\_|-|@|,|;)(?=[^\s]{4})", r"\1\\allowbreak{}", text)
