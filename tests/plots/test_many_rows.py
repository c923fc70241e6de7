"""Figures of one, five, thirteen and forty rows: no text on another, and each row is seen."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from drawing import all_legends, legend_names
from prunebench.benchmark.analysis.frame import study_frame
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.plots.accuracy import accuracy_figure
from prunebench.benchmark.plots.kinds import figures
from prunebench.benchmark.plots.sparsity_axis import _spaced
from prunebench.benchmark.plots.style import OTHER_LOOK
from prunebench.benchmark.runs.files import read_json, write_json
from prunebench.benchmark.runs.run import Run
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.load import Study
from prunebench.methods import METHODS
from synthetic_results import STUDY, fill, write_study

SKIPPED = ("dense", "dense_longer", "nm_magnitude", "reinit", "shuffled", "small_dense")
NAMES = [name for name in METHODS if name not in SKIPPED][:20]
KINDS = ("accuracy", "pareto", "layers", "training", "ranks")


def accuracy(run: Run) -> float:
    """All rows alike, but for SynFlow, which collapses."""
    return 0.1 if (run.method, run.sparsity) == ("synflow", 0.95) else 0.95 - 0.1 * run.sparsity + 0.001 * run.seed


def study_of(folder: Path, count: int) -> tuple[Study, Store]:
    text = STUDY[: STUDY.index("  - method: [global_mp")]
    for name in NAMES[:count]:
        text += f"  - {{method: {name}, sparsity: [90%, 95%]}}\n"
    for index in range(count - len(NAMES)):
        text += (
            f"  - {{method: global_mp, sparsity: [90%, 95%], options: {{minimum_threshold: {(index + 1) / 100}}}}}\n"
        )
    study, store = write_study(folder, text), Store(folder / "results")
    fill(store, study, accuracy)
    return study, store


def boxes(figure: Any) -> list[Any]:
    """The places of titles and legends, and of whole panels with their ticks."""
    figure.draw_without_rendering()
    titles = [figure._suptitle] if figure.get_suptitle() else []
    shown = [axes for axes in figure.axes if axes.get_visible()]
    titles += [axes.title for axes in shown] + [axes._left_title for axes in shown]
    found = [text.get_window_extent() for text in titles if text.get_text()]
    return [*found, *(legend.get_window_extent() for legend in all_legends(figure))]


@pytest.mark.parametrize("count", [1, 5, 13, 40])
def test_titles_and_legends_lie_on_nothing(tmp_path: Path, count: int) -> None:
    study, store = study_of(tmp_path, count)
    for kind in KINDS:
        (figure,) = figures(kind, [study], store).values()
        places = boxes(figure)
        assert not any(one.overlaps(other) for one, other in itertools.combinations(places, 2)), kind
        panels = [axes.get_window_extent() for axes in figure.axes if axes.get_visible()]
        assert not any(one.overlaps(panel) for one in places for panel in panels), kind


def bands(axes: Any) -> int:
    return sum(type(each).__name__ in ("PolyCollection", "FillBetweenPolyCollection") for each in axes.collections)


@pytest.mark.parametrize(("count", "expected"), [(1, 1), (5, 5), (6, 0), (8, 0)])
def test_more_than_five_rows_have_bars_instead_of_bands(tmp_path: Path, count: int, expected: int) -> None:
    axes = accuracy_figure(study_frame(*study_of(tmp_path, count))).axes[0]
    assert bands(axes) == expected
    bars = [each for each in axes.collections if type(each).__name__ == "LineCollection"]
    assert len(bars) == count - expected


def test_many_rows_are_split_over_panels_before_all_others_in_grey(tmp_path: Path) -> None:
    study, store = study_of(tmp_path, 13)
    figure = accuracy_figure(study_frame(study, store))
    panels = [axes for axes in figure.axes if axes.get_visible()]
    legends = [legend for axes in panels if (legend := axes.get_legend()) is not None]
    assert len(legends) == len(panels)
    named = [[entry.get_text() for entry in legend.get_texts()] for legend in legends]
    # what all panels have is named in the first
    assert [len(names) for names in named] == [1 + 4 + 1, 4, 5]
    assert (named[0][0], named[0][-1]) == ("Dense", "9 other rows")
    grey = [sum(line.get_color() == OTHER_LOOK.color for line in axes.get_lines()) for axes in panels]
    # one line more, without points, is for the legend
    assert grey == [9 + 1, 9 + 1, 8 + 1]
    # the collapsed row is an arrow in the one panel where it is in colour
    arrows = [[line for line in axes.get_lines() if line.get_marker() == 7] for axes in panels]
    assert [len(found) for found in arrows] == [0, 0, 1]
    assert list(arrows[2][0].get_xdata()) == pytest.approx([0.05])
    assert min(axes.get_ylim()[0] for axes in panels) > 60


def levels(folder: Path, of: dict[float, list[float]]) -> Any:
    """The figure of two rows, whose accuracies at 90 and 95 % are those of their seeds."""
    text = STUDY.replace("[global_mp, snip, random]", "[global_mp, snip]")
    study, store = write_study(folder, text), Store(folder / "results")
    fill(store, study, lambda run: of[run.sparsity][run.seed] if run.method != "dense" else 0.95)
    return accuracy_figure(study_frame(study, store))


@pytest.mark.parametrize(
    ("accuracies", "low"),
    [
        ({0.9: [0.94, 0.93, 0.94], 0.95: [0.30, 0.40, 0.20]}, 89.0),
        ({0.9: [0.94, 0.70, 0.94], 0.95: [0.30, 0.40, 0.20]}, None),  # spreads of the upper half fill the panel
        ({0.9: [0.60, 0.60, 0.60], 0.95: [0.44, 0.45, 0.44]}, None),  # it would be nearly the whole
        ({0.9: [0.94, 0.93, 0.94], 0.95: [0.90, 0.90, 0.90]}, None),  # one panel shows all
    ],
)
def test_the_upper_half_is_magnified_where_that_tells_more(
    tmp_path: Path, accuracies: dict[float, list[float]], low: float | None
) -> None:
    panels = levels(tmp_path, accuracies).axes
    if low is None:
        assert len(panels) == 1
        return
    whole, upper = panels
    assert (whole.get_title("left"), upper.get_title("left")) == ("all points", f"magnified: {low:g} % and above")
    assert upper.get_ylim()[0] == low
    assert (
        sum(value >= low for line in upper.get_lines() if len(line.get_ydata()) == 2 for value in line.get_ydata()) >= 2
    )


def test_labels_of_sparsities_do_not_touch() -> None:
    targets = [0.0, 0.8152, 0.8371, 0.85]
    assert _spaced(targets) == [0.0, 0.8152, 0.85]
    assert _spaced([0.8, 0.9, 0.95, 0.98, 0.99]) == [0.8, 0.9, 0.95, 0.98, 0.99]


def test_equal_curves_are_moved_apart(tmp_path: Path) -> None:
    figure = accuracy_figure(study_frame(*study_of(tmp_path, 3)))
    figure.draw_without_rendering()
    curves = [
        line
        for line in figure.axes[0].get_lines()
        if len(line.get_xdata()) == 2 and line.get_marker() not in ("", "None")
    ]
    places = [round(float(line.get_transform().transform((0.1, 86.1))[0]), 2) for line in curves]
    assert len(places) == len(set(places)) == 3


def test_sparsities_of_gradual_rows_have_panels_of_their_own(tmp_path: Path) -> None:
    text = STUDY.replace("[global_mp, snip, random]", "[gmp, snip]")
    study, store = write_study(tmp_path, text), Store(tmp_path / "results")
    fill(store, study, lambda run: 0.9)
    for run in study.runs:
        if run.method == "gmp":
            path = store.folder(study.name, run).history_path
            lines = path.read_text(encoding="utf-8").replace(f'"density": {1 - run.sparsity}', '"density": 0.5', 1)
            path.write_text(lines, encoding="utf-8")
    (figure,) = figures("training", [study], store).values()
    assert [axes.get_ylabel() for axes in figure.axes] == ["validation accuracy (%)", "", "sparsity (%)", ""]
    (curve,) = figure.axes[2].get_lines()
    assert (curve.get_label(), list(curve.get_ydata())) == ("GMP", pytest.approx([50.0, 90.0]))
    assert figure.axes[0].get_ylim()[1] < 95
    assert legend_names(figure) == ["GMP", "SNIP", "GMP"]


def test_highlighted_rows_are_in_colour_and_the_others_are_one_entry(tmp_path: Path) -> None:
    study, store = study_of(tmp_path, 13)
    for kind, others in (
        ("accuracy", ["Dense"]),
        ("pareto", ["Pareto front", "Dense"]),
        ("training", []),
        ("layers", []),
    ):
        (figure,) = figures(kind, [study], store, highlight=["snip", "Global MP"]).values()
        assert legend_names(figure) == [*others, "Global MP", "SNIP", "11 other rows"]
    (ranks,) = figures("ranks", [study], store, highlight=["snip"]).values()
    bold = [tick.get_text() for tick in ranks.axes[0].get_yticklabels() if tick.get_fontweight() == "bold"]
    assert bold == ["SNIP"]


def test_a_row_to_highlight_that_is_not_there_is_refused(tmp_path: Path) -> None:
    study, store = study_of(tmp_path, 5)
    with pytest.raises(UserError, match=r"unknown row to highlight 'snap'; did you mean 'snip'\?"):
        figures("accuracy", [study], store, highlight=["snap"])


def test_layers_of_many_rows_are_a_heat_map_with_a_cross_at_empty_ones(tmp_path: Path) -> None:
    study, store = study_of(tmp_path, 6)
    run = next(run for run in study.runs if run.method == "snip" and run.sparsity == 0.95)
    path = store.folder(study.name, run).result_path
    result = read_json(path)
    result["layers"][1] |= {"kept": 0, "density": 0.0}
    write_json(path, result)
    (figure,) = figures("layers", [study], store).values()
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()][:3] == ["Global MP", "Layerwise MP", "SNIP"]
    crosses = [
        (list(line.get_xdata()), list(line.get_ydata())) for axes in figure.axes[:2] for line in axes.get_lines()
    ]
    assert crosses == [([1], [2])]
