"""The export: documented columns of one type each, equal when read back; other versions are refused."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pandas as pd
import pytest
from prunebench.benchmark.analysis.export import (
    ADDED,
    EXPORT_SCHEMA,
    INTEGERS,
    TEXTS,
    describe_columns,
    export_bytes,
    export_frame,
    read_export,
)
from prunebench.benchmark.analysis.frame import COLUMNS, study_frame
from prunebench.benchmark.analysis.latency_columns import RUN_LATENCY, with_latency
from prunebench.benchmark.analysis.pair_frame import PAIR_COLUMNS
from prunebench.benchmark.analysis.study_results import read_results
from prunebench.benchmark.api.errors import DataMissing, UserError
from prunebench.benchmark.runs.store import Store
from synthetic_latency import MACHINE, store_latency
from synthetic_results import STUDY, fill, store_failure, write_study

needs_pyarrow = pytest.mark.skipif(
    importlib.util.find_spec("pyarrow") is None, reason="needs pyarrow: pip install pyarrow"
)


@pytest.fixture
def frame(tmp_path: Path) -> pd.DataFrame:
    """Stored, failed and missing runs, a row that is only listed, and labels that are difficult in CSV."""
    text = STUDY + '  - {method: secret, label: "NA", sparsity: 90%, not_run: "commas, \\"quotes\\"\\nand lines"}\n'
    study, store = write_study(tmp_path, text), Store(tmp_path / "results")
    fill(store, study, lambda run: None if run.method == "snip" else 0.9 + 0.1 * run.sparsity / 3)
    store_failure(store, study.name, next(run for run in study.runs if run.method == "snip"), "Diverged: nan")
    return study_frame(study, store)


def write(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def test_a_csv_is_read_back_as_it_was(frame: pd.DataFrame, tmp_path: Path) -> None:
    back = read_export(write(tmp_path, "e.csv", export_bytes(frame, "csv")))
    wanted = export_frame(frame).drop(columns="schema")
    # an empty reason and a missing one both become an empty cell
    wanted["reason"] = wanted["reason"].replace("", pd.NA)
    pd.testing.assert_frame_equal(back, wanted, check_exact=True)


@pytest.mark.parametrize("label", ["=1+1", "@SUM(A1)", "+x", "-x", "'=1", "''@", "'quoted", "plain", "\tx"])
def test_text_that_a_spreadsheet_would_run_is_neutralised_and_read_back(
    label: str, frame: pd.DataFrame, tmp_path: Path
) -> None:
    frame["label"] = label
    content = export_bytes(frame, "csv")
    cells = pd.read_csv(write(tmp_path, "e.csv", content), dtype="string", keep_default_na=False)
    assert not cells["label"].str.match(r"[=+\-@\t\r]").any()
    assert set(read_export(tmp_path / "e.csv")["label"]) == {label}


@needs_pyarrow
def test_parquet_is_read_back_as_it_was(frame: pd.DataFrame, tmp_path: Path) -> None:
    back = read_export(write(tmp_path, "e.parquet", export_bytes(frame, "parquet")))
    pd.testing.assert_frame_equal(back, export_frame(frame).drop(columns="schema"), check_exact=True)


def test_parquet_without_its_package_is_one_line_and_exit_code_4(
    frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataMissing, match="needs the package pyarrow: pip install pyarrow") as caught:
        export_bytes(frame, "parquet")
    assert caught.value.exit_code == 4


def test_every_run_is_a_row_and_every_column_is_documented(frame: pd.DataFrame) -> None:
    made = export_frame(frame)
    assert len(made) == len(frame) == 22
    assert list(made.columns) == [name for name, _, _ in describe_columns(COLUMNS)] == ["schema", *COLUMNS]
    assert set(made["schema"]) == {EXPORT_SCHEMA}
    assert all(meaning for _, _, meaning in describe_columns(COLUMNS))


def test_the_types_name_columns_that_exist() -> None:
    assert set(COLUMNS) | set(PAIR_COLUMNS) | set(RUN_LATENCY) >= TEXTS | INTEGERS


NEWER = EXPORT_SCHEMA + 1


def test_unknown_versions_are_refused_by_name(frame: pd.DataFrame, tmp_path: Path) -> None:
    text = export_bytes(frame, "csv").decode().replace(f"\n{EXPORT_SCHEMA},small,", f"\n{NEWER},small,")
    with pytest.raises(UserError, match=rf"e\.csv has export format {NEWER}, this version reads 1 to {EXPORT_SCHEMA}"):
        read_export(write(tmp_path, "e.csv", text.encode()))
    with pytest.raises(
        UserError, match=rf"e\.csv has export format 2, {NEWER}, this version reads 1 to {EXPORT_SCHEMA}"
    ):
        read_export(write(tmp_path, "e.csv", text.replace(f"\n{NEWER},small,", "\n2,small,", 1).encode()))


def test_the_first_version_is_read_without_the_number_of_processes(tmp_path: Path) -> None:
    """A file that version 1 wrote: columns that it did not have are missing values."""
    path = Path(__file__).parent / "export-1.csv"
    back = read_export(path)
    assert list(back.columns) == list(COLUMNS)
    assert back["processes"].isna().all()
    assert (len(back), back["accuracy_last"][0], back["seed"][0]) == (3, 0.988, 0)


@needs_pyarrow
def test_a_parquet_of_the_first_version_is_read_like_its_csv(tmp_path: Path) -> None:
    path = Path(__file__).parent / "export-1.csv"
    old = read_export(path).drop(columns=["processes", "outside"])
    old.insert(0, "schema", 1)
    old.to_parquet(tmp_path / "e.parquet", index=False)
    pd.testing.assert_frame_equal(read_export(tmp_path / "e.parquet"), read_export(path), check_exact=True)


def test_every_version_says_what_it_added() -> None:
    assert set(ADDED) == set(range(2, EXPORT_SCHEMA + 1))
    assert all(name in COLUMNS for names in ADDED.values() for name in names)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"x\.csv is no export of prunebench: it has no column 'schema'"):
        read_export(write(tmp_path, "x.csv", b"a,b\n1,2\n"))
    with pytest.raises(UserError, match=r"cannot read .*empty\.csv"):
        read_export(write(tmp_path, "empty.csv", b""))
    with pytest.raises(UserError, match=r"cannot read .*absent\.csv"):
        read_export(tmp_path / "absent.csv")


def test_an_unknown_format_is_refused(frame: pd.DataFrame) -> None:
    with pytest.raises(UserError, match="unknown format 'xlsx'"):
        export_bytes(frame, "xlsx")


def test_latency_is_beside_the_runs_that_have_it(tmp_path: Path) -> None:
    """Of two machines the one that measured more, at the smallest batch; in seconds; the same when read back."""
    study, store = write_study(tmp_path), Store(tmp_path / "results")
    fill(store, study, lambda run: 0.9)
    dense, pruned = next(r for r in study.runs if r.method == "dense"), next(r for r in study.runs if r.sparsity)
    unmeasured = study_frame(study, store)
    assert list(with_latency(unmeasured, read_results(study, store)).columns) == list(COLUMNS)
    store_latency(store, study.name, dense, {"dense": 2.0, "dense-onnx": 0.5})
    store_latency(store, study.name, pruned, {"dense": 3.0, "masked": 3.5, "2:4-half": 1.0})
    store_latency(store, study.name, pruned, {"masked": 9.0}, machine={**MACHINE, "threads": 2})
    made = with_latency(study_frame(study, store), read_results(study, store))
    assert list(made.columns) == [*COLUMNS, *RUN_LATENCY]
    rows = made.set_index("id")
    found = rows.loc[pruned.id, ["latency_batch", "p50_dense", "p50_masked", "p50_2_4_half"]]
    assert found.tolist() == [1, 0.003, 0.0035, 0.001]
    assert rows.loc[pruned.id, "latency_machine"] == "A CPU, 1 thread, torch 2.14.1, ONNX Runtime 1.32.0"
    assert rows.loc[dense.id, "p50_dense_onnx"] == 0.0005
    assert rows.loc[dense.id, ["p50_masked", "p50_csr"]].isna().all()
    assert rows["latency_machine"].notna().sum() == 2
    back = read_export(write(tmp_path, "e.csv", export_bytes(made, "csv")))
    columns = list(RUN_LATENCY)
    pd.testing.assert_frame_equal(back[columns], export_frame(made)[columns], check_exact=True)
