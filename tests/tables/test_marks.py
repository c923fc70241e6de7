"""Marks of a column: best and second by the printed mean, and rows that are not distinguishable from the best."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prunebench.benchmark.analysis.export import read_export
from prunebench.benchmark.analysis.paired import MIN_INTERVAL, paired_differences
from prunebench.benchmark.tables.accuracy import accuracy_table
from prunebench.benchmark.tables.formats.to_csv import to_csv
from prunebench.benchmark.tables.formats.to_markdown import to_markdown
from prunebench.benchmark.tables.marks import MARGIN, ColumnMarks, marks_by_seed, marks_by_value, untold
from prunebench.benchmark.tables.pareto import pareto_table

REFERENCE = Path(__file__).parents[2] / "results" / "reference"


def runs(*percent: float, seeds: tuple[int, ...] = (0, 1, 2, 3, 4), parent: str = "dense") -> pd.DataFrame:
    """Runs of a row: accuracies in percent, by seed."""
    used = list(seeds[: len(percent)])
    parents = [f"{parent} {seed}" for seed in used]
    return pd.DataFrame({"seed": used, "parent": parents, "accuracy": [value / 100 for value in percent]})


def marks(rows: dict[str, pd.DataFrame], barred: tuple[str, ...] = ()) -> ColumnMarks:
    return marks_by_seed(rows, "accuracy", barred)


def around(mean: float, std: float, order: tuple[int, int, int] = (-1, 0, 1)) -> pd.DataFrame:
    """Three seeds with this mean and sample standard deviation."""
    return runs(*(mean + sign * std for sign in order))


def test_a_noisy_row_far_below_is_not_marked_with_the_best() -> None:
    """The demo at 98 %: the interval of Global MP's difference to GraSP contains zero, twelve points below it."""
    found = marks(
        {
            "Global MP": around(81.73, 11.72),
            "Layerwise MP": around(82.00, 4.85, (1, -1, 0)),
            "SNIP": around(92.13, 3.19),
            "GraSP": around(94.20, 0.87),
            "Random": around(45.60, 2.77),
            "Global MP + MT 0.1%": around(90.80, 1.04),
        }
    )
    assert found.marks == {"GraSP": "best", "SNIP": "second"}
    assert not any(found.indistinct.values())
    assert len(found.indistinct) == 5
    assert found.unjudged == ()


def test_a_less_noisy_row_ends_the_walk_above_a_noisier_one() -> None:
    found = marks({"A": around(78.4, 0.5), "B": around(77.4, 0.5), "C": around(77.0, 3.0, (1, -1, 0))})
    # B is exactly one point below A at each seed; C's interval holds zero, but B stands above it
    assert found.indistinct == {"B": False, "C": False}
    assert marks({"A": around(78.4, 0.5), "C": around(77.0, 3.0, (1, -1, 0))}).indistinct == {"C": True}


@pytest.mark.parametrize(("below", "is_indistinct"), [(MARGIN, True), (MARGIN + 0.01, False)])
def test_no_row_further_below_than_the_margin_is_indistinct(below: float, is_indistinct: bool) -> None:
    found = marks({"A": around(90.0, 0.1), "B": around(90.0 - below, 20.0)})
    assert found.indistinct == {"B": is_indistinct}


def test_rows_without_enough_pairs_are_not_marked_and_do_not_end_the_walk() -> None:
    others = {
        "other seeds": runs(98.2, 98.3, 98.4, seeds=(5, 6, 7)),
        "two shared": runs(98.1, 98.2, 98.3, seeds=(1, 2, 5)),
        "other dense": runs(98.0, 98.1, 98.2, parent="another"),
        "one run": runs(98.0),
    }
    found = marks({"best": runs(98.3, 98.4, 98.5), **others, "close": runs(98.3, 97.6, 98.2), "low": runs(60, 61, 62)})
    assert found.marks == {"best": "best", "other seeds": "second"}
    assert found.indistinct == {"close": True, "low": False}
    assert found.unjudged == ("other seeds", "two shared", "other dense", "one run")
    assert untold({"90 %": found, "95 %": marks({})}) == (
        "Not compared with the best, for fewer than 3 pairs of runs: other seeds, two shared, other dense, one run.",
    )


def test_rows_without_pairs_below_the_end_of_the_walk_are_not_listed() -> None:
    found = marks({"A": around(98, 0.1), "B": around(97, 0.1), "C": runs(96.9), "D": runs(60.0)})
    assert found.unjudged == ()
    assert untold({"90 %": found}) == ()


def test_a_best_row_that_nothing_can_be_compared_with_says_so() -> None:
    found = marks({"A": runs(98.0), "B": around(97, 0.1), "C": around(96, 0.1)})
    assert (found.marks, found.indistinct) == ({"A": "best", "B": "second"}, {})
    known = marks({"A": around(98, 0.1), "B": around(97, 0.1)})
    reason = "fewer than 3 pairs of runs with the best."
    assert untold({"90 %": found, "95 %": known}) == (
        f"What is not distinguishable from the best could not be told at 90 %: {reason}",
    )
    assert untold({"90 %": found}) == (f"What is not distinguishable from the best could not be told: {reason}",)


