"""A study from Python: computed, read as a frame, and its networks loaded."""

from __future__ import annotations

import inspect
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import prunebench
import pytest
import torch
from prunebench.benchmark.analysis.frame import COLUMNS
from prunebench.benchmark.cli.compute import run as command
from prunebench.benchmark.training.evaluate import evaluate
from prunebench.datasets.registry import load

STUDY = """\
name: small
dataset: {name: digits, options: {limit: 200}}
model: {name: convnet-small, options: {width: 4}}
seeds: [0]
train: {epochs: 1, batch_size: 50}
runs:
  - method: dense
  - method: [global_mp, str, small_dense]
    sparsity: [90%]
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the study's file and results, all weights kept."""
    folder = tmp_path_factory.mktemp("library")
    (folder / "small.yaml").write_text(STUDY, encoding="utf-8")
    frame = prunebench.run(folder / "small.yaml", results=folder / "results", keep_weights=True, jobs=1, quiet=True)
    assert list(frame["state"]) == ["done"] * 4
    return folder


def test_the_frame_has_the_documented_columns(place: Path) -> None:
    frame = prunebench.load_results(place / "small.yaml", results=place / "results")
    assert list(frame.columns) == list(COLUMNS)
    assert list(frame["label"]) == ["Dense", "Global MP", "STR", "Small dense"]
    assert frame.set_index("method").loc["global_mp", "sparsity"] == pytest.approx(0.9, abs=1e-3)
    assert frame["kept"].dtype == "Int64"
    assert frame["accuracy_last"].dtype == "Float64"
    one = prunebench.load_results(place / "small.yaml", results=place / "results", only=["method=str"])
    pd.testing.assert_frame_equal(one, frame[frame["method"] == "str"].reset_index(drop=True))


def test_a_folder_is_read_without_its_study(place: Path) -> None:
    frame = prunebench.load_results(place / "small.yaml", results=place / "results").set_index("id")
    for folder in (place / "results", place / "results" / "small"):
        found = prunebench.load_results(folder).set_index("id")
        assert set(found.index) == set(frame.index)
        same = [name for name in frame.columns if name != "study"]
        pd.testing.assert_frame_equal(found.loc[frame.index, same], frame[same])
    assert list(prunebench.load_results(place / "results" / "dense")["label"]) == ["Dense"]


def test_missing_runs_are_rows(place: Path) -> None:
    frame = prunebench.load_results(place / "small.yaml", results=place / "none", set={"seeds": [0, 1]})
    assert len(frame) == 8
    assert set(frame["state"]) == {"missing"}
    assert frame["accuracy_last"].isna().all()


@pytest.mark.parametrize("method", ["dense", "global_mp", "str", "small_dense"])
def test_a_loaded_network_has_the_stored_accuracy(place: Path, method: str) -> None:
    frame = prunebench.load_results(place / "small.yaml", results=place / "results").set_index("method")
    state = torch.get_rng_state()
    loaded = prunebench.load_pruned(frame.loc[method, "id"], results=place / "results")
    assert torch.equal(state, torch.get_rng_state())
    assert not loaded.model.training
    data = load("digits", limit=200)
    from prunebench.benchmark.runs.run import Recipe

    (test,) = evaluate(loaded.model, [data.test], Recipe(epochs=1), torch.device("cpu"), data.input_shape)
    assert test.accuracy == frame.loc[method, "accuracy_last"] == loaded.result["accuracy"]["last"]
    kept = sum(int(mask.sum()) for mask in loaded.masks.values())
    assert kept == frame.loc[method, "kept"]
    for name, mask in loaded.masks.items():
        assert (loaded.model.get_parameter(name)[~mask] == 0).all()


def test_a_run_is_found_by_its_folder_and_by_study_and_id(place: Path) -> None:
    frame = prunebench.load_results(place / "small.yaml", results=place / "results").set_index("method")
    run_id = frame.loc["global_mp", "id"]
    folder = place / "results" / "small" / "runs" / run_id
    for given in (folder, str(folder), f"small/{run_id[:6]}"):
        assert prunebench.load_pruned(given, results=place / "results").result["id"] == run_id


def test_a_run_without_weights_says_how_to_get_them(place: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    shutil.copytree(place / "results", results)
    run_id = prunebench.load_results(results).set_index("method").loc["global_mp", "id"]
    folder = results / "small" / "runs" / run_id
    (folder / "model.safetensors").unlink()
    with pytest.raises(prunebench.UserError) as error:
        prunebench.load_pruned(run_id, results=results)
    assert str(error.value) == (
        f"run {run_id} has no kept weights: remove {folder} and compute it again with "
        "`prunebench run small --keep-weights`, or keep_weights=True of prunebench.run"
    )


def test_bad_input(place: Path, tmp_path: Path) -> None:
    calls = [
        (lambda: prunebench.run("demoo", quiet=True), "unknown study 'demoo'; did you mean 'demo'?"),
        (lambda: prunebench.run("demo", set={"train.epochs": "many"}, quiet=True), "'train.epochs' is 'many'"),
        (lambda: prunebench.run("demo", device="gpu", quiet=True), "device 'gpu' must be auto, cpu, cuda or cuda:N"),
        (lambda: prunebench.load_results(tmp_path), f"{tmp_path} holds no runs"),
        (lambda: prunebench.load_pruned("0123", results=tmp_path), "run '0123': no such run"),
        (lambda: prunebench.load_pruned(tmp_path), "is not the folder of a run: it has no run.json"),
        (lambda: prunebench.add_plugin(tmp_path / "none.py"), "none.py: no such file"),
    ]
    for call, message in calls:
        with pytest.raises(prunebench.UserError) as error:
            call()
        assert message in str(error.value)


def test_the_arguments_are_the_options_of_the_command() -> None:
    options = {each.name: each for each in command.params}
    defaults = command.make_context("run", ["demo"], resilient_parsing=True).params
    given = inspect.signature(prunebench.run).parameters
    selection = {"assignments": "set"}
    assert {selection.get(name, name) for name in options} == given.keys() - {"quiet"}
    for name, parameter in given.items():
        option = options.get(name)
        if option is not None and name not in ("study", "results", "only", "plugins"):
            assert str(parameter.default) == str(defaults[name]), name


def test_a_failed_run_is_a_row_with_its_reason(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "small.yaml").write_text(STUDY, encoding="utf-8")
    frame = prunebench.run(
        tmp_path / "small.yaml", results=tmp_path / "r", only=["method=dense"], set={"train.lr": 1e30}, jobs=1
    )
    assert frame["state"].item() == "failed"
    assert "not finite" in frame["reason"].item() or "nan" in frame["reason"].item()
    assert "failed" in capfd.readouterr().err


def test_an_interrupt_stops_the_command_and_the_next_call_goes_on(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(STUDY, encoding="utf-8")
    script = (
        # a shell's background job starts with the signal ignored
        "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "import prunebench\nprunebench.run('small.yaml', only=['method=dense'], set={'train.epochs': 400}, jobs=1)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("results/dense/*/checkpoint.pt")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)  # to this process alone, as a notebook does
    _, said = process.communicate(timeout=120)
    assert said.rstrip().endswith("KeyboardInterrupt"), said
    frame = prunebench.load_results(tmp_path / "results")
    assert frame["state"].item() == "interrupted"
    assert not list(tmp_path.glob("results/dense/*/claim.json"))
