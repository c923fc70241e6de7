"""Searches: the validation accuracy of all trials, and the test accuracy of what is chosen among the first of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..analysis.accuracy import SHORT_NAMES, accuracy_column
from ..analysis.frame_type import Frame
from ..analysis.groups import subject
from ..analysis.tuning import FAILED, Tuned, Tuning
from .style import Look, headline, legend, looks, new_figure, panel_title, style
from .text import artist_label, width_of, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAME_SIZE = 8.0
"""Font size of the names of rows, in points."""


def tuning_figure(found: Tuning, frame: Frame, accuracy: str = "last") -> Figure:
    """A column for each sparsity: above, a dot for each trial; below, means over seeds by number of trials.

    Trials that failed are named with their number, since they have no accuracy.
    """
    both = len(found.tune.all_tracks) == 2
    columns = {sparsity: list[Tuned]() for sparsity, _ in found.cells}
    for each in found.found:
        columns[each.search.sparsity].append(each)
    most = max(len(each) for each in columns.values())
    with style():
        look = looks(frame)
        names = [_name(each, both) for each in found.found]
        margin = 0.6 + max(width_of(line, NAME_SIZE) for name in names for line in name.split("\n"))
        heights = [0.6 + 0.32 * most, 2.0]
        figure, axes = new_figure(
            margin + 2.4 * len(columns) + 1.6, 0.9 + sum(heights), len(columns), 2, height_ratios=heights
        )
        for index, (sparsity, searches) in enumerate(columns.items()):
            top, below = axes[0, index], axes[1, index]
            top.set_title(panel_title(sparsity))
            _draw_trials(top, searches, look, [_name(each, both) if index == 0 else "" for each in searches])
            _draw_curves(below, searches, look, accuracy, both)
        axes[1, 0].set_ylabel(f"test accuracy (%),\n{SHORT_NAMES[accuracy]}")
        legend(figure, axes[1, 0])
        seeds = len(found.tune.seeds)
        what = f"{found.tune.budget} trials on {seeds} tuning seed{'s' * (seeds > 1)}; ringed: chosen; square: default"
        headline(figure, f"{subject(frame)}: {what}")
    return figure


def _name(tuned: Tuned, both: bool) -> str:
    return wrapped(_label(tuned, both), num_lines=2)


def _label(tuned: Tuned, both: bool) -> str:
    return tuned.search.label + f", track {tuned.search.track}" * both


def _draw_trials(axes: Axes, searches: Sequence[Tuned], look: Mapping[str, Look], names: Sequence[str]) -> None:
    for place, each in enumerate(searches):
        color = look[each.search.label].color
        failed = sum(value == FAILED for value in each.validation)
        for number, value in enumerate(each.validation):
            if value != FAILED:
                marker, size = ("s", 26) if number == 0 else ("o", 16)
                axes.scatter(100 * value, place, marker=marker, s=size, color=color, alpha=0.75, linewidths=0, zorder=2)
        if each.choice is not None and each.choice["validation"] is not None:
            ring = {"facecolors": "none", "edgecolors": "0.1", "linewidths": 1.1}
            axes.scatter(100 * each.choice["validation"], place, s=90, zorder=3, **ring)
        if failed:
            beside = ("axes fraction", "data")
            axes.annotate(f"{failed} failed", (0.01, place), xycoords=beside, fontsize=7, va="center")
    axes.set_yticks(range(len(searches)), list(names), fontsize=NAME_SIZE)
    axes.set_ylim(len(searches) - 0.5, -0.5)
    axes.set_xlabel("validation accuracy (%)")


def _draw_curves(axes: Axes, searches: Sequence[Tuned], look: Mapping[str, Look], accuracy: str, both: bool) -> None:
    from matplotlib.ticker import FixedLocator, NullLocator

    column, numbers = accuracy_column(accuracy), set[int]()
    for each in searches:
        drawn = look[each.search.label]
        points = [
            (number, 100 * sum(values) / len(values))
            for number, group in each.curve.items()
            if group is not None and (values := group.values(column))
        ]
        numbers |= set(each.curve)
        line = "--" if each.search.track == "B" else drawn.line
        axes.plot([x for x, _ in points], [y for _, y in points], color=drawn.color, linestyle=line,
                  marker=drawn.marker, markersize=0.8 * drawn.size, markeredgecolor="white", markeredgewidth=0.4,
                  linewidth=drawn.width, label=artist_label(_label(each, both)))  # fmt: skip
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(sorted(numbers)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter("{x:.0f}")
    axes.set_xlabel("trials")
