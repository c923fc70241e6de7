"""Accuracy against the multiply-adds that are left, with the Pareto front."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from ..analysis.accuracy import ACCURACIES, accuracy_column
from ..analysis.curves import Point, curves_of, pareto_front
from ..analysis.frame_type import Frame
from ..analysis.groups import subject
from ..analysis.spread import Stat
from .accuracy import dense_level, spread_words
from .accuracy_panels import Content, accuracy_panels, drawn_looks
from .panels import behind_first, draw_other
from .style import DENSE_COLOR, Look, looks, style
from .text import artist_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def pareto_figure(frame: Frame, accuracy: str = "last", stat: Stat = "std", highlight: Collection[str] = ()) -> Figure:
    """Mean accuracy against multiply-adds left, a line for each label, and the front of all points."""
    column = accuracy_column(accuracy)
    curves, dense = curves_of(frame, column, stat), dense_level(frame, column, stat)
    reached = [(point.macs, point.mean) for points in curves.values() for point in points]
    reached += [(100.0, dense.mean)] if dense else []
    front = pareto_front(reached)

    def draw(panel: Axes, look: Mapping[str, Look]) -> None:
        panel.step([macs for macs, _ in front], [value for _, value in front], where="post", color="#BBCCEE",
                   linewidth=4, zorder=1, label="Pareto front")  # fmt: skip
        if dense:
            panel.plot(
                [100],
                [dense.mean],
                marker="o",
                color=DENSE_COLOR,
                linestyle="",
                label=artist_label(dense.label),
                zorder=3,
            )
        for label in behind_first(look):
            _draw_curve(panel, label, curves[label], look[label])
        _macs_axis(panel, reached)

    with style():
        title = f"{subject(frame)}, {spread_words(frame, stat)}"
        look = drawn_looks(looks(frame, highlight), curves)
        return accuracy_panels(
            Content(draw, look, curves, lambda point: point.macs, dense, title, ACCURACIES[accuracy])
        )


def _draw_curve(axes: Axes, label: str, points: list[Point], look: Look) -> None:
    if look.is_other:
        draw_other(axes, [(p.macs, p.mean) for p in points], look)
        return
    axes.plot([p.macs for p in points], [p.mean for p in points], color=look.color, linestyle=look.line,
              linewidth=look.width - 0.4, marker=look.marker, markersize=look.size, markeredgecolor="white",
              markeredgewidth=0.4, label=artist_label(label))  # fmt: skip
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
