"""Retrainings of one seed are averaged first: means, spreads and numbers are over dense seeds."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from prunebench.benchmark.analysis.frame import study_frame
from prunebench.benchmark.analysis.retrainings import is_averaged, mean_retrainings
from prunebench.benchmark.analysis.study_results import read_results
from prunebench.benchmark.exchange.compare_folders import Stored, compare_stored
from prunebench.benchmark.report.page import Asked, html_report
from prunebench.benchmark.runs.run import Run
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.load import Study
from prunebench.benchmark.tables.kinds import make_table
from synthetic_results import STUDY, fill, make_result, store_failure, write_study

TWICE = STUDY.replace("seeds: [0, 1, 2]", "seeds: [0, 1, 2]\nretrain_seeds: [0, 1]")


def accuracy(run: Run) -> float:
    """Seed means of 0.90, 0.92 and 0.94; retrainings are 0.06 apart, more than seeds."""
    return 0.90 + 0.02 * run.seed + (0 if run.is_dense else 0.06 * run.retrain_seed - 0.03)


def made(tmp_path: Path, text: str = TWICE) -> tuple[Study, Store]:
    study, store = write_study(tmp_path, text), Store(tmp_path / "results")
    fill(store, study, accuracy)
    return study, store


def test_a_row_for_each_seed_holds_the_means(tmp_path: Path) -> None:
    study, store = made(tmp_path)
    frame = mean_retrainings(study_frame(study, store))
    rows = frame[(frame["label"] == "SNIP") & (frame["target"] == 0.9)]
    assert list(rows["seed"]) == [0, 1, 2]
    assert list(rows["accuracy_last"]) == pytest.approx([0.90, 0.92, 0.94])
    assert is_averaged(frame)
    assert list(dict.fromkeys(frame["label"])) == study.labels


def test_a_table_counts_seeds_and_spreads_over_their_means(tmp_path: Path) -> None:
    study, store = made(tmp_path)
    table = make_table("accuracy", study, store)
    cell = next(row for row in table.rows if row.label == "SNIP").cells[0]
    assert (cell.value, cell.count, cell.expected) == (pytest.approx(92.0), 3, 3)
    assert cell.spread == pytest.approx(2.0)
    assert any("n = 3" in sentence and "Retrainings of one seed are averaged first" in sentence
               for sentence in table.caption)  # fmt: skip


def test_a_seed_counts_once_all_of_its_retrainings_are_stored(tmp_path: Path) -> None:
    study, store = write_study(tmp_path, TWICE), Store(tmp_path / "results")
    fill(store, study, lambda run: None if (run.seed, run.retrain_seed) == (2, 1) else accuracy(run))
    table = make_table("accuracy", study, store)
    cell = next(row for row in table.rows if row.label == "SNIP").cells[0]
    assert (cell.value, cell.count, cell.expected) == (pytest.approx(91.0), 2, 3)
    assert any("Incomplete: 6 of 21 means over retrainings are not complete (6 missing)" in sentence
               for sentence in table.caption)  # fmt: skip


def test_costs_are_those_of_all_runs(tmp_path: Path) -> None:
    study, store = made(tmp_path)
    hours = {row.label: row.cells[7].value for row in make_table("cost", study, store).rows}
    single = write_study(tmp_path, STUDY)
    assert hours["SNIP"] == pytest.approx(2 * (_hours(single, store) or 0))


def _hours(study: Study, store: Store) -> float | None:
    return next(row for row in make_table("cost", study, store).rows if row.label == "SNIP").cells[7].value


def test_layers_and_epochs_are_averaged_too(tmp_path: Path) -> None:
    study, store = made(tmp_path)
    found = read_results(study, store)
    assert len(found.layers) == 3 * 3 * 7
    epochs = found.epochs
    last = epochs[(epochs["label"] == "Global MP") & (epochs["target"] == 0.9) & (epochs["epoch"] == 3)]
    assert list(last["test_accuracy"]) == pytest.approx([0.90, 0.92, 0.94])


def test_paired_differences_have_a_pair_for_each_seed(tmp_path: Path) -> None:
    study, store = made(tmp_path)
    table = make_table("paired", study, store)
    assert {cell.count for row in table.rows for cell in row.cells} == {3}


def test_studies_without_retrainings_keep_their_frame(tmp_path: Path) -> None:
    study, store = made(tmp_path, STUDY)
    frame = study_frame(study, store)
    assert mean_retrainings(frame) is frame
    assert not is_averaged(frame)


def test_folders_are_compared_over_seeds(tmp_path: Path) -> None:
    study = write_study(tmp_path, TWICE)
    runs = [run for run in study.runs if run.method == "snip" and run.sparsity == 0.9]

    def stored(shift: float) -> list[Stored]:
        return [Stored("small", run, make_result("small", run, 0.9 + shift * run.retrain_seed)) for run in runs]

    row = compare_stored(stored(0.0), stored(0.02)).rows[0]
    assert len(row.pairs) == 6
    assert row.comparison.differences == pytest.approx((0.01, 0.01, 0.01))
    changed = [Stored("small", replace(each.run, protocol=2), each.result) for each in stored(0.0)]
    assert len(compare_stored(stored(0.0), changed).rows[0].pairs) == 6


def test_the_report_lists_every_run_and_draws_the_means(tmp_path: Path) -> None:
    study, store = made(tmp_path)
    failed = next(row.run for row in study.rows if row.retrain_seed == 1 and row.run is not None)
    shutil.rmtree(store.folder(study.name, failed).path)
    store_failure(store, study.name, failed, "the loss is not finite")
    text = html_report(study, store, Asked(study="study.yaml", assignments=[]))
    embedded = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert embedded is not None
    data = json.loads(embedded.group(1))
    assert [run["id"] for run in data["runs"]] == [row.run.id for row in study.rows if row.run is not None]
    assert f"{len(study.rows) - 1} done" in text
    assert sum(run["state"] == "failed" for run in data["runs"]) == 1
    assert failed.id in text
