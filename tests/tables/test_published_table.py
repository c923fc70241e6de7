"""The paper's numbers in tables: marks computed from them, errors of the print, and the difference to ours."""

from __future__ import annotations

import csv
from importlib import resources
from pathlib import Path

import pytest
from prunebench.benchmark.analysis.frame import study_frame
from prunebench.benchmark.analysis.published import published_rows, published_tables
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.load import load_study
from prunebench.benchmark.tables.accuracy import accuracy_table
from prunebench.benchmark.tables.kinds import make_table
from prunebench.benchmark.tables.published import printed_marks
from synthetic_results import PRINTED_STUDY as STUDY
from synthetic_results import fill, write_study

# (table, block): best and second best, read off the numbers by hand
BY_HAND = {
    (2, "90 %"): ("global_mp one-shot", "dpf "),
    (2, "95 %"): ("global_mp one-shot", "dpf "),
    (2, "97.5 %"): ("dpf ", "global_mp one-shot"),
    (3, "90 %"): ("global_mp one-shot", "dpf "),
    (3, "95 %"): ("dpf ", "global_mp one-shot"),
    (4, "80 %"): ("global_mp one-shot", "str "),
    (4, "90 %"): ("global_mp one-shot", "global_mp gradual"),
    (4, "95 %"): ("global_mp gradual", "global_mp one-shot"),
    (4, "98 %"): ("global_mp gradual", "global_mp one-shot"),
    (5, "75 %"): ("global_mp one-shot", "str "),
    (5, "90 %"): ("global_mp one-shot+mt", "gmp "),
    (6, "ranks 9 and 8"): ("global_mp ranks", "str ranks"),
    (6, "ranks 9 and 7"): ("global_mp ranks", "str ranks"),
    (6, "ranks 8 and 7"): ("global_mp ranks", "str ranks"),
    (8, "98 %"): ("global_mp one-shot+mt", ""),
}


def computed() -> dict[tuple[int, str], tuple[str, str]]:
    found: dict[tuple[int, str], dict[str, str]] = {}
    for table in published_tables():
        for row, mark in printed_marks(published_rows(table)).items():
            found.setdefault((table, row.block), {})[mark] = f"{row.method} {row.variant}"
    return {key: (value["best"], value.get("second", "")) for key, value in found.items()}


def read(name: str) -> list[dict[str, str]]:
    text = (resources.files("prunebench.results.published") / name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def test_best_and_second_of_every_block_are_those_of_the_numbers() -> None:
    assert computed() == BY_HAND


def test_the_paper_underlines_the_wrong_row_in_exactly_two_places() -> None:
    errata = {
        (int(row["table"]), f"{row['block_pct']} %"): (
            f"{row['printed_method']} {row['printed_variant']}", f"{row['computed_method']} {row['computed_variant']}"
        )
        for row in read("errata.csv")
    }  # fmt: skip
    assert errata == {
        (4, "80 %"): ("global_mp gradual", "str "),
        (5, "90 %"): ("global_mp one-shot", "gmp "),
    }
    for place, (printed, right) in errata.items():
        assert computed()[place][1] == right != printed


def test_ours_stand_beside_theirs_with_the_difference(tmp_path: Path) -> None:
    study, store = write_study(tmp_path, STUDY), Store(tmp_path / "results")
    fill(store, study, lambda run: 0.95 + 0.001 * run.seed + (0.01 if run.method == "global_mp" else 0))
    table = make_table("accuracy", study, store, against="published")
    rows = {(row.block, row.label): row for row in table.rows}
    ours, theirs, difference = (rows["90 %", "Global MP"].cells[i] for i in (1, 3, 4))
    assert (ours.value, ours.mark, ours.cited) == (pytest.approx(96.1), "best", False)
    assert (theirs.value, theirs.mark, theirs.cited) == (96.30, "best", True)
    assert difference.number == "-0.20"
    assert rows["90 %", "DPF"].cited
    assert rows["90 %", "DPF"].cells[3].mark == "second"
    assert rows["90 %", "DPF"].cells[1] == rows["90 %", "DPF"].cells[4] == type(ours)()
    assert not rows["90 %", "GraSP"].cited
    assert rows["90 %", "GraSP"].cells[3].value is None
    assert rows["dense", "Dense"].cells[3].value == 96.06
    assert ("97.5 %", "DPF") in rows


def test_rows_of_a_block_of_ranks_are_compared_whatever_their_sparsity(tmp_path: Path) -> None:
    study, store = load_study("table6"), Store(tmp_path / "results")
    fill(store, study, lambda run: 0.95 + 0.001 * run.seed + (0.01 if run.method != "dense" else 0))
    table = make_table("accuracy", study, store, against="published")
    ours = {row.label: row.cells[1] for row in table.rows if row.block == "ranks 9 and 8"}
    assert (ours["Global MP (9, 8)"].mark, ours["Global MP (9, 8)"].notes) == ("best", ())
    assert (ours["Vanilla training (9, 8)"].mark, ours["Vanilla training (9, 8)"].is_indistinct) == ("second", False)


def test_rows_that_set_their_own_sparsity_are_not_compared_with_each_other(tmp_path: Path) -> None:
    text = STUDY + "  - {method: nm_magnitude, sparsity: 0, label: A}\n"
    text += "  - {method: nm_magnitude, sparsity: 0, label: B, options: {n: 1}}\n"
    study, store = write_study(tmp_path, text), Store(tmp_path / "results")
    fill(store, study, lambda run: 0.95 + 0.001 * run.seed + (0.01 if dict(run.method_options).get("n") == 1 else 0))
    table = make_table("accuracy", study, store, against="published")
    own = [row.cells[1] for row in table.rows if row.block == "own sparsity"]
    assert [(cell.mark, cell.is_indistinct, cell.notes[0].symbol) for cell in own] == [("", None, "◦")] * 2


def test_cited_numbers_change_no_statistic_of_ours(tmp_path: Path) -> None:
    study, store = write_study(tmp_path, STUDY), Store(tmp_path / "results")
    fill(store, study, lambda run: 0.90 + 0.001 * run.seed + (0.01 if run.method == "global_mp" else 0))
    alone = accuracy_table(study_frame(study, store))
    beside = make_table("accuracy", study, store, against="published")
    for row in alone.rows[1:]:
        for cell, block in zip(row.cells[:2], ("90 %", "95 %"), strict=True):
            ours = next(r for r in beside.rows if (r.block, r.label) == (block, row.label)).cells[1]
            assert (ours.value, ours.spread) == (cell.value, cell.spread)
            assert (ours.mark, ours.is_indistinct) == (cell.mark, cell.is_indistinct)


def test_a_study_without_a_table_or_of_another_network_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path / "results")
    with pytest.raises(UserError, match="names no published table; set `published:` to one of 2, 3, 4, 5, 6, 7, 8"):
        make_table("accuracy", write_study(tmp_path, STUDY.replace("published: 2\n", "")), store, against="published")
    with pytest.raises(UserError, match="published table 2 is of wrn-28-8 on cifar10, this study is of resnet-32"):
        make_table(
            "accuracy",
            write_study(tmp_path, STUDY.replace("wrn-28-8", "resnet-32")),
            store,
            against="published",
        )
    with pytest.raises(UserError, match="value of --against 'paper'"):
        make_table("accuracy", write_study(tmp_path, STUDY), store, against="paper")
    with pytest.raises(UserError, match="--against goes with --kind accuracy or macs, not 'cost'"):
        make_table("cost", write_study(tmp_path, STUDY), store, against="published")
    with pytest.raises(UserError, match="published table '9'"):
        published_rows(9)