def test_a_barred_row_has_no_mark_does_not_end_the_walk_and_takes_all_marks_away_where_it_leads() -> None:
    rows = {"A": around(98, 0.3), "collapsed": around(97.9, 0.2), "B": around(97.8, 0.3, (1, -1, 0))}
    found = marks(rows, barred=("collapsed",))
    assert (found.marks, found.indistinct) == ({"A": "best"}, {"B": True})
    led = marks(rows, barred=("A",))
    assert led == ColumnMarks(is_led_by_barred=True)
    assert untold({"98 %": led}) == ("Nothing is marked at 98 %: the row of the highest mean has a collapsed run.",)


def test_means_that_are_printed_alike_share_the_mark() -> None:
    found = marks({"A": runs(90.001, 91.001, 92.001), "B": runs(90, 91, 92), "C": around(80, 1), "D": around(79, 1)})
    assert found.marks == {"A": "best", "B": "best", "C": "second"}
    assert found.indistinct == {"C": False, "D": False}


def test_of_two_best_the_one_with_more_runs_is_compared_with() -> None:
    found = marks({"A": runs(91.0), "B": runs(90, 91, 92), "C": runs(90, 91.1, 91)})
    assert found.marks == {"A": "best", "B": "best", "C": "second"}
    assert found.indistinct == {"C": True}


def test_one_row_or_equal_rows_have_nothing_to_point_at_and_of_two_only_the_best_is_marked() -> None:
    assert marks({}) == marks({"A": around(90, 1)}) == ColumnMarks()
    assert marks({"A": around(90, 1), "B": around(90, 2)}) == ColumnMarks()
    assert marks({"A": around(90, 1), "B": around(89, 1)}).marks == {"A": "best"}


def test_a_difference_of_one_test_image_at_each_seed_is_no_proof() -> None:
    found = marks({"A": runs(90.2, 91.2, 92.2), "B": runs(90.0, 91.0, 92.0)})
    assert found.indistinct == {"B": True}


def test_printed_numbers_rank_by_value_and_equal_ones_share() -> None:
    assert marks_by_value({"a": 3.0, "b": 2.0, "c": 3.0, "d": 1.0}) == {"a": "best", "c": "best", "b": "second"}


def _rows() -> st.SearchStrategy[dict[str, pd.DataFrame]]:
    accuracy = st.integers(0, 60).map(lambda step: 90 + step / 10)
    seeds = st.sets(st.integers(0, 5), min_size=1, max_size=5).map(lambda found: tuple(sorted(found)))
    row = seeds.flatmap(
        lambda used: st.lists(accuracy, min_size=len(used), max_size=len(used)).map(lambda v: runs(*v, seeds=used))
    )
    return st.lists(row, min_size=1, max_size=8).map(lambda found: {str(i): each for i, each in enumerate(found)})


@given(rows=_rows(), chance=st.randoms(use_true_random=False))
def test_properties_of_the_walk(rows: dict[str, pd.DataFrame], chance: random.Random) -> None:
    found = marks(rows)
    mean = {row: round(100 * sum(group["accuracy"]) / len(group), 2) for row, group in rows.items()}
    order = list(rows)
    chance.shuffle(order)
    shuffled = marks({row: rows[row] for row in order})
    assert shuffled.marks == found.marks
    assert set(found.marks) >= {row for row in rows if mean[row] == max(mean.values())} or not found.marks
    tops = [row for row, mark in found.marks.items() if mark == "best"]
    assert all(mean[row] == max(mean.values()) for row in tops)
    for row, is_indistinct in found.indistinct.items():
        assert row not in tops
        assert any(len(paired_differences(rows[top], rows[row], "accuracy")) >= MIN_INTERVAL for top in tops)
        above = [other for other, is_close in found.indistinct.items() if mean[other] > mean[row] and not is_close]
        # never below a row that was compared and is worse, never beyond the margin
        assert not is_indistinct or (not above and max(mean.values()) - mean[row] <= MARGIN + 1e-9)
    assert not set(found.unjudged) & set(found.indistinct)
    if len(tops) == 1:
        assert shuffled.indistinct == found.indistinct
        assert set(shuffled.unjudged) == set(found.unjudged)


def _lines(text: str) -> list[str]:
    """The table itself, without its caption."""
    return [line for line in text.splitlines() if line.startswith("|")]


def test_the_reference_tables_have_the_marks_of_their_runs() -> None:
    zoo = REFERENCE / "zoo-fashion"
    frame = read_export(zoo / "runs.csv")
    table = accuracy_table(frame, chance=0.1)
    assert _lines(to_markdown(table)) == _lines((zoo / "accuracy.md").read_text(encoding="utf-8"))
    assert to_csv([replace(table, study="zoo-fashion")]) == (zoo / "accuracy.csv").read_text(encoding="utf-8")
    for folder in (zoo, REFERENCE / "flops-pareto"):
        made = pareto_table(read_export(folder / "runs.csv"), chance=0.1)
        assert _lines(to_markdown(made)) == _lines((folder / "pareto.md").read_text(encoding="utf-8"))
    at_98 = {row.label: row.cells[3] for row in table.rows}
    assert (at_98["SynFlow"].mark, at_98["GMP (extended)"].mark) == ("best", "second")
    assert [at_98[label].is_indistinct for label in ("FORCE", "Small dense", "IMP (3 rounds)")] == [True, True, True]
    assert [at_98[label].is_indistinct for label in ("Edge-popup", "DPF")] == [False, False]
    assert [label for label, cell in at_98.items() if cell.mark == "best"] == ["SynFlow"]
