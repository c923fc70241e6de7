"""The three-regime study of the suite on digits, from its runs to its tables and maps. It asserts no regime."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from prunebench.benchmark.analysis.regime_cells import regime_map
from prunebench.benchmark.analysis.study_results import read_results
from prunebench.benchmark.api.errors import Damaged, UserError
from prunebench.benchmark.cli import app
from prunebench.benchmark.launch.attempt import attempt
from prunebench.benchmark.plots.kinds import figures
from prunebench.benchmark.runs.pair_files import read_pair
from prunebench.benchmark.runs.recompute import is_asked
from prunebench.benchmark.runs.settings import Settings
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.load import Study, load_study
from prunebench.benchmark.studies.pairs import pairs_of
from prunebench.benchmark.studies.plan import with_parents
from prunebench.benchmark.training.measure_pair import measure_pair
from prunebench.benchmark.training.run_data import read_data

SMALL = ("--set", "seeds=[0]", "--set", "three_regime.density=[2%, 40%]", "--set", "three_regime.values=[3, 6]")
ASSIGNMENTS = SMALL[1::2]
NAME = "three-regime-digits"


@pytest.fixture(scope="module")
def study() -> Study:
    return load_study(NAME, ASSIGNMENTS)


@pytest.fixture(scope="module")
def results(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All runs of a part of the study, and its pairs."""
    root = tmp_path_factory.mktemp("results")
    for run in with_parents(study.runs):
        assert attempt(run, NAME, Settings(results=root, keep_weights=True)).outcome == "done"
    assert call("measure", root).exit_code == 0
    return root


def call(command: str, results: Path, *arguments: str) -> Any:
    return CliRunner().invoke(
        app, [command, NAME, *SMALL, "--results", str(results), *arguments], catch_exceptions=False
    )


def pair_files(results: Path) -> list[Path]:
    return sorted((results / NAME / "pairs").glob("*.json"))


def measured(path: Path) -> dict[str, Any]:
    found = json.loads(path.read_text(encoding="utf-8"))
    return {key: value for key, value in found.items() if key != "provenance"}


def test_numbers_are_finite_and_in_range(study: Study, results: Path) -> None:
    assert len(pair_files(results)) == 4
    frame = read_results(study, Store(results)).pairs
    assert set(frame["state"]) == {"measured"}
    errors = frame[[f"error_{index}" for index in range(11)]]
    assert errors.notna().all(axis=None)
    assert ((errors >= 0) & (errors <= 1)).all(axis=None)
    assert frame["lmc"].between(-1, 1).all()
    assert (frame["barrier_chord"] >= 0).all()
    assert frame["cka_softmax"].between(0, 1 + 1e-12).all()
    assert (frame["same_mask"] == 1).all()
    # all training samples, which are fewer than are compared at most
    assert set(frame["cka_samples"]) == {len(read_data(study.runs[0], Settings(results=results)).train)}


def test_pairs_have_the_same_bits_again_and_each_run_is_connected_with_itself(study: Study, results: Path) -> None:
    pair = pairs_of(study.rows)[0]
    path = results / NAME / "pairs" / f"{pair.name}.json"
    again = measure_pair(pair.runs, NAME, Settings(results=results), ["lmc", "cka"])
    assert {key: again[key] for key in again if key != "provenance"} | {"schema": 1} == measured(path)
    first = pair.runs[0]
    alone = measure_pair((first, first), NAME, Settings(results=results), ["lmc", "cka"])
    assert len(set(alone["errors"])) == 1
    assert alone["cka_softmax"] == pytest.approx(1)


def test_what_is_measured_is_kept_and_what_is_damaged_or_of_other_weights_is_measured_anew(results: Path) -> None:
    paths = pair_files(results)
    times = [path.stat().st_mtime_ns for path in paths]
    assert "4 pairs are measured" in call("measure", results).stderr
    assert [path.stat().st_mtime_ns for path in paths] == times
    before = [measured(path) for path in paths]
    paths[0].write_text("{}", encoding="utf-8")
    other = json.loads(paths[1].read_text(encoding="utf-8"))
    paths[1].write_text(json.dumps({**other, "weights": ["0" * 64, other["weights"][1]]}), encoding="utf-8")
    paths[2].unlink()
    told = call("measure", results).stderr
    assert "3 pairs to measure, 1 are stored" in told
    assert str(paths[0]) in told
    assert [measured(path) for path in paths] == before


def test_tables_and_figures(study: Study, results: Path) -> None:
    found = regime_map(read_results(study, Store(results)))
    assert (found.values, found.densities, len(found.cells)) == ([3, 6], [0.02, 0.4], 4)
    assert found.cells[6, 0.4].seeds[0].dense_epochs == 6
    for kind in ("connectivity", "regimes", "regime-choices"):
        table = json.loads(call("table", results, "--kind", kind, "--json").stdout)["tables"][0]
        assert all(len(row["cells"]) == len(table["columns"]) for row in table["rows"])
    regimes = call("table", results, "--kind", "regimes").stdout
    assert regimes.count("4 of 4") >= 1
    assert "not the paper's" in regimes
    choices = json.loads(call("table", results, "--kind", "regime-choices", "--json").stdout)["tables"][0]
    assert next(row for row in choices["rows"] if row["label"].startswith("Oracle"))["cells"][0]["value"] == 0
    paths = call("plot", results).stdout.split()
    assert [Path(path).name for path in paths] == ["regimes.png", "regimes.pdf"]


