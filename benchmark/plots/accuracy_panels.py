"""The panels of figures with accuracy upwards: one, one and its top magnified, or several that share the rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..analysis.curves import Point
from .panels import name_others, panel_legend, panels_of
from .style import Look, headline, legend, new_figure, panel_grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CARETDOWN = 7
"""The name of matplotlib's marker whose tip is at the point; importing it would load matplotlib."""

ZOOM_BELOW = 15.0
"""Points of accuracy. If the means span more, the top is magnified."""

ZOOM_SPAN = 6.0
"""Points that the magnified panel beside the whole shows."""

Level = tuple[float, float | None]
"""Mean and spread of dense accuracy, in percent."""

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
        return max([*self.means, self.dense[0] if self.dense else 0.0])

    @property
    def is_wide(self) -> bool:
        return bool(self.means) and max(self.means) - min(self.means) > ZOOM_BELOW


def accuracy_panels(content: Content) -> Figure:
    """One panel, the whole beside its top if the accuracies span many points, or several panels for many rows."""
    parts = panels_of(content.look)
    return _one(content) if len(parts) == 1 else _several(content, parts)


def _one(content: Content) -> Figure:
    figure, axes = new_figure(9.6 if content.is_wide else 6.4, 3.4, columns=2 if content.is_wide else 1)
    for panel in axes.flat:
        content.draw(panel, content.look)
        panel.set_ylabel("test accuracy (%)")
    _limit_by_points(axes[0, 0], content)
    if content.is_wide:
        axes[0, 1].set_ylim(content.top - ZOOM_SPAN, content.top + ZOOM_SPAN * 0.12)
        axes[0, 0].set_title("all points")
        axes[0, 1].set_title(f"the top {ZOOM_SPAN:g} points of accuracy")
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
    for index, (panel, look) in enumerate(zip(axes.flat, parts, strict=False)):
        content.draw(panel, look)
        _limit_by_points(panel, content)
        if content.is_wide:
            low = content.top - ZOOM_BELOW
            panel.set_ylim(low, content.top + 0.08 * ZOOM_BELOW)
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
    arrows = "; arrows: accuracies below the panel" if content.is_wide else ""
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
    shown += [content.dense[0]] if content.dense else []
    if not shown:
        axes.set_ylim(0, 100)
        return
    margin = max(0.5, 0.05 * (max(shown) - min(shown)))
    axes.set_ylim(max(-1.0, min(shown) - margin), min(101.0, max(shown) + margin))
