"""The heat map of ranks and the critical-difference diagram."""

from __future__ import annotations

import warnings
from pathlib import Path

import pandas as pd
import pytest
from drawing import over_settings
from prunebench.benchmark.analysis.frame import study_frame
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.plots.kinds import save_figure
from prunebench.benchmark.plots.ranks import critical_figure, ranks_figure
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.load import Study
from synthetic_results import STUDY, fill, write_study


def test_a_critical_difference_needs_settings_enough_to_tell_a_pair_apart(made: tuple[Study, Store]) -> None:
    frame = study_frame(*made)
    with pytest.raises(UserError, match=r"needs 7 settings .* for 3 methods, not 1: .* adjusted p-value is 1;"):
        critical_figure(frame)
    with pytest.raises(UserError, match=r"not 6: .* smallest adjusted p-value is 0\.094;"):
        critical_figure(over_settings(frame, 6))
    with pytest.raises(UserError, match=r"needs 3 methods .*, not 2;"):
        critical_figure(over_settings(frame[frame["method"] != "snip"], 12))
    figure = critical_figure(over_settings(frame, 7))
    assert "tell 3 of 3 pairs of methods apart" in figure.axes[0].get_title("left").replace("\n", " ")


def test_the_heat_map_of_ranks_puts_methods_without_a_mean_rank_last(tmp_path: Path) -> None:
    text = STUDY.replace("[global_mp, snip, random]", "[random, snip]")
    study = write_study(tmp_path, text + "  - {method: global_mp, sparsity: [90%]}\n")
    store = Store(tmp_path / "results")
    fill(store, study, lambda run: {"global_mp": 0.95, "snip": 0.9}.get(run.method, 0.8))
    panel = ranks_figure(study_frame(study, store)).axes[0]
    assert [tick.get_text() for tick in panel.get_yticklabels()] == ["SNIP", "Random", "Global MP"]


@pytest.mark.parametrize("models", [("convnet-small",), ("a-network-of-a-long-name", "another-one-of-a-longer-name")])
def test_the_heat_map_of_ranks_has_room_for_long_names(models: tuple[str, ...], tmp_path: Path) -> None:
    labels = [f"Method {index}, a name of some length" for index in range(3)]
    rows = [
        {"dataset": "digits", "model": model, "target": 0.9, "label": label, "method": "snip", "state": "done",
         "fault": None, "sparsity": 0.9, "accuracy_last": 0.9}
        for model in models for label in labels
    ]  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save_figure(ranks_figure(pd.DataFrame(rows)), tmp_path / "ranks", ["png"])
