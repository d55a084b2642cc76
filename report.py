"""Make tables, an HTML page and figures from the records of runs, next to published numbers.

mmrl report output --format markdown
mmrl report output --format html --output report.html
mmrl report output --figures figures/
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from reports.calibration import calibration
from reports.efficiency import cost, efficiency
from reports.records import RecordedRun, find_runs, in_no_table, unreadable
from reports.render.latex import Style, as_latex
from reports.render.text import as_csv, as_markdown, as_terminal, figures_as_markdown
from reports.significance import significance
from reports.table_types import ALL_COLUMNS, COLUMNS, OWN, Table
from reports.tables import accuracy_tables, presets_side_by_side
from runs.command_line import CommandParser, add_seeds
from runs.names import BIBLIOGRAPHY, find_dataset, find_method
from runs.record import FILE_NAME
from safeio.atomic import atomic_write_text
from safeio.entry import command
from safeio.errors import WrongChoice

FORMATS = ("table", "markdown", "latex", "csv", "html")
LAYOUTS = {"records": ALL_COLUMNS, "paper": ("accuracy",)}
"""Name -> parts of a cell that it shows unless --columns says which."""


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = CommandParser(description=__doc__, example="mmrl report output --format html")
    default = Path(os.environ.get("OUTPUT") or "output")
    parser.add_argument(
        "output", type=Path, nargs="?", default=default, metavar="OUTPUT_DIR", help="folder with the runs"
    )
    parser.add_argument(
        "--format", choices=FORMATS, help="format of the tables; table: text for the terminal (default: table)"
    )
    parser.add_argument(
        "--layout",
        choices=LAYOUTS,
        help="records: every detail; paper: as in a paper, datasets as blocks or columns (default: records)",
    )
    parser.add_argument(
        "--columns",
        nargs="+",
        type=parts_of_a_cell,
        metavar="PART",
        help=f"numbers to show of each result: {', '.join(COLUMNS)} (default: accuracy with --layout paper, else all)",
    )
    text = "latex: \\cite each method's paper; with --output FILE.tex also write FILE.bib"
    parser.add_argument("--cite", action="store_true", help=text)
    text = "also a table of time and memory for each dataset, not only for each method"
    parser.add_argument("--cost-by-dataset", action="store_true", help=text)
    parser.add_argument(
        "--output",
        dest="out",
        metavar="FILE",
        type=report_file,
        help="file to write the report to (default: OUTPUT_DIR/report.html for html; other formats are printed)",
    )
    parser.add_argument(
        "--figures", type=Path, metavar="DIR", help="folder to draw figures into; a Markdown report shows them"
    )
    parser.add_argument(
        "--significance", action="store_true", help="also a table of which differences between methods are significant"
    )
    text = "width of figures for a two-column paper (default: single for one panel, else double)"
    parser.add_argument("--column-width", choices=("single", "double"), help=text)
    parser.add_argument("--methods", nargs="+", metavar="METHOD", help="report these methods only (default: all)")
    text = "report these datasets only, and averages over them (default: all)"
    parser.add_argument("--datasets", nargs="+", metavar="DATASET", help=text)
    parser.add_argument("--preset", help="report runs of this preset only (default: all, a row for each)")
    add_seeds(parser, "seeds that a result needs; one with fewer is marked incomplete (default: the protocol's)")
    return parser


def report_file(word: str) -> Path:
    """Return the path of the report.

    Raises:
        argparse.ArgumentTypeError: a folder has that name.
    """
    if Path(word).is_dir():
        raise argparse.ArgumentTypeError(f"{word} is a folder; runs are named without an option: report {word}")
    return Path(word)


def parts_of_a_cell(text: str) -> list[str]:
    """Return names of COLUMNS, given one by one or with commas between them."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := [name for name in names if name not in COLUMNS]:
        raise argparse.ArgumentTypeError(f"there is no {', '.join(unknown)}; choose from {', '.join(COLUMNS)}")
    return names


@command
def main(arguments: Sequence[str] | None = None) -> int:
    """Write what the command line asks for; the exit status says if there was anything to report."""
    args = make_parser().parse_args(arguments)
    program = sys.argv[0] if sys.argv[0].startswith("mmrl ") else "report.py"
    args.command = f"{program} {shlex.join(sys.argv[1:] if arguments is None else arguments)}".rstrip()
    runs = chosen(find_runs(args.output), args)
    for folder in unreadable(args.output):
        print(f"left out, its {FILE_NAME} cannot be read: {folder}", file=sys.stderr)
    drawn = draw_figures(runs, args) if args.figures else []
    if args.format or not args.figures:
        write(runs, args, drawn)
    return 0


