"""Two results folders compared: equal, within noise, really different, with other recipes, and one-sided."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from prunebench.benchmark.api.errors import Damaged, UserError
from prunebench.benchmark.exchange.compare_folders import Comparison, compare_folders
from prunebench.benchmark.runs.files import read_json, write_json
from prunebench.benchmark.runs.run import Run, id_of
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.plan import with_parents
from prunebench.benchmark.tables.compare import comparison_as_dict, comparison_lines, comparison_table
from synthetic_results import STUDY, fill, store_result, write_study


def accuracy(run: Run) -> float:
    return {"dense": 0.98, "global_mp": 0.96, "snip": 0.94, "random": 0.80}[run.method] + 0.002 * run.seed


def folder(path: Path, value: Callable[[Run], float | None] = accuracy, text: str = STUDY) -> Path:
    path.mkdir()
    fill(Store(path), write_study(path, text), value)
    return path


def verdicts(found: Comparison) -> dict[str, str]:
    return {row.name: row.verdict for row in found.rows}


def test_equal_folders_are_equal(tmp_path: Path) -> None:
    found = compare_folders(folder(tmp_path / "a"), folder(tmp_path / "b"))
    assert set(verdicts(found).values()) == {"equal"}
    assert found.only_first == found.only_second == found.provenance == ()
    assert comparison_lines(found) == ["21 pairs, 21 of them the same run by id; 0 differ in accuracy."]


def test_a_shift_of_all_seeds_is_beyond_noise_and_scatter_is_not(tmp_path: Path) -> None:
    scatter = {0: 0.01, 1: -0.01, 2: 0.002}

    def moved(run: Run) -> float:
        if run.method == "snip" and run.sparsity == 0.9:
            return accuracy(run) + 0.01 + 0.001 * run.seed
        return accuracy(run) + (scatter[run.seed] if run.method == "random" else 0.0)

    found = compare_folders(folder(tmp_path / "a"), folder(tmp_path / "b", moved))
    assert verdicts(found)["small: snip 90 %"] == "different"
    assert verdicts(found)["small: random 90 %"] == "not distinguishable"
    assert verdicts(found)["small: global_mp 90 %"] == "equal"
    row = next(row for row in found.rows if row.name == "small: snip 90 %")
    assert row.comparison.interval is not None
    # 0.010, 0.011, 0.012
    assert row.comparison.interval.mean == pytest.approx(0.011)
    assert row.comparison.interval.half_width == pytest.approx(0.00248, abs=1e-5)
    assert len(found.changed) == 9
    assert abs(found.changed[0].difference) >= abs(found.changed[-1].difference)


def test_two_pairs_are_too_few_to_tell(tmp_path: Path) -> None:
    text = STUDY.replace("[0, 1, 2]", "[0, 1]")
    found = compare_folders(
        folder(tmp_path / "a", text=text), folder(tmp_path / "b", lambda run: accuracy(run) - 0.1, text)
    )
    assert set(verdicts(found).values()) == {"too few pairs"}


def test_runs_of_one_side_are_listed(tmp_path: Path) -> None:
    first = folder(tmp_path / "a", lambda run: None if run.method == "snip" else accuracy(run))
    second = folder(tmp_path / "b", lambda run: None if run.seed == 2 and run.method == "random" else accuracy(run))
    found = compare_folders(first, second)
    assert {stored.run.method for stored in found.only_first} == {"random"}
    assert len(found.only_second) == 6
    assert sum(line.startswith("only in B: ") for line in comparison_lines(found)) == 6


def test_another_recipe_is_paired_by_row_and_seed_and_named(tmp_path: Path) -> None:
    other = STUDY.replace("finetune: {epochs: 3}", "finetune: {epochs: 3, lr: 0.05}")
    found = compare_folders(folder(tmp_path / "a"), folder(tmp_path / "b", lambda run: accuracy(run) + 0.02, other))
    pair = next(pair for row in found.rows for pair in row.pairs if pair.first.run.method == "global_mp")
    assert not pair.is_same_run
    assert pair.changes == ("recipe.lr: default -> 0.05",)
    assert found.only_first == ()
    assert "other specification: recipe.lr: default -> 0.05 (12 pairs)" in comparison_lines(found)


def test_other_versions_and_revisions_are_named(tmp_path: Path) -> None:
    first, second = folder(tmp_path / "a"), folder(tmp_path / "b")
    study = write_study(second)
    for run in study.runs[:2]:
        store_result(Store(second), study.name, run, accuracy(run), provenance__revision="def",
                     provenance__packages={"torch": "3"})  # fmt: skip
    found = compare_folders(first, second)
    assert set(found.provenance) == {("revision", "abc", "def", 2), ("torch", "2", "3", 2)}
    assert "torch: 2 in A, 3 in B (2 pairs)" in comparison_lines(found)


def test_processors_of_one_name_are_told_apart_by_what_they_compute_with(tmp_path: Path) -> None:
    first, second = folder(tmp_path / "a"), folder(tmp_path / "b")
    run, older = write_study(second).runs[:2]
    store_result(Store(second), "small", run, accuracy(run), provenance__instructions="AVX512")
    store_result(Store(second), "small", older, accuracy(older))
    path = Store(second).folder("small", older).result_path
    result = json.loads(path.read_text(encoding="utf-8"))
    del result["provenance"]["instructions"]  # older results lack these keys
    write_json(path, result)
    found = compare_folders(first, second)
    assert set(found.provenance) == {("instructions", "AVX2", "AVX512", 1), ("instructions", "AVX2", "None", 1)}


def test_one_study_can_be_chosen(tmp_path: Path) -> None:
    first = folder(tmp_path / "a")
    second = folder(tmp_path / "b")
    fill(Store(first), write_study(first, STUDY.replace("name: small", "name: other")), accuracy)
    assert compare_folders(first, second, "small").only_first == ()
    assert len(compare_folders(first, second).only_first) == 18
    with pytest.raises(UserError, match=r"no stored result of study 'smal' in .*a"):
        compare_folders(first, second, "smal")


def test_rows_of_several_networks_say_which_they_are_of(tmp_path: Path) -> None:
    first = folder(tmp_path / "a")
    other = STUDY.replace("name: small", "name: other").replace("dataset: digits", "dataset: {name: synthetic}")
    fill(Store(first), write_study(first, other), accuracy)
    names = [row.name for row in compare_folders(first, first).rows]
    dense = [name for name in names if name.startswith("dense: ")]
    assert dense == ["dense: dense 0 %, convnet-small on digits", "dense: dense 0 %, convnet-small on synthetic"]
    assert "small: snip 90 %" in names


def test_folders_that_hold_nothing_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"no results folder .*absent"):
        compare_folders(tmp_path / "absent", tmp_path / "empty")
    with pytest.raises(UserError, match=r"no stored result of any study in .*empty"):
        compare_folders(tmp_path / "empty", tmp_path / "empty")


def test_a_result_that_describes_no_run_is_named(tmp_path: Path) -> None:
    first = folder(tmp_path / "a")
    study = write_study(first)
    path = Store(first).folder(study.name, study.runs[-1]).result_path
    content = read_json(path)
    run = {"colour": "red", "sparsity": content["sparsity"].get("target", 0.0)}
    path = path.parent.rename(path.parents[1] / id_of(run)) / path.name
    write_json(path, {**content, "id": id_of(run), "run": run, "parent": None})
    with pytest.raises(Damaged, match=r"result\.json is damaged: it does not describe a run of this version"):
        compare_folders(first, first)
    noted: list[Damaged] = []
    found = compare_folders(first, first, note=noted.append)
    assert [error.path for error in noted] == [path, path]
    assert sum(len(row.pairs) for row in found.rows) == len(with_parents(study.runs)) - 1


def test_table_and_json_say_the_same(tmp_path: Path) -> None:
    found = compare_folders(folder(tmp_path / "a"), folder(tmp_path / "b", lambda run: accuracy(run) + 0.01))
    table, plain = comparison_table(found, "a", "b"), comparison_as_dict(found)
    for row, made in zip(table.rows, plain["rows"], strict=True):
        assert row.label == made["row"]
        assert row.cells[3].value == pytest.approx(100 * made["mean_difference"])
        assert row.cells[4].text == made["verdict"] == "different"
