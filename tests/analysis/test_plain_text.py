"""Text of users in terminals and tables: on one line, and without control characters."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from prunebench.benchmark.analysis.plain_text import one_line, several_lines
from prunebench.benchmark.cli.output import emit
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.tables.kinds import render
from prunebench.benchmark.tables.table import Cell, Column, Table, TableRow
from synthetic_results import STUDY, fill, store_failure, write_study

RED = "\x1b[31m"
EVIL = f"{RED}red\x07 [bold]x[/bold] \u202eback\r\nnext"
SHOWN = "\\x1b[31mred\\x07 [bold]x[/bold] \\u202eback  next"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("é 方法 😀 $x_1$ \\ <b>", "é 方法 😀 $x_1$ \\ <b>"),
        ("a\tb\nc\u2028d\u00a0e", "a b c d e"),
        ("\x00\x1b\x7f\x9b\u200b\u202e", "\\x00\\x1b\\x7f\\x9b\\u200b\\u202e"),
        (EVIL, SHOWN),
        ("", ""),
    ],
)
def test_one_line_shows_every_character(text: str, shown: str) -> None:
    assert one_line(text) == shown


def test_several_lines_keep_line_breaks_and_tabs() -> None:
    assert several_lines(f"a\tb\r\n{RED}c\n50%\r60%\n") == "a\tb\n\\x1b[31mc\n50%\n60%\n"


@pytest.mark.parametrize(("is_terminal", "shown"), [(True, "\\x1b[31mred\n"), (False, f"{RED}red\n")])
def test_what_is_printed_is_changed_for_terminals_only(
    is_terminal: bool, shown: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that reads an export gets the text as it is."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal)
    emit(f"{RED}red", None)
    assert capsys.readouterr().out == shown


def table_of(label: str) -> Table:
    return Table(
        name="t",
        title=label,
        corner="Method",
        columns=(Column(heading="90 %"),),
        rows=(TableRow(label=label, cells=(Cell(value=1.0),)),),
        caption=(label,),
    )


@pytest.mark.parametrize("format", ["md", "latex", "csv", "html"])
def test_tables_let_no_control_character_through(format: str) -> None:
    text = render(table_of(EVIL), format)
    assert not set(text) & set("\x1b\x07\u202e\r")
    assert "x1b" in text
    assert len([line for line in text.splitlines() if "next" in line]) >= (1 if format == "csv" else 2)


def test_tables_show_the_characters_of_their_own_markup() -> None:
    label = "_private $x_1$ 50% \\ {a}^b #1 ~& <b> [c] | *d* `e`"
    assert next(csv.reader(io.StringIO(render(table_of(label), "csv").splitlines()[1])))[1] == label
    latex = render(table_of(label), "latex")
    assert (
        r"\_private \$x\_1\$ 50\% \textbackslash{} \{a\}\textasciicircum{}b \#1 \textasciitilde{}\& \textless{}b"
        in latex
    )
    assert r"\_private \$x_1\$ 50% \\ {a}^b #1 \~& &lt;b> \[c\] \| \*d\* \`e\`" in render(table_of(label), "md")
    assert "_private $x_1$ 50% \\ {a}^b #1 ~&amp; &lt;b&gt; [c] | *d* `e`" in render(table_of(label), "html")


def test_markdown_leaves_the_relations_of_claims_legible() -> None:
    assert "A >= B <= C < D > E" in render(table_of("A >= B <= C < D > E"), "md")
    assert "| &gt; A &lt;!-- &lt;/b>" in render(table_of("> A <!-- </b>"), "md")


@pytest.mark.parametrize("label", ["=1+1", " =1+1", "\t=1+1", "\n@x", "＝1", "-x", "+x"])
def test_no_cell_of_a_csv_file_is_a_formula(label: str) -> None:
    cell = next(csv.reader(io.StringIO(render(table_of(label), "csv").splitlines()[1])))[1]
    assert cell.startswith("'")


LABEL = EVIL.replace("\r\n", "  ")
"""A label is one line; studies with others are refused."""


def test_reasons_and_labels_send_no_control_characters_to_a_terminal(tmp_path: Path) -> None:
    text = STUDY.replace("[global_mp, snip, random]", "snip") + f"    label: {json.dumps(LABEL)}\n"
    study, store = write_study(tmp_path, text), Store(tmp_path / "results")
    fill(store, study, lambda run: None if run.seed == 2 and run.method == "snip" else 0.9)
    folder = store_failure(store, study.name, study.runs[-1], EVIL)
    record = {
        "host": "here",
        "outcome": "failed",
        "reason": EVIL,
        "traceback": f"Traceback\n  {RED}x\n",
        "retryable": False,
    }
    folder.write_attempt(2, {**record, "pid": 1, "begin": 0.0, "end": 1.0})
    store.folder(study.name, study.runs[-2]).create(study.runs[-2])

    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", "prunebench.benchmark.cli", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
        return (done.stdout + done.stderr).decode()

    outputs = {
        "status": run("status", "study.yaml"),
        "logs": run("logs", study.runs[-1].id),
        "run": run("run", "study.yaml", "--only", "method=dense"),
        "only": run("table", "study.yaml", "--only", "label=x"),
        "reference": run("table", "study.yaml", "--kind", "paired", "--reference", EVIL),
        **{kind: run("table", "study.yaml", "--kind", kind) for kind in ("accuracy", "rank", "cost")},
    }
    for command, output in outputs.items():
        assert not set(output) & set("\x1b\x07\u202e\r"), command
    assert f"snip 95% seed 2 ({one_line(LABEL)})  {SHOWN}" in outputs["status"]
    assert f"attempt 2 on here: failed {SHOWN}" in outputs["logs"]
    assert "Traceback\n  \\x1b[31mx\n" in outputs["logs"]
