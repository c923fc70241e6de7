"""The command `table` through the command line: streams, files, kinds, exit codes."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pandas as pd
import pytest
from command_line import accuracy, run
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.runs.store import Store
from synthetic_results import STUDY, fill, write_study


def test_table_prints_two_tables_and_writes_four_files(filled: Path) -> None:
    done = run("table", "study.yaml")
    assert done.exit_code == 0
    assert done.stdout.startswith("**Test accuracy (%) of ConvNet-small on Digits (8x8) by sparsity**\n")
    assert "**Multiply-adds of ConvNet-small on Digits (8x8) by sparsity**" in done.stdout
    assert "wrote" not in done.stdout
    names = sorted(path.name for path in (filled / "results/small/tables").iterdir())
    assert names == ["accuracy.csv", "accuracy.md", "macs.csv", "macs.md"]
    assert (filled / "results/small/tables/accuracy.md").read_text(encoding="utf-8") in done.stdout
    assert done.stderr.count("wrote results/small/tables/") == 4


def test_table_of_a_part_leaves_the_files_alone(filled: Path) -> None:
    done = run("table", "study.yaml", "--only", "method=snip")
    assert "SNIP" in done.stdout
    assert "Random" not in done.stdout
    assert "--set and --only" in done.stderr
    assert not (filled / "results/small/tables").exists()


def test_a_table_that_cannot_be_kept_is_shown(filled: Path) -> None:
    (filled / "results/small/tables").write_text("a file where the folder would be", encoding="utf-8")
    done = run("table", "study.yaml")
    assert done.exit_code == 0
    assert "**Test accuracy" in done.stdout
    assert "not kept in the results folder: cannot write results/small/tables/accuracy.md: " in done.stderr


def test_table_of_nothing_is_shown_and_not_written(place: Path) -> None:
    done = run("table", "study.yaml")
    assert done.exit_code == 0
    assert "missing (0/3)" in done.stdout
    assert "0 of 21 runs are stored" in done.stderr
    assert not (place / "results").exists()


def test_json_is_one_document_with_its_version(filled: Path) -> None:
    content = json.loads(run("table", "study.yaml", "--json").stdout)
    assert content["schema"] == 1
    assert content["studies"] == [{"study": "small", "runs": 21, "done": 21, "complete": True}]
    assert [table["name"] for table in content["tables"]] == ["accuracy", "macs"]
    snip = next(row for row in content["tables"][0]["rows"] if row["label"] == "SNIP")
    assert snip["cells"][0]["value"] == pytest.approx(94.2)
    assert snip["cells"][0]["n"] == 3
    assert not (filled / "results/small/tables").exists()


@pytest.mark.parametrize(
    ("format", "beginning"), [("latex", "% needs"), ("csv", "study,method,sparsity,"), ("html", "<figure")]
)
def test_formats_go_to_stdout_or_to_a_file(filled: Path, format: str, beginning: str) -> None:
    assert run("table", "study.yaml", "--kind", "accuracy", "--format", format).stdout.startswith(beginning)
    done = run("table", "study.yaml", "--kind", "accuracy", "--format", format, "--output", "out/t")
    assert done.stdout == ""
    assert (filled / "out/t").read_text(encoding="utf-8").startswith(beginning)


def test_ranks_of_two_studies_are_one_table(filled: Path) -> None:
    (filled / "b").mkdir()
    other = write_study(filled / "b", STUDY.replace("name: small", "name: other").replace("digits", "mnist"))
    fill(Store(filled / "results"), other, accuracy)
    done = run("table", "study.yaml", "b/study.yaml", "--kind", "rank")
    assert "Mean ranks over 2 settings" in done.stdout
    assert done.stdout.count("**Ranks by") == 1
    assert run("table", "study.yaml", "b/study.yaml", "--kind", "accuracy").stdout.count("**Test accuracy") == 2


def test_the_reference_of_paired_differences_is_chosen(filled: Path) -> None:
    done = run("table", "study.yaml", "--kind", "paired", "--reference", "SNIP", "--json")
    (table,) = json.loads(done.stdout)["tables"]
    assert table["title"].startswith("Difference to SNIP in points")
    assert [row["label"] for row in table["rows"]] == ["Global MP", "Random"]
    assert table["rows"][0]["cells"][0]["value"] == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--kind", "paired", "--reference", "SNAP"),
            "unknown reference row 'SNAP'; did you mean 'SNIP'? known: Global",
        ),
        (("--kind", "rank", "--reference", "SNIP"), "--reference 'SNIP' goes with --kind paired, not 'rank'"),
        (("--reference", "SNIP"), "--reference 'SNIP' goes with --kind paired"),
        (("--against", "published", "--reference", "SNIP"), "--reference 'SNIP' goes with --kind paired"),
    ],
)
def test_a_reference_that_has_no_effect_or_is_no_row_is_refused(
    filled: Path, options: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        run("table", "study.yaml", *options)


def test_the_kind_macs_says_what_had_its_name_before(filled: Path) -> None:
    done = run("table", "study.yaml", "--kind", "macs")
    assert done.stdout.startswith("**Multiply-adds of ConvNet-small")
    assert (
        "--kind macs shows multiply-adds; the Pareto table, which had this name before, is --kind pareto\n"
    ) in done.stderr
    pareto = run("table", "study.yaml", "--kind", "pareto")
    assert pareto.stdout.startswith(
        "**Test accuracy (%) of ConvNet-small on Digits (8x8) beside multiply-adds left (%)**"
    )
    assert "--kind" not in pareto.stderr


def test_the_former_kind_flops_is_macs(filled: Path) -> None:
    done = run("table", "study.yaml", "--kind", "flops")
    assert done.stdout == run("table", "study.yaml", "--kind", "macs").stdout
    assert "--kind" not in done.stderr


def test_csv_is_one_table_and_without_a_kind_only_files(filled: Path) -> None:
    (filled / "b").mkdir()
    other = write_study(filled / "b", STUDY.replace("name: small", "name: other").replace("digits", "mnist"))
    fill(Store(filled / "results"), other, accuracy)
    both = run("table", "study.yaml", "b/study.yaml", "--kind", "accuracy", "--format", "csv").stdout
    frame = pd.read_csv(io.StringIO(both))
    # three numbers on the cost of each row
    assert set(frame["measure"]) == {"accuracy (%)", "own epochs", "with dense", "training macs (G)"}
    frame = frame[frame["measure"] == "accuracy (%)"]
    # three methods at two sparsities and dense training, of two studies
    assert frame.groupby("study").size().to_dict() == {"small": 7, "other": 7}
    snip = frame[(frame["study"] == "small") & (frame["method"] == "SNIP")]
    assert snip["mean"].tolist() == pytest.approx([94.2, 94.2])
    assert snip["n"].tolist() == [3, 3]
    files = run("table", "study.yaml", "--format", "csv")
    assert files.stdout == ""
    assert "--kind chooses one to print" in files.stderr
    assert len(pd.read_csv(filled / "results/small/tables/macs.csv")) == 2 * 7


def test_a_caption_and_a_label_are_those_of_latex(filled: Path) -> None:
    latex = ("table", "study.yaml", "--format", "latex")
    text = run(*latex).stdout
    assert re.findall(r"label\{(.*)\}", text) == ["tab:small-accuracy", "tab:small-macs"]
    assert re.findall(r"label\{(.*)\}", run(*latex, "--kind", "accuracy", "--accuracy", "best_test").stdout) == [
        "tab:small-accuracy-best-test"
    ]
    text = run(*latex, "--kind", "cost", "--caption", r"What it costs \cite{me}", "--label", "tab:mine").stdout
    assert r"\caption{What it costs \cite{me}}" in text
    assert r"\label{tab:mine}" in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--caption", "x"), "--caption goes with --format latex, not 'md'"),
        (("--format", "html", "--kind", "cost", "--label", "x"), "--label goes with --format latex, not 'html'"),
        (("--format", "latex", "--label", "x"), "--label is of one table, and these are 2: choose one with --kind"),
        (("--format", "latex", "--kind", "cost", "--label", "a}b"), "--label 'a}b': it must be of letters, digits"),
        (("--format", "csv", "-o", "x.csv"), "--format csv needs --kind"),
        (("--format", "csv", "--only", "seed=0"), "--format csv needs --kind"),
    ],
)
def test_options_of_formats_that_have_no_effect_are_refused(
    filled: Path, options: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        run("table", "study.yaml", *options)
    assert not (filled / "x.csv").exists()
