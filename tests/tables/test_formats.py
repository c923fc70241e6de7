"""The four formats of one table: the same numbers, and names that stay text in all of them."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from prunebench.benchmark.tables.formats.latex_text import escape
from prunebench.benchmark.tables.formats.to_csv import to_csv
from prunebench.benchmark.tables.formats.to_html import to_html
from prunebench.benchmark.tables.formats.to_latex import to_latex
from prunebench.benchmark.tables.formats.to_markdown import to_markdown
from prunebench.benchmark.tables.note import joined
from prunebench.benchmark.tables.table import INDISTINCT, Cell, Column, Note, Roles, Table, TableRow, table_as_dict

HOSTILE = [
    r"\input{/etc/passwd}", "<script>alert(1)</script>", "a|b", "=cmd()", "100% & $x_1^2$ #5 ~", "`code` *bold* _it_",
    "[link](http://x)", "two\nlines", "--flag", "a_b",
]  # fmt: skip


def table(labels: list[str], cells: tuple[Cell, ...] = (Cell(value=1.0),)) -> Table:
    columns = tuple(Column(heading=f"c{index}") for index in range(len(cells)))
    rows = tuple(TableRow(label=label, cells=cells) for label in labels)
    return Table(name="t", title="Title", corner="Method", columns=columns, rows=rows)


SAMPLE = Table(
    name="sample",
    title="Accuracy",
    corner="Method",
    columns=(Column(heading="90 %"), Column(heading="95 %")),
    rows=(
        TableRow(label="Dense", cells=(Cell(value=98.6, spread=0.2), Cell(value=98.6)), is_reference=True),
        TableRow(
            label="A_1",
            cells=(
                Cell(value=97.256, spread=0.1249, count=3, expected=3, mark="best"),
                Cell(
                    value=9.8, spread=1.5, count=2, expected=3, notes=(Note("‡", "runs are missing", "A_1: 1 failed"),)
                ),
            ),
        ),
        TableRow(
            label="B", cells=(Cell(value=96.0, mark="second", is_indistinct=True), Cell(text="not run")), cited=True
        ),
        TableRow(
            label="C",
            cells=(
                Cell(value=95.5, spread=0.5, is_indistinct=True, notes=(Note("‖", "mixed"),)),
                Cell(value=9.0, is_indistinct=False),
            ),
        ),
    ),
    caption=("Last epoch.",),
    marks="By t.",
    untold=("Not all.",),
)


def test_markdown_shows_numbers_marks_counts_and_notes() -> None:
    lines = to_markdown(SAMPLE).splitlines()
    assert lines[0] == "**Accuracy**"
    assert lines[2:8] == [
        "| Method    |             90 % |                95 % |",
        "| :-------- | ---------------: | ------------------: |",
        "| Dense     |     98.60 ± 0.20 |               98.60 |",
        "| A_1       | **97.26 ± 0.12** | 9.80 ± 1.50 (2/3) ‡ |",
        "| B (cited) |        *96.00* ≈ |             not run |",
        "| C         | 95.50 ± 0.50 ≈ ‖ |                9.00 |",
    ]
    legend = "**Bold**: best mean; *italic*: second best; ≈: not distinguishable from the best."
    assert f"Last epoch. {legend} By t. Not all." in lines
    assert lines[-2:] == ["‖ mixed.\\", "‡ runs are missing: A_1: 1 failed."]


def test_markdown_has_one_empty_line_between_parts_and_none_at_the_end() -> None:
    rows = (TableRow(label="A", cells=(Cell(value=1.0),)),)
    bare = Table(name="bare", title="T", corner="M", columns=(Column(heading="x"),), rows=rows, caption=("Last.",))
    assert to_markdown(bare).split("\n")[-4:] == ["| A | 1.00 |", "", "Last.", ""]
    assert "\n\n\n" not in to_markdown(SAMPLE)


def test_latex_aligns_marks_and_notes() -> None:
    text = to_latex(SAMPLE)
    assert r"\begin{tabular}{@{}lr@{}lr@{}l@{}}" in text
    assert (
        r"A\_1 & \textbf{97.26} & \,$\pm$\,0.12 & 9.80 & "
        r"\,$\pm$\,1.50\,{\scriptsize $n{=}2/3$}\textsuperscript{\ddag{}} \\"
    ) in text
    assert (
        r"B \emph{(cited)} & \underline{96.00} & \textsuperscript{$\approx$} & \multicolumn{2}{c}{not run} \\" in text
    )
    assert r"C & 95.50 & \,$\pm$\,0.50\textsuperscript{$\approx$$\|$} & 9.00 & \\" in text
    legend = r"\textbf{Bold}: best mean; \underline{underlined}: second best; $\approx$: not distinguishable"
    assert f"Last epoch. {legend} from the best. By t. Not all.\\par\n" in text
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == 1


def test_csv_has_a_line_for_each_number() -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv([SAMPLE]))))
    assert list(rows[0]) == [
        "study", "method", "sparsity", "measure", "mean", "sd", "n", "expected", "mark", "indistinct", "state", "notes"
    ]  # fmt: skip
    # dense training once
    assert [(row["method"], row["sparsity"]) for row in rows] == [
        ("Dense", "0"), ("A_1", "90"), ("A_1", "95"), ("B", "90"), ("B", "95"), ("C", "90"), ("C", "95")
    ]  # fmt: skip
    assert (rows[1]["mean"], rows[1]["sd"], rows[1]["mark"]) == ("97.256", "0.1249", "best")
    assert (rows[2]["mean"], rows[2]["n"], rows[2]["expected"]) == ("9.8", "2", "3")
    assert rows[2]["notes"] == "runs are missing"
    assert (rows[4]["mean"], rows[4]["state"]) == ("", "not run")
    assert [row["indistinct"] for row in rows] == ["", "", "", "yes", "", "yes", "no"]


@pytest.mark.parametrize(
    ("roles", "measures"),
    [
        (Roles(measure="MACs left (M)"), {"macs left (M)"}),
        (Roles(heading="measure"), {"lmc", "accuracy (%)"}),
        (Roles(block="measure"), {"multiply-adds"}),
    ],
)
def test_csv_has_measures_in_small_letters_but_for_units(roles: Roles, measures: set[str]) -> None:
    """From whatever place of the table the name of the measure comes."""
    cells = (Cell(value=1.0), Cell(value=2.0))
    made = Table(
        name="t",
        title="Title",
        corner="Method",
        columns=(Column(heading="LMC"), Column(heading="accuracy (%)")),
        rows=(TableRow(label="GMP", block="Multiply-adds", cells=cells),),
        roles=roles,
    )
    rows = list(csv.DictReader(io.StringIO(to_csv([made]))))
    assert {row["measure"] for row in rows} == measures
    assert {row["method"] for row in rows} == {"GMP"}


def test_csv_rounds_to_two_decimals_more_than_the_other_formats_and_keeps_signs() -> None:
    cells = (Cell(value=97.123456789), Cell(value=-0.53704, signed=True), Cell(value=12.0, digits=0), Cell(value=-1e-9))
    rows = list(csv.DictReader(io.StringIO(to_csv([table(["A"], cells)]))))
    assert [row["mean"] for row in rows] == ["97.1235", "-0.537", "12", "0"]


def test_pandas_reads_numbers_as_numbers() -> None:
    frame = pd.read_csv(io.StringIO(to_csv([SAMPLE])))
    assert [frame[name].dtype.kind for name in ("sparsity", "mean", "sd", "n")] == ["i", "f", "f", "f"]
    assert frame.loc[frame["mark"] == "best", "method"].tolist() == ["A_1"]


def test_html_marks_and_explains_them() -> None:
    text = to_html(SAMPLE)
    assert '<b>97.26 <span class="spread">± 0.12</span></b>' in text
    assert '<u>96.00</u> <span class="indistinct">≈</span></td>' in text
    assert '± 0.50</span> <span class="indistinct">≈</span><sup>‖</sup></td>' in text
    legend = "<b>Bold</b>: best mean; <u>underlined</u>: second best; ≈: not distinguishable from the best."
    assert f"Last epoch. {legend} By t. Not all.</figcaption>" in text


def test_json_says_whether_a_cell_could_be_told_from_the_best() -> None:
    content = table_as_dict(SAMPLE)
    assert [row["cells"][0]["indistinct"] for row in content["rows"]] == [None, None, True, True]
    assert content["rows"][3]["cells"][1]["indistinct"] is False
    assert content["untold"] == ["Not all."]


def test_the_sign_of_indistinct_cells_is_no_symbol_of_a_note() -> None:
    """Every symbol that a note has anywhere in the suite."""
    folder = Path(__file__).parents[2] / "benchmark"
    used = {symbol for path in folder.rglob("*.py") for symbol in re.findall(r'Note\("(.)"', path.read_text("utf-8"))}
    assert {"†", "‡", "§"} < used
    assert INDISTINCT not in used


def test_all_formats_and_json_show_the_same_numbers() -> None:
    content = json.loads(json.dumps(table_as_dict(SAMPLE)))
    for row, made in zip(SAMPLE.rows, content["rows"], strict=True):
        for cell, plain in zip(row.cells, made["cells"], strict=True):
            assert plain["value"] == cell.value
            shown = cell.number or cell.text
            assert all(shown in text for text in (to_markdown(SAMPLE), to_latex(SAMPLE), to_html(SAMPLE)))


class _Tags(HTMLParser):
    """Collects the tags and the text of an HTML fragment."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("label", HOSTILE)
