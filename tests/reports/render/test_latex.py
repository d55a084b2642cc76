"""Tables compile with pdfLaTeX and fit the page, at the size of a paper's study."""

import re
import shutil
import subprocess

import pytest
import synthetic_study
import yaml

import report
from runs import names

DOCUMENTS = {
    "plain article": r"\documentclass{article}",
    "two columns": r"\documentclass[twocolumn,letterpaper]{article}\setlength{\textwidth}{6.875in}"
    r"\setlength{\columnsep}{.3125in}\setlength{\oddsidemargin}{-.19in}",
}
needs_latex = pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex (texlive-latex-recommended)")


def compiled(tex, document, folder):
    """The log of pdflatex, which must end well, for tables in a document that \\input{}s them."""
    (folder / "tables.tex").write_text(tex, encoding="utf-8")
    body = r"\usepackage{booktabs,graphicx}\begin{document}Text.\input{tables}\end{document}"
    (folder / "paper.tex").write_text(document + body)
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"],
        cwd=folder, capture_output=True, text=True, errors="replace", timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    return (folder / "paper.log").read_text(errors="replace")


def too_large(log):
    """Complaints of boxes more than a point over their place."""
    boxes = [
        line for line in log.splitlines() if (m := re.match(r"Overfull \\.box \(([\d.]+)pt", line)) and float(m[1]) > 1
    ]
    return boxes + re.findall(r".*Float too large.*", log)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    root = tmp_path_factory.mktemp("study")
    assert synthetic_study.write(root) == synthetic_study.SIZE
    return root


@needs_latex
@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
@pytest.mark.parametrize(
    "words",
    [
        ("--layout", "paper", "--significance", "--cost-by-dataset"),
        ("--layout", "paper", "--columns", "accuracy,deviation,n,published,reported,difference", "--cite"),
        ("--layout", "records", "--cost-by-dataset"),
    ],
    ids=lambda words: " ".join(words[:3]),
)
def test_a_whole_study_compiles_and_fits(study, tmp_path, document, words):
    assert report.main([str(study), "--format", "latex", *words, "--output", str(tmp_path / "t.tex")]) == 0
    assert too_large(compiled((tmp_path / "t.tex").read_text(), document, tmp_path)) == []


@needs_latex
def test_names_and_notes_that_look_like_commands_compile(make, tmp_path):
    for name in ("50%_of_{A}&B$", "[1] \\end{document}", "*star", "中文 é"):
        make.base2new(name, name, [95.0] * 2, [70.0] * 3)
    make.base2new("MMRL", "EuroSAT", [95.0] * 3, [70.0] * 3)  # always with a footnote, [1]
    for layout in ("paper", "records"):
        words = ["--format", "latex", "--layout", layout, "--output", str(tmp_path / "t.tex")]
        assert report.main([str(make.root), *words]) == 0
        compiled((tmp_path / "t.tex").read_text(), DOCUMENTS["plain article"], tmp_path)


@needs_latex
@pytest.mark.parametrize("layout", ["paper", "records"])
def test_more_methods_than_a_page_has_lines_and_names_as_wide_as_one_fit(make, tmp_path, layout):
    long = "photos_of_all_the_things_that_were_ever_put_into_one_folder_with_a_name_as_long_as_this_" * 2
    for i in range(60):
        for dataset in ("EuroSAT", long):
            make.base2new(f"Method{i:02}", dataset, [20.0 + i], [20.0 + i])
        for dataset in (long, "DTD"):
            make(f"Method{i:02}", dataset, 50.0, part="target", protocol="cross_dataset")
    words = ["--format", "latex", "--layout", layout, "--significance", "--output", str(tmp_path / "t.tex")]
    assert report.main([str(make.root), *words]) == 0
    tex = (tmp_path / "t.tex").read_text()
    assert all(tex.count(f"Method{i:02} ") + tex.count(f"Method{i:02}\n") >= 4 for i in range(60))
    assert too_large(compiled(tex, DOCUMENTS["two columns"], tmp_path)) == []


def test_the_papers_layout_is_blocks_with_the_average_first(study, capsys):
    assert report.main([str(study), "--format", "latex", "--layout", "paper", "--cite"]) == 0
    text = capsys.readouterr().out
    first = text[text.index(r"\toprule") :]
    assert re.match(r"\\toprule\n\\multicolumn\{5\}\{@\{\}l\}\{\\textbf\{Average\}\} & \\multicolumn\{4\}", first)
    assert r"MMRL++~\cite{guo2026mmrlpp}" in text and "MMRLpp &" not in text and "DTD" in text
    assert r"\textbf{" in text and r"\underline{" in text and "mean H" in text
    across = text[text.index(r"\label{tab:cross_dataset}") :]
    heads = across[: across.index(r"\midrule")].splitlines()[-1]
    assert heads.startswith(" & ImageNet & Caltech101") and heads.endswith(r"Average \\")


