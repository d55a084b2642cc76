"""Tables as LaTeX, for a paper with \\usepackage{booktabs}."""

from __future__ import annotations

from collections.abc import Sequence

from reports.render.text import BEST, Footnotes, below, compared_columns, number
from reports.tables import Cell, Table, best_cells

SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


def escape(text: str) -> str:
    """Text as LaTeX sets it: no command, no comment, no alignment tab."""
    return "".join(SPECIAL.get(character, character) for character in text)


def as_latex(tables: Sequence[Table]) -> str:
    """One table environment each; notes stand below the grid."""
    return "% Needs \\usepackage{booktabs}\n" + "\n".join(_table(table) for table in tables)


def _table(table: Table) -> str:
    footnotes, compared, best = Footnotes(), compared_columns(table), best_cells(table)
    rows, last = [], None
    for i, (labels, cells) in enumerate(table.rows):
        if last not in (None, labels[0]):
            rows.append(r"\midrule")
        last = labels[0]
        rows.append(
            " & ".join(_row(labels, cells, table, compared, footnotes, {j for row, j in best if row == i})) + r" \\"
        )
    columns = "l" * len(table.labels) + "".join("rrr" if both else "r" for both in compared)
    notes = "\\\\\n".join(escape(line) for line in [*below(table, footnotes), *([BEST] if best else [])])
    return "\n".join(
        [
            r"\begin{table*}[t]",
            r"\centering\small",
            rf"\caption{{{escape(table.title)}}}",
            rf"\label{{tab:{table.name}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            " & ".join(_heads(table, compared)) + r" \\",
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            rf"\par\smallskip\begin{{minipage}}{{\linewidth}}\footnotesize {notes}\end{{minipage}}",
            r"\end{table*}",
            "",
        ]
    )


def _heads(table: Table, compared: Sequence[bool]) -> list[str]:
    found = [escape(label) for label in table.labels]
    for column, both in zip(table.columns, compared, strict=True):
        found += [escape(column), escape(table.beside), r"$\Delta$"] if both else [escape(column)]
    return found


def _row(
    labels: Sequence[str],
    cells: Sequence[Cell],
    table: Table,
    compared: Sequence[bool],
    footnotes: Footnotes,
    best: set[int],
) -> list[str]:
    row = [escape(label) for label in labels]
    for j, (cell, digits, both) in enumerate(zip(cells, table.digits, compared, strict=True)):
        row.append(_own(cell, digits, footnotes.marks(cell), j in best))
        if both:
            difference = number(cell.difference, digits, sign=True)
            row += [number(cell.beside, digits), f"${difference}$" if difference else ""]
    return row


def _own(cell: Cell, digits: int, marks: Sequence[int], best: bool) -> str:
    score = cell.score
    if score.mean is None:
        return f"({escape(score.incomplete)})" if score.incomplete else ""
    deviation = "" if score.deviation is None else rf"{{\scriptstyle\,\pm {number(score.deviation, digits)}}}"
    above = "".join(["*" if score.incomplete else "", ",".join(f"[{mark}]" for mark in marks)])
    mean = number(score.mean, digits).replace(",", "{,}")  # as a separator, not as punctuation with a space behind it
    mean = rf"\mathbf{{{mean}}}" if best else mean
    return rf"${mean}{deviation}^{{{above}}}$ {{\scriptsize({score.seeds})}}"