def test_html_keeps_names_as_text(label: str) -> None:
    parser = _Tags()
    parser.feed(to_html(table([label])))
    assert label in parser.text
    assert not parser.tags & {"script", "a", "img", "code"}


@pytest.mark.parametrize("label", HOSTILE)
def test_markdown_names_add_no_column_and_no_html(label: str) -> None:
    lines = to_markdown(table([label])).splitlines()
    row = lines[4]
    unescaped = row.replace(r"\|", "")
    assert unescaped.count("|") == 3
    assert "<" not in row
    assert len({len(line) for line in lines[2:5]}) == 1


def test_markdown_leaves_plain_names_readable() -> None:
    assert "SNIP (score_samples=128)" in to_markdown(table(["SNIP (score_samples=128)"]))
    assert r"\_it\_" in to_markdown(table(["_it_"]))


@pytest.mark.parametrize("label", HOSTILE)
def test_latex_names_hold_no_command(label: str) -> None:
    escaped = escape(label)
    for known in (r"\textbackslash{}", r"\{", r"\}", r"\$", r"\&", r"\%", r"\#", r"\_", r"\textasciicircum{}",
                  r"\textasciitilde{}", r"\textless{}", r"\textgreater{}", r"\textbar{}", "{[}", "{]}",
                  r"\textasciigrave{}", "{}"):  # fmt: skip
        escaped = escaped.replace(known, "")
    assert not set(escaped) & set("\\{}$&%#_^~<>|")