def test_a_block_too_wide_to_be_read_is_split_at_a_column(study, capsys):
    words = ["--format", "latex", "--layout", "paper", "--columns", "accuracy,published,reported"]
    assert report.main([str(study), *words]) == 0
    text = capsys.readouterr().out
    across = text[text.index(r"\label{tab:cross_dataset}") :]
    grid = across[: across.index(r"\end{tabular}")]
    parts = grid.count(r"\toprule")
    assert parts > 1 and grid.count("MMRL++ &") == parts, "the methods stand before each part"
    assert grid.count("Caltech101") == grid.count("Average") == 1


def test_columns_choose_what_a_cell_says(make, capsys):
    make.base2new("MMRL", "EuroSAT", [95.0, 96.0, 97.0], [70.0] * 3)
    for words, there, missing in (
        ([], ["±", "(n=3)", "published", "difference"], []),
        (["--columns", "accuracy"], ["96.00"], ["± 0.82", "(n=3)", "95.60", "by others"]),
        (["--columns", "accuracy", "published"], ["96.00", "95.60"], ["+0.40", "(n=3)"]),
        (["--layout", "paper"], ["96.00", "Novel"], ["± 0.82", "(n=3)"]),
    ):
        assert report.main([str(make.root), "--format", "markdown", *words]) == 0
        table = capsys.readouterr().out.split("## Efficiency")[0].replace("Mean ± standard", "")
        assert all(word in table for word in there) and not any(word in table for word in missing), words


def test_a_setting_changed_for_all_runs_stays_in_the_main_table(make, capsys):
    for method in ("MMRL", "CoOp"):
        make.base2new(method, "EuroSAT", [90.0] * 3, [60.0] * 3, swept={"OPTIM.MAX_EPOCH": 2})
    for value in (0.1, 0.2):
        make.base2new("CoOp", "DTD", [90.0] * 3, [60.0] * 3, swept={"OPTIM.MAX_EPOCH": 2, "OPTIM.LR": value})
    assert report.main([str(make.root)]) == 0
    main, ablations = capsys.readouterr().out.split("Base-to-novel generalization: ablations")
    assert "EuroSAT" in main and "Settings changed for all runs: OPTIM.MAX_EPOCH=2" in main and "DTD" not in main
    assert "OPTIM.LR=0.1" in ablations and "OPTIM.MAX_EPOCH=2, OPTIM" not in ablations
    assert "published" not in main, "other settings are not the published ones"


def test_both_spellings_choose(make, capsys):
    for method in ("MMRLpp", "CoOp"):
        make.base2new(method, "DescribableTextures", [95.0] * 3, [70.0] * 3)
    for method, dataset in (("MMRL++", "DTD"), ("MMRLpp", "DescribableTextures"), ("mmrl++", "dtd")):
        assert report.main([str(make.root), "--methods", method, "--datasets", dataset]) == 0
        shown = capsys.readouterr().out
        assert "MMRL++" in shown and "CoOp" not in shown and "DTD" in shown


def test_every_citation_is_in_the_bibliography():
    entries = names.BIBLIOGRAPHY.read_text(encoding="utf-8")
    found = re.findall(r"^@\w+\{(\w+),\n(.*?)^\}$", entries, re.M | re.S)
    keys = [key for key, _ in found]
    assert len(keys) == len(set(keys))
    with open(names.FILE, encoding="utf-8") as file:
        cited = {entry["cite"] for entry in yaml.safe_load(file)["methods"].values()}
    assert cited == set(keys)
    for key, entry in found:
        assert all(f"  {field} = {{" in entry for field in ("title", "author", "year")), key
        assert f"year = {{{re.search('[0-9]{4}', key)[0]}}}" in entry, key
        assert key.startswith(re.search(r"author = \{(\w+)", entry)[1].lower()), key


@needs_latex
@pytest.mark.skipif(shutil.which("bibtex") is None, reason="needs bibtex")
def test_citations_resolve(make, tmp_path):
    for method in ("MMRL", "CoOp"):
        make.base2new(method, "EuroSAT", [95.0] * 3, [70.0] * 3)
    assert report.main([str(make.root), "--format", "latex", "--cite", "--out", str(tmp_path / "tables.tex")]) == 0
    body = r"\usepackage{booktabs,graphicx}\begin{document}\input{tables}"
    body += r"\bibliographystyle{plain}\bibliography{tables}\end{document}"
    (tmp_path / "paper.tex").write_text(r"\documentclass{article}" + body)
    for program in ("pdflatex", "bibtex", "pdflatex", "pdflatex"):
        words = [program, *(["-interaction=nonstopmode"] if program == "pdflatex" else []), "paper"]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, errors="replace", timeout=120)
        assert done.returncode == 0, done.stdout[-2000:]
    assert "undefined" not in (tmp_path / "paper.log").read_text(errors="replace")
    assert "Warning" not in (tmp_path / "paper.blg").read_text(errors="replace")
