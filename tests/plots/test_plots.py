"""Figures: what they draw for studies of every size and state, and that their files depend on results only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from drawing import accuracy, line, over_settings, title
from prunebench.benchmark.analysis.curves import curves_of
from prunebench.benchmark.analysis.frame import study_frame
from prunebench.benchmark.analysis.long_frames import layer_frame
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.plots.accuracy import accuracy_figure
from prunebench.benchmark.plots.kinds import KINDS, OF_PRUNED, figures, save_figure, standard_kinds
from prunebench.benchmark.plots.layers import layers_figure
from prunebench.benchmark.plots.pareto import pareto_figure
from prunebench.benchmark.plots.ranks import critical_figure
from prunebench.benchmark.plots.style import DENSE_COLOR
from prunebench.benchmark.runs.run import Run
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.load import Study, load_study
from synthetic_results import STUDY, fill, store_result, write_study


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


def test_a_study_without_retraining_has_no_training_curves(made: tuple[Study, Store], tmp_path: Path) -> None:
    study = load_study(str(tmp_path / "study.yaml"), ["finetune.epochs=0", "scratch.epochs=0"])
    assert "training" in standard_kinds(made[0])
    assert "training" not in standard_kinds(study)
    with pytest.raises(UserError, match="--kind training draws epochs after pruning; no row of 'small' has any"):
        figures("training", [study], made[1])


def test_dense_trainings_alone_are_a_level_and_a_point(made: tuple[Study, Store], tmp_path: Path) -> None:
    study, store = load_study(str(tmp_path / "study.yaml"), [], ["method=dense"]), made[1]
    drawn = figures(None, [study], store)
    assert [kind for _, kind in drawn] == ["accuracy", "pareto"] == standard_kinds(study)
    axes = drawn["small", "accuracy"].axes[0]
    assert line(axes, "Dense")[1] == pytest.approx([98.2, 98.2])
    assert title(drawn["small", "accuracy"]) == "ConvNet-small on Digits (8x8), mean and standard deviation, n = 3"
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


def test_of_labels_that_would_touch_the_rounder_is_shown(tmp_path: Path) -> None:
    text = STUDY.replace("[90%, 95%]", "[79.55%, 80%, 94.8%, 95%, 95.3%, 98.05%]")
    axes = accuracy_figure(study_frame(write_study(tmp_path, text), Store(tmp_path))).axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["80", "95", "98.05"]


def test_a_method_that_sets_its_own_sparsity_is_drawn_at_the_sparsity_reached(tmp_path: Path) -> None:
    text = STUDY + "  - {method: nm_magnitude, label: Own}\n"
    study, store = write_study(tmp_path, text), Store(tmp_path / "results")
    fill(store, study, accuracy)
    for run in study.runs:
        if run.method == "nm_magnitude":
            store_result(store, study.name, run, 0.9, sparsity__achieved=0.5)
    axes = accuracy_figure(study_frame(study, store)).axes[0]
    assert line(axes, "Own") == ([0.5], [90.0])
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["50", "90", "95"]


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
        if kind not in ("published", "critical", "regimes", "latency", "tuning", "bits"):
            for figure in figures(kind, [study], store).values():
                figure.draw_without_rendering()


@pytest.mark.parametrize("kind", ["accuracy", "pareto", "layers", "training", "ranks", "critical"])
def test_nothing_is_cut_off_at_the_edge_of_a_file(tmp_path: Path, kind: str) -> None:
    """Long names on every side: the outermost pixels of the picture are all white."""
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


def test_titles_have_the_number_of_runs_of_a_point(made: tuple[Study, Store], tmp_path: Path) -> None:
    study, store = made
    assert title(accuracy_figure(study_frame(study, store))).endswith("standard deviation, n = 3")
    assert title(figures("pareto", [study], store)[study.name, "pareto"]).endswith("n = 3")
    part = Store(tmp_path / "part")
    fill(part, study, lambda run: None if (run.method, run.seed) == ("snip", 0) else accuracy(run))
    assert title(accuracy_figure(study_frame(study, part))).endswith("n = 2 to 3")


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
