"""Tables in LaTeX fit a page: their source, estimates of widths, and LaTeX itself where it is installed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from prunebench.benchmark.tables.formats.latex_columns import columns_of
from prunebench.benchmark.tables.formats.latex_fit import SIZES, TEXT_WIDTH, WIDEST_LABEL, fitting
from prunebench.benchmark.tables.formats.latex_text import width_of
from prunebench.benchmark.tables.formats.to_latex import to_latex
from prunebench.benchmark.tables.kinds import make_table
from prunebench.benchmark.tables.table import Cell, Column, Note, Table, TableRow
from small_study import by_seed, made
from synthetic_results import OF_ANY_STUDY, STUDY, fill

HOSTILE = [r"\input{/etc/passwd}", "100% & $x_1^2$ #5 ~", "`code` *bold* _it_", "[link](http://x)", "--flag", "W" * 60]

CELL = Cell(
    value=97.256, spread=0.1249, count=2, expected=3, mark="best", is_indistinct=True, notes=(Note("‡", "few"),)
)


def table(labels: list[str], num_columns: int, cell: Cell = CELL, **options: object) -> Table:
    columns = tuple(Column(heading=f"column {index}") for index in range(num_columns))
    rows = tuple(TableRow(label=label, cells=(cell,) * num_columns) for label in labels)
    return Table(name="t", study="s", title="Title", corner="Method", columns=columns, rows=rows, **options)  # pyright: ignore[reportArgumentType]


def test_a_small_table_is_one_tabular_of_a_readable_size() -> None:
    text = to_latex(table(["A", "B"], 3))
    assert text.count(r"\begin{tabular}{@{}l") == 1
    assert r"\small\setlength{\tabcolsep}{5pt}" in text
    assert "siunitx" not in text
    assert "resizebox" not in text


def test_size_and_gaps_shrink_before_columns_are_split() -> None:
    sizes = {count: fitting(60.0, columns_of(table(["A"], count))) for count in range(1, 9)}
    assert [len(parts) for _, parts in sizes.values()] == [1, 1, 1, 2, 2, 2, 3, 3]
    assert sizes[1][0] == SIZES[0]
    assert sizes[3][0] != SIZES[0]
    assert [parts for _, parts in sizes.values()][6] == [[0, 1], [2, 3], [4, 5, 6]]


def test_columns_under_one_heading_stay_together() -> None:
    columns = tuple(
        Column(heading=part, group=name) for name in ("90 %", "95 %", "98 %") for part in ("MACs", "accuracy")
    )
    rows = (TableRow(label="A", cells=(CELL,) * 6),)
    wide = Table(name="t", title="T", corner="Method", columns=columns, rows=rows)
    assert fitting(60.0, columns_of(wide))[1] == [[0, 1], [2, 3, 4, 5]] or fitting(60.0, columns_of(wide))[1] == [
        [0, 1], [2, 3], [4, 5]
    ]  # fmt: skip
    assert to_latex(wide).count(r"\cmidrule") == 3


def test_names_wider_than_the_page_are_broken_into_lines() -> None:
    text = to_latex(table(["a name of many words " * 6], 2))
    assert rf"\begin{{tabular}}{{@{{}}p{{{WIDEST_LABEL:g}pt}}" in text
    assert r"\raggedright a name" in text


def test_a_table_longer_than_a_page_is_several_with_labels_of_their_own() -> None:
    text = to_latex(table([f"row {index}" for index in range(100)], 2, caption=("A note.",)))
    labels = re.findall(r"\\label\{(.*)\}", text)
    assert labels == ["tab:s-t-1", "tab:s-t-2", "tab:s-t"]
    assert r"\caption{Title (1 of 3; notes: Table~\ref{tab:s-t})}" in text
    assert text.count("A note.") == 1
    assert [text.count(f"row {index} &") for index in (0, 50, 99)] == [1, 1, 1]


def test_the_caption_is_the_title_and_the_rest_are_notes() -> None:
    text = to_latex(table(["A"], 1, caption=("First sentence.", "Second sentence.")))
    assert r"\caption{Title}" in text
    notes = text[text.index(r"\begin{minipage}{\linewidth}\footnotesize") :]
    assert "First sentence. Second sentence." in notes
    assert r"\textsuperscript{\ddag{}} few." in notes


def test_signs_are_kept_and_points_are_below_each_other() -> None:
    columns = (Column(heading="d"), Column(heading="n"))
    pairs = ((0.126, 12.0, 0), (-0.5, 3.14159, 2))
    rows = tuple(
        TableRow(label=str(i), cells=(Cell(value=d, signed=True), Cell(value=n, digits=digits)))
        for i, (d, n, digits) in enumerate(pairs)
    )
    text = to_latex(Table(name="t", title="T", corner="M", columns=columns, rows=rows))
    assert r"0 & $+$0.13 & 12\phantom{.00} \\" in text
    assert r"1 & $-$0.50 & 3.14 \\" in text


def test_a_number_of_runs_does_not_read_as_an_uncertainty(tmp_path: Path) -> None:
    study, store = made(tmp_path)
    fill(store, study, lambda run: None if (run.method, run.seed) == ("snip", 0) else by_seed(run))
    for kind in OF_ANY_STUDY:
        text = to_latex(make_table(kind, study, store))
        assert not re.search(r"\d\s*(&\s*)?\(\d", text[: text.index("minipage")]), kind
    assert r"{\scriptsize $n{=}2/3$}" in to_latex(make_table("accuracy", study, store))
    fill(store, study, by_seed)
    paired = to_latex(make_table("paired", study, store))
    assert "scriptsize" not in paired
    assert "All of these numbers have $n = 3$." in paired


LENGTHS = re.compile(r"Overfull \\hbox \(([\d.]+)pt|Float too large for page by ([\d.]+)pt")


def compiled(source: str, folder: Path) -> str:
    """What LaTeX says about a document."""
    if shutil.which("pdflatex") is None:
        pytest.skip("needs LaTeX: apt-get install texlive-latex-recommended")
    document = "\n".join(
        [r"\documentclass{article}", r"\usepackage{booktabs,textcomp}", r"\begin{document}", source, r"\end{document}"]
    )
    (folder / "t.tex").write_text(document, encoding="utf-8")
    command = ["pdflatex", "-draftmode", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, errors="replace", check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout[-2000:]
    return done.stdout


def test_latex_finds_every_kind_of_table_to_fit(tmp_path: Path) -> None:
    text = STUDY.replace("[90%, 95%]", "[80%, 90%, 95%, 98%, 99%]").replace(
        "[global_mp, snip, random]",
        "[global_mp, layerwise_mp, snip, grasp, random, rigl, set, gmp, lamp, erk_mp, synflow, force, obd]",
    )
    study, store = made(tmp_path, text)
    fill(store, study, by_seed)
    sources = [to_latex(make_table(kind, study, store)) for kind in OF_ANY_STUDY]
    labels = [label for source in sources for label in re.findall(r"\\label\{(.*)\}", source)]
    assert len(labels) == len(set(labels)) >= len(OF_ANY_STUDY)
    assert not LENGTHS.findall(compiled("\n".join(sources), tmp_path))


@pytest.mark.parametrize("num_columns", [1, 4, 9])
def test_latex_finds_names_of_any_characters_and_long_tables_to_fit(tmp_path: Path, num_columns: int) -> None:
    made = [table(HOSTILE[:-1], num_columns), table([f"row {index}" for index in range(60)], num_columns)]
    assert not LENGTHS.findall(compiled("\n".join(map(to_latex, made)), tmp_path))


def test_estimated_widths_are_those_of_latex(tmp_path: Path) -> None:
    samples = ["Global MP (gradual) + MT 0.1%", "97.26", "without zeros", "Iterative SNIP", "sparsity reached"]
    lines = [rf"\setbox0\hbox{{{sample.replace('%', chr(92) + '%')}}}\typeout{{WIDTH \the\wd0}}" for sample in samples]
    widths = [float(found) for found in re.findall(r"WIDTH ([\d.]+)pt", compiled("\n".join(lines), tmp_path))]
    for sample, width in zip(samples, widths, strict=True):
        assert 0.97 < width_of(sample) / width < 1.12, sample
    assert TEXT_WIDTH == 345
