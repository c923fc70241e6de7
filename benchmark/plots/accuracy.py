"""Accuracy against sparsity: a line for each method, a band for the spread, a point for each seed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..analysis.accuracy import ACCURACIES, accuracy_column
from ..analysis.curves import Point, curves_of, dense_levels
from ..analysis.frame_type import Frame
from ..analysis.groups import has_pruned, split_groups, subject
from ..analysis.spread import Stat
from .style import DENSE_COLOR, Look, legend, looks, new_figure, sparsity_axis, style
from .text import artist_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ZOOM_BELOW = 15.0
"""A second panel magnifies the top if the means span more points than this."""

ZOOM_SPAN = 6.0
"""Points of accuracy that it shows."""


Level = tuple[float, float | None]
"""Mean and spread of dense accuracy, in percent."""


def accuracy_figure(frame: Frame, accuracy: str = "last", stat: Stat = "std") -> Figure:
    """A line for each label with its band and a small point for each seed; dense accuracy as a level."""
    column = accuracy_column(accuracy)
    curves, dense, look = curves_of(frame, column, stat), dense_level(frame, column, stat), looks(frame)
    aims = {target for target in split_groups(frame).targets if target > 0}

    def draw(panel: Axes) -> None:
        _draw_dense(panel, dense)
        for label, points in curves.items():
            _draw_curve(panel, label, points, look[label], alpha=min(0.18, 1.4 / len(curves)))
        sparsity_axis(panel, {point.target for points in curves.values() for point in points} | aims)

    with style():
        title = f"{subject(frame)}, {spread_words(frame, stat)}"
        return accuracy_panels(draw, curves, dense, title, protocol=ACCURACIES[accuracy])


def accuracy_panels(
    draw: Callable[[Axes], None],
    curves: dict[str, list[Point]],
    dense: Level | None,
    title: str,
    protocol: str,
) -> Figure:
    """One panel with all points, and a second one that magnifies the top if the range is wide."""
    means = [point.mean for points in curves.values() for point in points]
    is_zoomed = bool(means) and max(means) - min(means) > ZOOM_BELOW
    figure, axes = new_figure(10.0 if is_zoomed else 6.4, 3.3, columns=2 if is_zoomed else 1)
    for panel in axes.flat:
        draw(panel)
        panel.set_ylabel("test accuracy (%)")
    limit_by_points(axes[0, 0], curves, dense)
    axes[0, 0].set_title(title)
    if is_zoomed:
        top = max([*means, dense[0] if dense else 0.0])
        axes[0, 1].set_ylim(top - ZOOM_SPAN, top + ZOOM_SPAN * 0.12)
        axes[0, 1].set_title(f"the top {ZOOM_SPAN:g} points")
    # The protocol is below the axes: a figure is often shown without its caption.
    axes[0, 0].annotate(
        protocol, (0, 0), (0, -34), "axes fraction", "offset points", fontsize=7, color="0.35", va="top"
    )
    legend(figure, axes[0, 0])
    return figure


def dense_level(frame: Frame, column: str, stat: Stat) -> Level | None:
    """The first label of dense training; None if nothing of it is stored."""
    level = next(iter(dense_levels(frame, column)), None)
    return None if level is None or level.mean is None else (level.mean, level.spread(stat))


def _draw_dense(axes: Axes, dense: Level | None) -> None:
    if dense is None:
        return
    mean, half = dense
    axes.axhline(mean, color=DENSE_COLOR, linestyle=(0, (4, 2)), linewidth=1.2, label="Dense", zorder=1)
    if half:
        axes.axhspan(mean - half, mean + half, color=DENSE_COLOR, alpha=0.07, linewidth=0, zorder=0)


def _draw_curve(axes: Axes, label: str, points: list[Point], look: Look, alpha: float) -> None:
    x = [1 - point.target for point in points]
    axes.plot(x, [p.mean for p in points], color=look.color, marker=look.marker, linestyle=look.line,
              linewidth=1.4, markeredgecolor="white", markeredgewidth=0.4, zorder=3,
              label=artist_label(label))  # fmt: skip
    known = [point for point in points if point.spread is not None]
    low, high = ([p.mean + sign * (p.spread or 0.0) for p in known] for sign in (-1, 1))
    if len(known) == 1:
        # A band needs two sparsities; a single one gets a bar.
        axes.vlines(1 - known[0].target, low, high, color=look.color, linewidth=1.4, zorder=2)
    else:
        axes.fill_between([1 - p.target for p in known], low, high, color=look.color, alpha=alpha, linewidth=0)
    seeds = [(1 - point.target, value) for point in points if len(point.values) > 1 for value in point.values]
    axes.plot(*columns(seeds), linestyle="", marker=look.marker, markersize=2.4, color=look.color, alpha=0.55)


def columns(pairs: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """First and second values of pairs."""
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def limit_by_points(axes: Axes, curves: dict[str, list[Point]], dense: Level | None) -> None:
    """Limits by the runs and not by their intervals: that of three scattered runs reaches far beyond any of them."""
    shown = [value for points in curves.values() for point in points for value in (*point.values, point.mean)]
    shown += [dense[0]] if dense else []
    if not shown:
        axes.set_ylim(0, 100)
        return
    margin = max(0.5, 0.05 * (max(shown) - min(shown)))
    axes.set_ylim(max(-1.0, min(shown) - margin), min(101.0, max(shown) + margin))


def spread_words(frame: Frame, stat: Stat) -> str:
    """What the spread is and over how many runs: of pruned rows, or of dense trainings if there are no others."""
    counted = frame if has_pruned(frame) else frame.assign(method="")
    counts = {len(group.done) for group in split_groups(counted).members.values()} - {0}
    if max(counts, default=0) < 2:
        return "single runs"
    number = f"n = {max(counts)}" if len(counts) == 1 else f"n = {min(counts)} to {max(counts)}"
    return f"mean and {'standard deviation' if stat == 'std' else '95 % t-interval'}, {number}"
