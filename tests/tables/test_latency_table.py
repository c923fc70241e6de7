"""The table of latency: one block a network, each machine by itself, and what is small enough to compare with INT8."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from command_line import run as command
from prunebench.benchmark.analysis.study_results import read_results
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.runs.files import write_json
from prunebench.benchmark.runs.latency_files import latency_path, write_latency
from prunebench.benchmark.runs.run import Run
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.load import Study
from prunebench.benchmark.tables.latency import latency_table
from prunebench.benchmark.tables.table import Table, TableRow
from small_study import by_seed, made
from synthetic_latency import MACHINE, store_latency
from synthetic_results import fill

HERE = "A CPU, 1 thread, torch 2.14.1, ONNX Runtime 1.32.0"


@pytest.fixture
def stored(tmp_path: Path) -> tuple[Study, Store]:
    """Two of three seeds of Global MP at 90 % are measured, and all dense trainings."""
    study, store = made(tmp_path)
    fill(store, study, by_seed)
    for run in study.runs:
        if run.method == "dense":
            store_latency(store, study.name, run, {"dense": 2.0, "dense-onnx": 1.0, "int8-onnx": 0.5})
    for run, slower in zip(pruned(study), (1.0, 1.2), strict=False):
        times = {"dense": 2.0 * slower, "masked": 2.0 * slower, "shrunk-onnx": 0.4 * slower}
        left = {"csr": "no linear layer has zeros", "int8-onnx": "the network is pruned"}
        store_latency(store, study.name, run, times, left_out=left, packed_bytes=900)
    return study, store


def pruned(study: Study, method: str = "global_mp", sparsity: float = 0.9) -> list[Run]:
    return [run for run in study.runs if (run.method, run.sparsity) == (method, sparsity)]


def table(stored: tuple[Study, Store], **options: Any) -> Table:
    return latency_table(read_results(*stored), **options)


def numbers(made: Table, block: str) -> dict[str, list[str]]:
    rows: list[TableRow] = dict(made.blocks)[block]
    return {row.label: [cell.number or cell.text for cell in row.cells] for row in rows}


def test_a_block_has_the_variants_with_means_over_seeds(stored: tuple[Study, Store]) -> None:
    found = table(stored)
    assert [column.title for column in found.columns] == [
        "accuracy (%)", "file (kB)", "packed (kB)", "memory (MB)",
        "batch 1: p50 (ms)", "batch 1: p95 (ms)", "batch 1: x dense",
        "batch 8: p50 (ms)", "batch 8: p95 (ms)", "batch 8: x dense",
    ]  # fmt: skip
    assert numbers(found, "Dense")["before pruning, ONNX Runtime"] == [
        "98.20", "4.0", "–", "2.0", "1.000", "2.000", "2.00", "10.000", "20.000", "2.00",
    ]  # fmt: skip
    assert numbers(found, "Dense")["before pruning, INT8, ONNX Runtime"][:2] == ["90.00", "1.0"]
    # the dense network is timed with each pruned one, and shown where it was trained
    assert list(numbers(found, "Global MP, 90 %")) == [
        "pruned, zeros stored", "pruned, empty channels removed, ONNX Runtime",
    ]  # fmt: skip
    small = numbers(found, "Global MP, 90 %")["pruned, empty channels removed, ONNX Runtime"]
    assert small == ["96.20", "4.0", "0.9", "2.0", "0.440", "0.880", "5.00", "4.400", "8.800", "5.00"]


def test_rows_that_are_as_small_as_int8_and_runs_that_are_not_measured_are_marked(stored: tuple[Study, Store]) -> None:
    rows = dict(table(stored).blocks)["Global MP, 90 %"]
    packed, p50 = rows[0].cells[2], rows[0].cells[4]
    assert [note.symbol for note in packed.notes] == ["◇"]
    assert [note.symbol for note in p50.notes] == ["‡"]
    assert p50.runs == "2/3"
    dense = dict(table(stored).blocks)["Dense"]
    assert not any(note.symbol in "◇‡" for row in dense for cell in row.cells for note in cell.notes)


def test_the_caption_names_the_machine_the_day_and_what_is_left_out(stored: tuple[Study, Store]) -> None:
    study, store = stored
    shapes = [
        {"shape": [4, 8], "batch": batch, "points": [{"density": 0.1, "dense": 1.0, "csr": 0.5}], "pays_from": pays}
        for batch, pays in ((1, None), (8, 0.1))
    ]
    content = {"machine": MACHINE, "batches": [1, 8], "repeats": 100, "shapes": shapes, "provenance": {}}
    write_latency(latency_path(store.root, study.name, "csr", MACHINE), content)
    told = " ".join(table(stored).caption)
    assert f"Measured on {HERE} (1970-01-01)." in told
    assert (
        "CSR of a linear layer 4 x 8 pays at no density down to 10% at batch 1, "
        "from a density of 10% down at batch 8." in told
    )
    assert "Left out (no linear layer has zeros): pruned, linear layers as CSR." in told
    assert "the network is pruned" not in told


def test_machines_and_threads_are_never_averaged(stored: tuple[Study, Store]) -> None:
    study, store = stored
    two: Any = {**MACHINE, "threads": 2}
    for run in pruned(study):
        store_latency(store, study.name, run, {"dense": 1.0, "masked": 0.9}, machine=two)
    found = table(stored)
    there = HERE.replace("1 thread", "2 threads")
    assert [block for block, _ in found.blocks] == [
        f"Dense; {HERE}", f"Global MP, 90 %; {HERE}", f"Global MP, 90 %; {there}",
    ]  # fmt: skip
    # where no dense training was measured, the dense network is shown beside the pruned one
    assert numbers(found, f"Global MP, 90 %; {there}")["before pruning"][4] == "1.000"
    assert numbers(found, f"Global MP, 90 %; {HERE}")["pruned, zeros stored"][4] == "2.200"


def test_what_was_measured_of_other_weights_is_not_shown(stored: tuple[Study, Store]) -> None:
    study, store = stored
    folder = store.folder(study.name, pruned(study)[0])
    result = folder.read_result()
    assert result is not None
    result["files"]["model.safetensors"]["sha256"] = "1" * 64
    write_json(folder.result_path, result)
    cell = dict(table(stored).blocks)["Global MP, 90 %"][0].cells[4]
    assert (cell.number, cell.runs) == ("2.400", "1/3")


def test_joules_have_a_column_where_a_counter_was_read(stored: tuple[Study, Store]) -> None:
    study, store = stored
    times = [{"batch": batch, "p50": 0.001, "p95": 0.002, "joules": 0.25} for batch in (1, 8)]
    store_latency(store, study.name, pruned(study)[0], {"dense": 1.0, "masked": 1.0}, times=times)
    found = table(stored)
    assert found.columns[7].title == "batch 1: joules"
    assert numbers(found, "Global MP, 90 %")["pruned, zeros stored"][7] == "0.2500"
    assert all(len(row.cells) == len(found.columns) for row in found.rows)


def test_a_study_that_is_not_measured_says_how_to(filled: Path) -> None:
    with pytest.raises(
        UserError, match="no latency of study 'small' is measured here: `prunebench latency small` does it"
    ):
        command("table", "study.yaml", "--kind", "latency")


def test_a_damaged_file_is_named_and_left_out(stored: tuple[Study, Store], tmp_path: Path) -> None:
    study, store = stored
    path = latency_path(store.root, study.name, pruned(study)[0].id, MACHINE)
    path.write_text("{", encoding="utf-8")
    done = command("table", str(tmp_path / "study.yaml"), "--results", str(store.root), "--kind", "latency")
    assert done.exit_code == 0
    advice = "1 damaged file, left out here; `latency` measures anew what is missing"
    assert f"{advice}:\n  {path}: not valid JSON" in done.stderr


def test_the_table_is_written_as_csv_with_a_line_for_each_number(stored: tuple[Study, Store], tmp_path: Path) -> None:
    arguments = ("table", str(tmp_path / "study.yaml"), "--results", str(stored[1].root), "--kind", "latency")
    lines = command(*arguments, "--format", "csv").stdout.splitlines()
    assert lines[0].startswith("study,setting,row,measure,mean,sd,n,expected,")
    assert 'small,"Global MP, 90 %","pruned, zeros stored",batch 1: p50 (ms),2.2,0.28284,2,3,' in "\n".join(lines)