def chosen(runs: list[RecordedRun], args: argparse.Namespace) -> list[RecordedRun]:
    """The runs that the command line names.

    Raises:
        WrongChoice: a name that no record has, or nothing is left.
    """
    of = {
        "methods": lambda run: run.line.method,
        "datasets": lambda run: run.dataset,
        "preset": lambda run: run.line.preset,
    }
    for option, read in of.items():
        wanted = getattr(args, option)
        if wanted is None:
            continue
        there = {read(run) for run in runs}
        meant = {"methods": find_method, "datasets": find_dataset}.get(option, lambda name, _: name)
        names = {meant(name, there) for name in ([wanted] if isinstance(wanted, str) else wanted)}
        if unknown := sorted(names - there):
            raise WrongChoice(f"--{option}: no run has {', '.join(unknown)}; there are {', '.join(sorted(there))}.")
        runs = [run for run in runs if read(run) in names]
    if not runs:
        raise WrongChoice("No run matches --methods, --datasets and --preset together: leave one of them out.")
    return runs


def all_tables(runs: Sequence[RecordedRun], args: argparse.Namespace) -> list[Table]:
    """Every table that these runs have something for."""
    seeds = args.seeds
    tables = accuracy_tables(runs, seeds)
    beside = [made for table in tables if (made := presets_side_by_side(table))]
    costs = [cost(runs, seeds), *([efficiency(runs, seeds)] if args.cost_by_dataset else [])]
    compared = [significance(runs)] if args.significance or args.format == "html" else []
    return [table for table in (*tables, *compared, *beside, calibration(runs, seeds), *costs) if table.rows]


def draw_figures(runs: list[RecordedRun], args: argparse.Namespace) -> list[Path]:
    """Draw the figures and name their files, unless the terminal is for the tables."""
    from reports.render.matplotlib_figures import draw  # matplotlib is optional

    drawn = draw(runs, args.figures, args.seeds, args.column_width)
    if not args.format or args.out or args.format == "html":
        print(*drawn, sep="\n")
    return drawn


def shown_parts(args: argparse.Namespace) -> frozenset[str]:
    """Return the parts of a cell that the command line asks for, or those of the layout."""
    return frozenset(name for names in args.columns or () for name in names) or frozenset(
        LAYOUTS[args.layout or "records"]
    )


def as_text(tables: Sequence[Table], args: argparse.Namespace) -> str:
    """Return the tables in the format, layout and columns that the command line asks for.

    Raises:
        WrongChoice: no table has any of the columns.
    """
    layout, shown = args.layout or "records", shown_parts(args)
    tables = [table for table in tables if set(OWN) & shown or table.has_beside(shown)]
    if not tables:
        raise WrongChoice(f"--columns: no table has {' or '.join(sorted(shown))} of these runs.")
    if args.format == "csv":
        return as_csv(tables, shown)
    if args.format == "latex":
        return as_latex(tables, layout, Style(shown, args.cite))
    return (as_markdown if args.format == "markdown" else as_terminal)(tables, layout, shown)


def write(runs: list[RecordedRun], args: argparse.Namespace, drawn: Sequence[Path] = ()) -> None:
    """The report in the format asked for, to a file or the terminal; Markdown shows the figures that were drawn."""
    tables, shown = all_tables(runs, args), shown_parts(args)
    if args.format == "html":
        from reports.render.html import as_html

        path = args.out or args.output / "report.html"
        atomic_write_text(path, as_html(runs, tables, args.output, args.seeds, args.command, shown))
        print(path)
        return
    text = as_text(tables, args)
    if args.format == "markdown" and drawn:
        text = figures_as_markdown(drawn, args.out.parent if args.out else Path()) + text
    if args.out:
        atomic_write_text(args.out, text)
        print(args.out)
        if args.format == "latex" and args.cite:
            atomic_write_text(args.out.with_suffix(".bib"), BIBLIOGRAPHY.read_text(encoding="utf-8"))
            print(args.out.with_suffix(".bib"))
    else:
        print(text)
    for run in runs:
        for notice in run.notices:
            print(f"warning of {run.folder}: {notice}", file=sys.stderr)
        if in_no_table(run):
            print(f"in no table (protocol {run.protocol or 'none'}, {run.part} classes): {run.folder}", file=sys.stderr)
        if run.complete and run.accuracy is None:
            untested = run.record.get("metrics") == {}
            reason = "it was not tested (TEST.NO_TEST)"
            reason = reason if untested else f"its {FILE_NAME} has no accuracy that is a number"
            print(f"left out, {reason}: {run.folder}", file=sys.stderr)
        if not run.complete:
            print(
                f"not complete ({run.record['status']}): {run.folder} {run.record.get('failure', '')}", file=sys.stderr
            )


if __name__ == "__main__":
    raise SystemExit(main())
