"""The panels of figures with accuracy upwards: one, one and its upper half magnified, or several sharing the rows."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from ..analysis.curves import Point
from .panels import name_others, panel_legend, panels_of
from .style import Look, headline, legend, new_figure, panel_grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CARETDOWN = 7
"""The name of matplotlib's marker whose tip is at the point; importing it would load matplotlib."""

WIDE = 15.0
"""Points of accuracy. If the means span more, the upper ones may be magnified."""

LEAST_SPAN = 6.0
"""Points that a magnified panel shows at least."""

MOST_SPAN, MOST_SPREAD = 0.6, 0.25
"""A panel that shows more of the whole, or less than four times the usual spread in it, would tell nothing new."""

UPPER_SHARE = 0.8
"""Of the means that panels of many rows show; the others are arrows."""


class Level(NamedTuple):
    """The row of dense training that is shown, with mean and spread of its accuracy in percent."""

    label: str
    mean: float
    spread: float | None


Draw = Callable[["Axes", Mapping[str, Look]], None]


@dataclass(frozen=True)
class Content:
    """What the panels of a figure show.

    Attributes:
        draw: draws all rows into a panel, with the looks they have in it.
        place: where a point is on the axis below.
        protocol: which accuracy is shown, and how.
    """

    draw: Draw
    look: Mapping[str, Look]
    curves: Mapping[str, list[Point]]
    place: Callable[[Point], float]
    dense: Level | None
    title: str
    protocol: str

    @property
    def means(self) -> list[float]:
        return [point.mean for points in self.curves.values() for point in points]

    @property
    def top(self) -> float:
        return max([*self.means, self.dense.mean if self.dense else 0.0])

    @property
    def is_wide(self) -> bool:
        return bool(self.means) and max(self.means) - min(self.means) > WIDE

    def low_of_upper(self, share: float, least_span: float) -> float:
        """A whole percent above which `share` of the means lie, and at least `least_span` points below the top."""
        means = sorted(self.means)
        bound = means[math.ceil((1 - share) * (len(means) - 1))]
        return max(0.0, math.floor(min(bound, self.top - least_span) + 1e-9))

    @property
    def zoom_low(self) -> float | None:
        """Where a panel that magnifies the upper half of the means begins; None if there is no use in one."""
        if not self.is_wide:
            return None
        low = self.low_of_upper(0.5, LEAST_SPAN)
        shown = [point for points in self.curves.values() for point in points if point.mean >= low]
        spreads = [max(point.values) - min(point.values) for point in shown if len(point.values) > 1]
        is_clear = not spreads or statistics.median(spreads) <= MOST_SPREAD * (self.top - low)
        return low if is_clear and self.top - low <= MOST_SPAN * (self.top - min(self.means)) else None


def drawn_looks(look: Mapping[str, Look], curves: Mapping[str, list[Point]]) -> dict[str, Look]:
    """The looks of rows that have a point: a legend names nothing else."""
    return {label: each for label, each in look.items() if curves[label]}


def accuracy_panels(content: Content) -> Figure:
    """One panel, the whole beside its upper half if that tells more, or several panels for many rows."""
    parts = panels_of(content.look)
    return _one(content) if len(parts) == 1 else _several(content, parts)


def _one(content: Content) -> Figure:
    low = content.zoom_low
    figure, axes = new_figure(6.4 if low is None else 9.6, 3.4, columns=1 if low is None else 2)
    for panel in axes.flat:
        content.draw(panel, content.look)
        panel.set_ylabel("test accuracy (%)")
    _limit_by_points(axes[0, 0], content)
    if low is not None:
        axes[0, 1].set_ylim(low, content.top + (content.top - low) * 0.12)
        axes[0, 0].set_title("all points")
        axes[0, 1].set_title(f"magnified: {low:g} % and above")
    headline(figure, content.title)
    # The protocol is below the axes: a figure is often shown without its caption.
    axes[0, 0].annotate(
        content.protocol, (0, 0), (0, -34), "axes fraction", "offset points", fontsize=7, color="0.35", va="top"
    )
    name_others(axes[0, 0], content.look)
    legend(figure, axes[0, 0])
    return figure


def _several(content: Content, parts: Sequence[Mapping[str, Look]]) -> Figure:
    """A panel for each part with a legend above it. All have the same limits; lower points are arrows at the edge."""
    columns, rows = panel_grid(len(parts))
    figure, axes = new_figure(0.6 + 3.0 * columns, 0.9 + 2.8 * rows, columns, rows)
    low = content.low_of_upper(UPPER_SHARE, WIDE) if content.is_wide else None
    for index, (panel, look) in enumerate(zip(axes.flat, parts, strict=False)):
        content.draw(panel, look)
        _limit_by_points(panel, content)
        if low is not None:
            panel.set_ylim(low, content.top + 0.08 * (content.top - low))
            _draw_arrows(panel, content, look, low)
        name_others(panel, look)
        # What all panels have is named in the first.
        panel_legend(panel, None if index == 0 else [label for label in look if not look[label].is_other])
    figure.supxlabel(axes[0, 0].get_xlabel(), fontsize="medium")
    figure.supylabel("test accuracy (%)", fontsize="medium")
    for panel in axes.flat:
        panel.set_xlabel("")
    for panel in axes.flat[len(parts) :]:
        panel.set_visible(False)
    arrows = "" if low is None else f"; shown from {low:g} %, arrows: accuracies below"
    headline(figure, f"{content.title}; {content.protocol}{arrows}", legend_width=0.0)
    return figure


def _draw_arrows(axes: Axes, content: Content, look: Mapping[str, Look], low: float) -> None:
    for label, points in content.curves.items():
        below = [content.place(point) for point in points if point.mean < low]
        if below and not look[label].is_other:
            axes.plot(below, [low] * len(below), linestyle="", marker=CARETDOWN, markersize=7, color=look[label].color,
                      clip_on=False, zorder=4)  # fmt: skip


def _limit_by_points(axes: Axes, content: Content) -> None:
    """Limits by the runs and not by their intervals: that of three scattered runs reaches far beyond any of them."""
    shown = [value for points in content.curves.values() for point in points for value in (*point.values, point.mean)]
    shown += [content.dense.mean] if content.dense else []
    if not shown:
        axes.set_ylim(0, 100)
        return
    margin = max(0.5, 0.05 * (max(shown) - min(shown)))
    axes.set_ylim(max(-1.0, min(shown) - margin), min(101.0, max(shown) + margin))
