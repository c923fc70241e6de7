"""Accuracy against the multiply-adds that are left, with the Pareto front."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..analysis.accuracy import ACCURACIES, accuracy_column
from ..analysis.curves import Point, curves_of, pareto_front
from ..analysis.frame_type import Frame
from ..analysis.groups import subject
from ..analysis.spread import Stat
from .accuracy import accuracy_panels, columns, dense_level, spread_words
from .style import DENSE_COLOR, Look, looks, style
from .text import artist_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def pareto_figure(frame: Frame, accuracy: str = "last", stat: Stat = "std") -> Figure:
    """Mean accuracy against multiply-adds left, a line for each label, and the front of all points."""
    column = accuracy_column(accuracy)
    curves, dense, look = curves_of(frame, column, stat), dense_level(frame, column, stat), looks(frame)
    reached = [(point.macs, point.mean) for points in curves.values() for point in points]
    reached += [(100.0, dense[0])] if dense else []

    def draw(panel: Axes) -> None:
        panel.step(
            *columns(pareto_front(reached)), where="post", color="0.75", linewidth=4, zorder=1, label="Pareto front"
        )
        if dense:
            panel.plot([100], [dense[0]], marker="o", color=DENSE_COLOR, linestyle="", label="Dense", zorder=3)
        for label, points in curves.items():
            _draw_curve(panel, label, points, look[label])
        _macs_axis(panel, reached)

    with style():
        title = f"{subject(frame)}, {spread_words(frame, stat)}"
        return accuracy_panels(draw, curves, dense, title, protocol=ACCURACIES[accuracy])


def _draw_curve(axes: Axes, label: str, points: list[Point], look: Look) -> None:
    axes.plot([p.macs for p in points], [p.mean for p in points], color=look.color, marker=look.marker,
              linestyle=look.line, linewidth=1.0, markeredgecolor="white", markeredgewidth=0.4,
              label=artist_label(label))  # fmt: skip
    known = [point for point in points if point.spread is not None]
    axes.errorbar([p.macs for p in known], [p.mean for p in known], yerr=[p.spread or 0.0 for p in known],
                  fmt="none", ecolor=look.color, elinewidth=0.8, alpha=0.6)  # fmt: skip


def _macs_axis(axes: Axes, reached: list[tuple[float, float]]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.set_xscale("log")
    low = min((macs for macs, _ in reached if macs > 0), default=1.0)
    axes.set_xlim(125, low / 1.25)
    axes.xaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("multiply-adds left (% of dense), logarithmic scale")
