"""Figures: what they draw, for studies of every size and state, and that their files depend on results alone."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from prunebench.benchmark.analysis.curves import curves_of, pareto_front
from prunebench.benchmark.analysis.frame import study_frame
from prunebench.benchmark.analysis.long_frames import layer_frame
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.plots.accuracy import accuracy_figure
from prunebench.benchmark.plots.kinds import KINDS, OF_PRUNED, figures, save_figure, standard_kinds
from prunebench.benchmark.plots.layers import layers_figure
from prunebench.benchmark.plots.pareto import pareto_figure
from prunebench.benchmark.plots.ranks import critical_figure, ranks_figure
from prunebench.benchmark.plots.style import DENSE_COLOR, LINES, MARKERS, PALETTE, looks, shorten
from prunebench.benchmark.runs.run import Run
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.load import Study, load_study
from prunebench.methods import METHODS
from prunebench.methods.registry import describe
from synthetic_results import STUDY, fill, store_result, write_study


def accuracy(run: Run) -> float:
    base = {"dense": 0.98, "global_mp": 0.96, "snip": 0.94, "random": 0.80}.get(run.method, 0.9)
    return base + 0.002 * run.seed - (0.01 if run.sparsity > 0.9 else 0)


@pytest.fixture
def made(tmp_path: Path) -> tuple[Study, Store]:
    study, store = write_study(tmp_path), Store(tmp_path / "results")
    fill(store, study, accuracy)
    return study, store


def line(axes: Any, label: str) -> tuple[list[float], list[float]]:
    found = next(line for line in axes.get_lines() if line.get_label() == label)
    return list(found.get_xdata()), list(found.get_ydata())


def test_the_curve_joins_means_at_the_densities(made: tuple[Study, Store]) -> None:
    axes = accuracy_figure(study_frame(*made)).axes[0]
    x, y = line(axes, "Global MP")
    assert x == pytest.approx([0.1, 0.05])
    assert y == pytest.approx([96.2, 95.2])
    assert axes.get_xscale() == "log"
    # density falls to the right
    assert axes.get_xlim()[0] > axes.get_xlim()[1]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["90", "95"]
    assert line(axes, "Dense")[1] == pytest.approx([98.2, 98.2])


def test_dense_trainings_alone_are_a_level_and_a_point(made: tuple[Study, Store], tmp_path: Path) -> None:
    study, store = load_study(str(tmp_path / "study.yaml"), [], ["method=dense"]), made[1]
    drawn = figures(None, [study], store)
    assert [kind for _, kind in drawn] == ["accuracy", "pareto"] == standard_kinds(study)
    axes = drawn["small", "accuracy"].axes[0]
    assert line(axes, "Dense")[1] == pytest.approx([98.2, 98.2])
    assert axes.get_title(loc="left").endswith("mean and standard deviation, n = 3")
    assert line(drawn["small", "pareto"].axes[0], "Dense") == ([100], [pytest.approx(98.2)])


@pytest.mark.parametrize("kind", OF_PRUNED)
def test_figures_of_pruned_rows_refuse_dense_trainings_alone(
    made: tuple[Study, Store], tmp_path: Path, kind: str
) -> None:
    study, store = load_study(str(tmp_path / "study.yaml"), [], ["method=dense"]), made[1]
    message = (
        f"--kind {kind} draws pruned networks, but all runs chosen of 'small' are dense trainings; known for these"
    )
    with pytest.raises(UserError, match=message):
        figures(kind, [study], store)


def test_dense_networks_that_a_paper_lists_as_rows_are_drawn_in_black(tmp_path: Path) -> None:
    study, store = load_study("table6", [], ["method=dense"]), Store(tmp_path / "results")
    fill(store, study, accuracy)
    points = figures("published", [study], store)["table6", "published"].axes[0].get_lines()
    assert any(
        point.get_color() == DENSE_COLOR and list(point.get_xdata()) == [pytest.approx(98.2)] for point in points
    )


def test_bands_are_the_spread_asked_for(made: tuple[Study, Store]) -> None:
    frame = study_frame(*made)
    for stat, half in (("std", 0.2), ("ci", 0.4968)):
        point = curves_of(frame, "accuracy_last", stat)["SNIP"][0]  # pyright: ignore[reportArgumentType]
        assert point.spread == pytest.approx(half, abs=1e-4)
        band = accuracy_figure(frame, stat=stat).axes[0].collections[0]  # pyright: ignore[reportArgumentType]
        heights = band.get_paths()[0].vertices[:, 1]  # pyright: ignore[reportIndexIssue]
        # the first band is that of Global MP: 96.2 and 95.2
        assert (max(heights), min(heights)) == pytest.approx((96.2 + half, 95.2 - half), abs=1e-3)


def test_there_is_a_point_for_each_seed(made: tuple[Study, Store]) -> None:
    axes = accuracy_figure(study_frame(*made)).axes[0]
    seeds = [line for line in axes.get_lines() if line.get_linestyle() == "None"]
    assert sorted(len(line.get_xdata()) for line in seeds) == [6, 6, 6]  # pyright: ignore[reportArgumentType]


def test_a_wide_range_gets_a_second_panel_with_the_top(made: tuple[Study, Store]) -> None:
    figure = accuracy_figure(study_frame(*made))
    assert len(figure.axes) == 2
    low, high = figure.axes[1].get_ylim()
    assert high - low < 7 < figure.axes[0].get_ylim()[1] - figure.axes[0].get_ylim()[0]


def test_the_pareto_front_by_hand() -> None:
    assert pareto_front([(10, 90), (5, 80), (7, 70), (5, 60), (20, 90), (30, 95)]) == [(5, 80), (10, 90), (30, 95)]
    assert pareto_front([]) == []


def test_multiply_adds_are_those_left(made: tuple[Study, Store]) -> None:
    x, y = line(pareto_figure(study_frame(*made)).axes[0], "SNIP")
    assert x == pytest.approx([10.0, 5.0])
    assert y == pytest.approx([94.2, 93.2])


def test_an_emptied_layer_is_a_cross(made: tuple[Study, Store]) -> None:
    study, store = made
    run = next(run for run in study.runs if run.method == "snip" and run.sparsity == 0.95)
    layers = (store.folder(study.name, run).read_result() or {})["layers"]
    store_result(store, study.name, run, 0.5, layers=[{**layers[0], "kept": 0, "density": 0.0}, *layers[1:]])
    axes = layers_figure(layer_frame(study, store), "x").axes[1]
    crosses = [list(line.get_xdata()) for line in axes.get_lines() if line.get_marker() == "x"]  # pyright: ignore[reportArgumentType]
    assert crosses == [[0]]


def test_a_method_keeps_its_colour_over_studies(tmp_path: Path) -> None:
    def colours(text: str) -> dict[str, str]:
        study = write_study(tmp_path, text)
        return {label: look.color for label, look in looks(study_frame(study, Store(tmp_path))).items()}

    first = colours(STUDY)
    second = colours(STUDY.replace("[global_mp, snip, random]", "[random, grasp, snip]"))
    assert first["SNIP"] == second["SNIP"]
    assert first["Random"] == second["Random"]
    assert len(set(first.values())) == 3


def test_an_earlier_place_in_the_registry_keeps_its_colour_against_a_later_one(tmp_path: Path) -> None:
    methods = [name for name in METHODS if name != "dense"]
    late, early = methods[len(PALETTE)], methods[0]
    study = write_study(tmp_path, STUDY.replace("[global_mp, snip, random]", f"[{late}, {early}]"))
    found = looks(study_frame(study, Store(tmp_path)))
    assert found[describe(early).label].color == PALETTE[0]
    assert found[describe(late).label].color == PALETTE[1]


def test_of_labels_that_would_touch_the_rounder_is_shown(tmp_path: Path) -> None:
    text = STUDY.replace("[90%, 95%]", "[79.55%, 80%, 94.8%, 95%, 95.3%, 98.05%]")
    axes = accuracy_figure(study_frame(write_study(tmp_path, text), Store(tmp_path))).axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["80", "95", "98.05"]


def test_a_method_that_sets_its_own_sparsity_stands_at_what_it_reached(tmp_path: Path) -> None:
    text = STUDY + "  - {method: nm_magnitude, label: Own}\n"
    study, store = write_study(tmp_path, text), Store(tmp_path / "results")
    fill(store, study, accuracy)
    for run in study.runs:
        if run.method == "nm_magnitude":
            store_result(store, study.name, run, 0.9, sparsity__achieved=0.5)
    axes = accuracy_figure(study_frame(study, store)).axes[0]
    assert line(axes, "Own") == ([0.5], [90.0])
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["50", "90", "95"]


def test_labels_of_one_method_share_the_colour_and_differ_in_marker_and_line(tmp_path: Path) -> None:
    text = STUDY + "  - {method: global_mp, label: MT, sparsity: 90%, options: {minimum_threshold: 0.1}}\n"
    found = looks(study_frame(write_study(tmp_path, text), Store(tmp_path)))
    one, other = found["Global MP"], found["MT"]
    assert one.color == other.color
    assert (one.marker, one.line) != (other.marker, other.line)
    assert one.marker != other.marker
    assert one.line != other.line


def test_looks_are_told_apart_without_colour() -> None:
    assert len(set(MARKERS)) == len(MARKERS) >= len(PALETTE)
    assert len({str(line) for line in LINES}) == len(LINES)


# Machado, Oliveira & Fernandes 2009, severity 1
COLOUR_BLINDNESS = {
    "protanopia": ((0.152, 1.053, -0.205), (0.115, 0.786, 0.099), (-0.004, -0.048, 1.052)),
    "deuteranopia": ((0.367, 0.861, -0.228), (0.280, 0.673, 0.047), (-0.012, 0.043, 0.969)),
    "tritanopia": ((1.256, -0.077, -0.179), (-0.078, 0.931, 0.148), (0.005, 0.691, 0.304)),
}


@pytest.mark.parametrize("kind", COLOUR_BLINDNESS)
def test_the_first_colours_are_told_apart_by_colour_blind_readers(kind: str) -> None:
    def seen(color: str) -> np.ndarray:
        red_green_blue = np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        return np.clip(np.array(COLOUR_BLINDNESS[kind]) @ red_green_blue**2.2, 0, 1) ** (1 / 2.2)

    distances = [np.linalg.norm(seen(a) - seen(b)) for a, b in itertools.combinations(PALETTE[:8], 2)]
    # 0.1 is 25 steps of 255 in one channel
    assert min(distances) > 0.1


def test_forty_methods_with_long_names_have_forty_looks_and_a_legend_that_fits(tmp_path: Path) -> None:
    grid = ", ".join(str(round(0.01 * i, 2)) for i in range(1, 41))
    text = STUDY.split("runs:")[0] + (
        f"runs:\n  - {{method: global_mp, sparsity: [90%, 95%], grid: {{minimum_threshold: [{grid}]}}}}\n"
    )
    study, store = write_study(tmp_path, text), Store(tmp_path / "results")
    fill(store, study, accuracy)
    frame = study_frame(study, store)
    found = looks(frame)
    assert len({(look.color, look.marker, str(look.line)) for look in found.values()}) == 40
    figure = accuracy_figure(frame)
    figure.draw_without_rendering()
    box = figure.legends[0].get_window_extent()
    assert box.y1 <= figure.axes[0].get_window_extent().y0
    assert (box.x0, box.y0) >= (0, 0)
    assert box.x1 <= figure.bbox.x1
    assert len(figure.legends[0].get_texts()) == 41
    (protocol,) = figure.axes[0].texts
    assert protocol.get_window_extent().y0 >= box.y1


def test_a_headline_stays_clear_of_the_legend(tmp_path: Path) -> None:
    study, store = write_study(tmp_path, STUDY.replace("[90%, 95%]", "[90%]")), Store(tmp_path / "results")
    fill(store, study, accuracy)
    for kind in ("training", "layers"):
        figure = figures(kind, [study], store)[study.name, kind]
        figure.draw_without_rendering()
        (title,) = figure.texts
        assert title.get_window_extent().x1 < figure.legends[0].get_window_extent().x0


def over_settings(frame: pd.DataFrame, number: int) -> pd.DataFrame:
    """The same results on `number` data sets."""
    return pd.concat([frame.assign(dataset=f"data {i}") for i in range(number)], ignore_index=True)


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
         "sparsity": 0.9, "accuracy_last": 0.9}
        for model in models for label in labels
    ]  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save_figure(ranks_figure(pd.DataFrame(rows)), tmp_path / "ranks", ["png"])


def test_a_long_name_keeps_what_tells_it_apart() -> None:
    assert shorten("short") == "short"
    assert shorten("Global MP (minimum_threshold=0.15)", 20) == "Global MP…hold=0.15)"


STATES: dict[str, Callable[[Run], float | None]] = {
    "empty": lambda run: None,
    "dense only": lambda run: 0.98 if run.method == "dense" else None,
    "one run": lambda run: 0.9 if (run.method, run.seed, run.sparsity) == ("snip", 1, 0.9) else None,
    "without dense": lambda run: None if run.method == "dense" else accuracy(run),
    "all at chance": lambda run: 0.1,
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.filterwarnings("error")
def test_every_kind_draws_every_state(tmp_path: Path, state: str) -> None:
    study, store = write_study(tmp_path), Store(tmp_path / "results")
    fill(store, study, STATES[state])
    for kind in KINDS:
        if kind not in ("published", "critical"):
            for figure in figures(kind, [study], store).values():
                figure.draw_without_rendering()


@pytest.mark.parametrize("kind", ["accuracy", "pareto", "layers", "training", "ranks", "critical"])
def test_nothing_is_cut_off_at_the_edge_of_a_file(tmp_path: Path, kind: str) -> None:
    """Long names on every side; the outermost dots of the picture are all white."""
    from matplotlib.image import imread

    long = "a method that its authors gave a very long name, W W W W W W W"
    text = STUDY + "".join(
        f"  - {{method: global_mp, sparsity: [90%, 95%], label: '{long} {i}', options: {{minimum_threshold: 0.{i}}}}}\n"
        for i in range(1, 4)
    )
    study, store = write_study(tmp_path, text), Store(tmp_path / "results")
    fill(store, study, accuracy)
    frame = study_frame(study, store)
    if kind == "critical":
        figure = critical_figure(over_settings(frame, 12))
    else:
        ((_, figure),) = figures(kind, [study], store).items()
    save_figure(figure, tmp_path / kind, ["png"])
    dots = imread(tmp_path / f"{kind}.png")
    edges = [dots[:3], dots[-3:], dots[:, :3].swapaxes(0, 1), dots[:, -3:].swapaxes(0, 1)]
    assert all((edge[..., :3] == 1).all() for edge in edges)


def test_titles_say_how_many_runs_stand_behind_a_point(made: tuple[Study, Store], tmp_path: Path) -> None:
    study, store = made
    assert accuracy_figure(study_frame(study, store)).axes[0].get_title("left").endswith("standard deviation, n = 3")
    assert figures("pareto", [study], store)[study.name, "pareto"].axes[0].get_title("left").endswith("n = 3")
    part = Store(tmp_path / "part")
    fill(part, study, lambda run: None if (run.method, run.seed) == ("snip", 0) else accuracy(run))
    assert accuracy_figure(study_frame(study, part)).axes[0].get_title("left").endswith("n = 2 to 3")


def test_epochs_are_whole_numbers(made: tuple[Study, Store]) -> None:
    study, store = made
    figure = figures("training", [study], store)[study.name, "training"]
    figure.draw_without_rendering()
    assert all(float(tick).is_integer() for panel in figure.axes for tick in panel.get_xticks())


def test_files_depend_on_results_alone(made: tuple[Study, Store], tmp_path: Path) -> None:
    study, store = made
    for folder in ("a", "b"):
        save_figure(accuracy_figure(study_frame(study, store)), tmp_path / folder / "accuracy")
    for name in ("accuracy.png", "accuracy.pdf"):
        one, other = (tmp_path / folder / name for folder in ("a", "b"))
        assert one.read_bytes() == other.read_bytes()
        assert one.stat().st_size > 5000


def test_drawing_leaves_the_settings_of_matplotlib_alone(made: tuple[Study, Store]) -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    accuracy_figure(study_frame(*made))
    assert dict(mpl.rcParams) == before


def test_printed_numbers_are_rings_beside_ours(tmp_path: Path) -> None:
    text = STUDY.replace("dataset: digits", "dataset: cifar10").replace("convnet-small", "wrn-28-8")
    study, store = write_study(tmp_path, text + "published: 2\n"), Store(tmp_path / "results")
    fill(store, study, accuracy)
    assert "published" in standard_kinds(study)
    figure = figures("published", [study], store)["small", "published"]
    axes = figure.axes[0]
    assert axes.get_title("left") == "90 %"
    names = [text.get_text() for text in axes.get_yticklabels()]
    assert names == ["Global MP", "SNIP", "Random", "SM", "DSR", "DPF"]
    rings = [line for line in axes.get_lines() if line.get_markerfacecolor() == "none" and len(line.get_xdata()) == 1]  # pyright: ignore[reportArgumentType]
    assert sorted(float(line.get_xdata()[0]) for line in rings) == [95.49, 95.67, 95.81, 96.08, 96.30]  # pyright: ignore[reportIndexIssue,reportArgumentType]


def test_a_smoke_study_draws_no_printed_numbers() -> None:
    assert "published" not in standard_kinds(load_study("table2-smoke"))
    assert "published" in standard_kinds(load_study("table2"))


def test_an_unknown_kind_is_refused(made: tuple[Study, Store]) -> None:
    study, store = made
    with pytest.raises(UserError, match="unknown kind of plot 'acc'"):
        figures("acc", [study], store)


def test_a_place_that_cannot_be_written_is_named(made: tuple[Study, Store], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match=r"cannot write .*accuracy\.png"):
        save_figure(accuracy_figure(study_frame(*made)), tmp_path / "file" / "accuracy")
