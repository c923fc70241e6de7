"""The study file of a row gives the runs of the row again, with their ids."""

from __future__ import annotations

from pathlib import Path

import pytest
from boards import results_of
from prunebench.benchmark.leaderboard.from_folder import read_folder
from prunebench.benchmark.leaderboard.schema import Published
from prunebench.benchmark.leaderboard.settings import Row, settings_of
from prunebench.benchmark.leaderboard.study_file import as_yaml, study_files
from prunebench.benchmark.studies.load import load_study
from synthetic_results import STUDY

REFERENCE = Path(__file__).parents[2] / "results" / "reference"


def rows_of(results: list[Published]) -> list[Row]:
    return [row for setting in settings_of(results) for row in (*setting.dense, *setting.rows)]


def ids(row: Row, folder: Path) -> set[str]:
    found: set[str] = set()
    for content in study_files(row):
        path = folder / f"{content['name']}.yaml"
        path.write_text(as_yaml(content), encoding="utf-8")
        found |= {run.id for run in load_study(str(path)).runs}
    return found


@pytest.mark.parametrize("folder", sorted(REFERENCE.iterdir()), ids=lambda folder: folder.name)
def test_every_committed_row_is_repeated(folder: Path, tmp_path: Path) -> None:
    for row in rows_of(read_folder(folder)):
        assert ids(row, tmp_path) == {result.id for result in row.results}, row.label


def test_recipes_options_and_seeds_of_entries_are_kept(tmp_path: Path) -> None:
    text = STUDY.replace("[0, 1, 2]", "[3, 5]\nretrain_seeds: [0, 1]").split("runs:")[0] + (
        "scratch: {epochs: 7, schedule: step, milestones: [2, 4]}\n"
        "validation: 0.2\n"
        "runs:\n"
        "  - {method: global_mp, label: Ours, sparsity: [80%, 90%], finetune: {lr: 0.3}}\n"
        "  - {method: global_mp, label: Ours, sparsity: 95%, seeds: [5], options: {minimum_threshold: 0.02}}\n"
        "  - {method: shuffled, sparsity: 90%, options: {of: snip, of_options: {minimum_threshold: 0.01}}}\n"
        "  - {method: dense_longer, scratch: {epochs: 9}}\n"
    )
    rows = rows_of(results_of(tmp_path, text))
    assert {row.label.split(" (")[0] for row in rows} == {"Ours", "Shuffled mask", "Dense, longer", "Dense"}
    for row in rows:
        assert ids(row, tmp_path) == {result.id for result in row.results}, row.label