def test_csv_defuses_formulas_and_keeps_one_line_a_row() -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv([table(HOSTILE)]))))
    assert len(rows) == len(HOSTILE)
    assert {"'=cmd()", "'--flag"} <= {row["method"] for row in rows}
    assert {row["mean"] for row in rows} == {"1"}


def test_a_rounded_zero_has_no_sign() -> None:
    assert Cell(value=-0.001, signed=True).number == "0.00"
    assert Cell(value=0.126, signed=True).number == "+0.13"
    assert Cell(value=-0.126).number == "-0.13"


def test_notes_with_the_same_meaning_share_a_line() -> None:
    cells = (Cell(notes=(Note("†", "off", "a"),)), Cell(notes=(Note("†", "off", "b"), Note("§", "empty"))))
    assert table(["x", "y"], cells).footnotes == [("§", "empty."), ("†", "off: a; b.")]


def test_a_note_of_many_cells_lists_those_alike_together() -> None:
    """No footnote of one line for each cell of a large study; few cells are listed one by one."""
    notes = [Note("†", "off", f"A{i}", at, f" reached {at}") for i in range(8) for at in ("89 %", "94 %")]
    lost = [Note("†", "off", name, at, ": 3 of 3") for name in ("B", "C") for at in ("90 %", "95 %")]
    lost.append(Note("†", "off", "D", fact=": 1 of 3"))
    assert joined([*notes, *lost]) == (
        "A0, A1, A2, A3, A4, A5 and 2 more at 89 % reached 89 %; "
        "A0, A1, A2, A3, A4, A5 and 2 more at 94 % reached 94 %; B, C at 90 %, 95 %: 3 of 3 each; D: 1 of 3"
    )
    assert joined(lost[-3:]) == "C at 90 %: 3 of 3; C at 95 %: 3 of 3; D: 1 of 3"
    different = [Note("†", "off", "A", f"{i} %", f" reached {i} %") for i in range(20)]
    assert joined(different).endswith("A at 11 % reached 11 %; 8 more")