@pytest.mark.parametrize(
    ("kind", "keys", "first"),
    [
        ("connectivity", ["method", "sparsity", "measure"], ["epochs 3", "60", "lmc"]),
        ("regimes", ["row", "measure"], ["epochs 3 at 2 %", "weights left (%)"]),
        ("regime-choices", ["row", "measure"], ["Case study 1: walk by LMC and CKA", "density: 2 %"]),
    ],
)
def test_each_number_in_csv_is_named_once(results: Path, kind: str, keys: list[str], first: list[str]) -> None:
    rows = list(csv.DictReader(io.StringIO(call("table", results, "--kind", kind, "--format", "csv").stdout)))
    names = [[row[key] for key in keys] for row in rows]
    assert names[0] == first
    assert all(all(each) for each in names)
    assert len(set(map(tuple, names))) == len(names)


def test_tables_and_figures_show_what_is_missing(tmp_path: Path) -> None:
    for kind in ("connectivity", "regimes", "regime-choices"):
        for format in ("md", "latex", "csv", "html"):
            assert call("table", tmp_path, "--kind", kind, "--format", format).exit_code == 0
    assert "Incomplete: 4 of 4 cells lack a run or a pair." in call("table", tmp_path, "--kind", "regimes").stdout
    assert "4 of 4 pairs are not measured" in call("table", tmp_path, "--kind", "connectivity").stdout
    for figure in figures("regimes", [load_study(NAME, ASSIGNMENTS)], Store(tmp_path)).values():
        figure.draw_without_rendering()


def test_pairs_are_exported(results: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(call("export", results, "--pairs").stdout)))
    assert len(rows) == 4
    assert {row["state"] for row in rows} == {"measured"}
    assert all(float(row["error_0"]) >= 0 for row in rows)


def test_a_reference_folder_has_all_that_another_machine_needs(
    study: Study, results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "tools"))
    import reference

    reference.make_folder(study, Store(results), tmp_path / "made")
    merged = CliRunner().invoke(app, ["merge", str(tmp_path / "made" / "runs"), "--into", str(tmp_path / "two")])
    assert "10 copied, 0 equal and skipped, 4 pairs copied" in merged.stderr
    assert "4 pairs are measured" in call("measure", tmp_path / "two").stderr
    for kind in ("connectivity", "regimes", "regime-choices"):
        there, here = (call("table", root, "--kind", kind).stdout for root in (tmp_path / "two", results))
        assert there == here


def test_runs_without_weights_are_named_and_computed_anew(study: Study, results: Path, tmp_path: Path) -> None:
    root, pair = tmp_path / "copied", pairs_of(study.rows)[0]
    settings = Settings(results=root)
    for run in with_parents(pair.runs):
        assert attempt(run, NAME, settings).outcome == "done"
    missing = call("measure", root)
    assert missing.exit_code == 3
    assert f"no weights are stored of {pair.runs[0].id}" in missing.stderr
    assert "`prunebench run` computes it anew" in missing.stderr
    assert "0 pairs are measured, 3 wait for runs that are not stored, 2 runs have no weights" in missing.stderr

    from prunebench.benchmark.cli.measure import ask_for_weights

    ask_for_weights(study, Store(root))
    assert all(is_asked(Store(root).folder(NAME, run)) for run in pair.runs)


@pytest.mark.parametrize("errors", [[], [0.1] * 10, [0.1] * 10 + [float("nan")], [0.1] * 10 + [1.5]])
def test_a_pair_whose_errors_are_none_is_damaged_and_named(results: Path, tmp_path: Path, errors: list[float]) -> None:
    path = tmp_path / "pair.json"
    found = json.loads(pair_files(results)[0].read_text(encoding="utf-8"))
    path.write_text(json.dumps({**found, "errors": errors}), encoding="utf-8")
    store = Store(results)
    first, second = (store.folder(NAME, run) for run in pairs_of(load_study(NAME, ASSIGNMENTS).rows)[0].runs)
    with pytest.raises(Damaged, match="errors"):
        read_pair(path, (first, second), ["lmc"])


def test_studies_that_measure_nothing_say_so(tmp_path: Path) -> None:
    for arguments, message in (
        (["measure", "demo"], "it has no key 'measure'"),
        (["table", "demo", "--kind", "connectivity"], "it has no key 'measure'"),
        (["export", "demo", "--pairs"], "it has no key 'measure'"),
        (["table", "demo", "--kind", "regimes"], "it has no block 'three_regime'"),
    ):
        with pytest.raises(UserError, match=message):
            CliRunner().invoke(app, [*arguments, "--results", str(tmp_path)], catch_exceptions=False)
