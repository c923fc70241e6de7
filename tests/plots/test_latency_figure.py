"""Accuracy against milliseconds: the fastest equal variant of each network, without the drift between sessions."""

from __future__ import annotations

from typing import Any

import pytest
from drawing import line
from prunebench.benchmark.analysis.study_results import read_results
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.plots.kinds import figures
from prunebench.benchmark.plots.latency import latency_figure
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.load import Study
from synthetic_latency import MACHINE, store_latency


@pytest.fixture
def measured(made: tuple[Study, Store]) -> tuple[Study, Store]:
    """The pruned runs were measured while the machine was half as fast: their dense network takes 4 ms, not 2."""
    study, store = made
    for run in study.runs:
        if run.method == "dense":
            store_latency(store, study.name, run, {"dense": 2.0, "dense-onnx": 1.0, "int8-onnx": 0.5})
        if run.method == "snip":
            store_latency(store, study.name, run, {"dense": 2.0, "masked": 2.0, "csr": 4.0})
        if run.method == "global_mp":
            faster = 2.0 if run.sparsity == 0.9 else 0.8
            store_latency(store, study.name, run, {"dense": 4.0, "masked": 4.0, "shrunk-onnx": faster})
    return study, store


def test_rows_stand_at_their_share_of_the_dense_time(measured: tuple[Study, Store]) -> None:
    axes = latency_figure(read_results(*measured)).axes[0]
    # of 15 dense times six are 4 ms: their median is 2 ms
    assert line(axes, "Global MP")[0] == pytest.approx([1.0, 0.4])
    assert line(axes, "Global MP")[1] == pytest.approx([96.2, 95.2])
    assert line(axes, "SNIP")[0] == pytest.approx([2.0, 2.0])
    assert line(axes, "Dense") == ([pytest.approx(1.0)], [pytest.approx(98.2)])
    assert line(axes, "Dense in INT8") == ([pytest.approx(0.5)], [pytest.approx(90.0)])
    assert line(axes, "Pareto front")[0] == pytest.approx([0.4, 1.0])
    assert axes.get_title(loc="left").replace("\n", " ") == "A CPU, 1 thread, torch 2.14.1, ONNX Runtime 1.32.0"


def test_each_machine_has_a_panel(measured: tuple[Study, Store]) -> None:
    study, store = measured
    gpu: Any = {**MACHINE, "device": "cuda", "device_name": "A GPU"}
    for run in study.runs:
        if run.method == "dense":
            store_latency(store, study.name, run, {"dense": 0.1}, machine=gpu)
    panels = latency_figure(read_results(study, store)).axes
    titles = sorted(panel.get_title(loc="left").split(",")[0] for panel in panels)
    assert titles == ["A CPU", "A GPU"]
    assert any("CPU A CPU" in panel.get_title(loc="left") for panel in panels)


def test_it_is_drawn_where_something_is_measured(made: tuple[Study, Store]) -> None:
    study, store = made
    assert (study.name, "latency") not in figures(None, [study], store)
    with pytest.raises(UserError, match="no latency of study 'small' is measured here"):
        figures("latency", [study], store)
    store_latency(store, study.name, study.runs[0], {"dense": 1.0})
    assert (study.name, "latency") in figures(None, [study], store)
