"""Bits per byte of a text against sparsity: a line for each method, a point for each seed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..analysis.bits import OF_BITS, bits_column
from ..analysis.curves import Point, curves_of, dense_levels
from ..analysis.frame_type import Frame
from ..analysis.groups import subject
from ..analysis.spread import Stat, spread
from .accuracy import row_drawer, spread_words
from .accuracy_panels import Level, drawn_looks
from .panels import name_others, panel_legend, panels_of
from .style import Look, headline, legend, looks, new_figure, panel_grid, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CARETUP = 6
"""The name of matplotlib's marker whose tip is at the point; importing it would load matplotlib."""
WIDE = 0.5
"""Bits. If the means span more, the figure shows the fewer ones of them, and the others as arrows."""
SHOWN_SHARE = 0.75
"""Of the means that are within the axis then."""


@dataclass(frozen=True)
class _Content:
    """The rows of the figure."""

    curves: Mapping[str, list[Point]]
    dense: Level | None

    @property
    def means(self) -> list[float]:
        found = [point.mean for points in self.curves.values() for point in points]
        return sorted([*found, self.dense.mean] if self.dense else found)

    @property
    def edge(self) -> float | None:
        """The largest of the means that the figure shows; None shows all."""
        means = self.means
        if not means or means[-1] - means[0] <= WIDE:
            return None
        return max(means[round(SHOWN_SHARE * (len(means) - 1))], means[0] + WIDE)

    @property
    def limits(self) -> tuple[float, float]:
        """Of the axis of bits, with a margin; there must be a mean."""
        low, top = self.means[0], self.means[-1] if self.edge is None else self.edge
        margin = 0.06 * (top - low) or 0.05
        return low - margin, top + margin


def bits_figure(frame: Frame, accuracy: str = "last", stat: Stat = "std", highlight: Collection[str] = ()) -> Figure:
    """A line for each label with its spread and a small point for each seed; dense training as a level.

    With `highlight`, labels that are not in it are grey lines; without it, many labels are split over several panels.
    """
    column = bits_column(accuracy)
    curves = curves_of(frame, column, stat, scale=1.0)
    content = _Content(curves, _dense(frame, column, stat))
    draw = row_drawer(frame, curves, content.dense)
    with style():
        parts = panels_of(drawn_looks(looks(frame, highlight), curves))
        columns, rows = panel_grid(len(parts))
        size = (6.4, 3.4) if len(parts) == 1 else (0.6 + 3.0 * columns, 0.9 + 2.8 * rows)
        figure, axes = new_figure(*size, columns, rows)
        for index, (panel, look) in enumerate(zip(axes.flat, parts, strict=False)):
            draw(panel, look)
            _limit(panel, content, look)
            name_others(panel, look)
            if len(parts) > 1:
                # What all panels have is named in the first.
                panel_legend(panel, None if index == 0 else [label for label in look if not look[label].is_other])
        for panel in axes.flat[len(parts) :]:
            panel.set_visible(False)
        figure.supylabel("test bits per byte", fontsize="medium")
        arrows = "" if content.edge is None else f"; shown up to {content.limits[1]:.2f}, arrows: more bits"
        title = f"{subject(frame)}, {spread_words(frame, stat)}; bits {OF_BITS[accuracy]}, less is better{arrows}"
        headline(figure, title, *([0.0] if len(parts) > 1 else []))
        if len(parts) == 1:
            legend(figure, axes.flat[0])
        return figure


def _dense(frame: Frame, column: str, stat: Stat) -> Level | None:
    """The first label of dense training, in bits; None if nothing of it is stored."""
    level = next((level for level in dense_levels(frame, column) if level.values), None)
    if level is None:
        return None
    return Level(level.label, sum(level.values) / len(level.values), spread(level.values, stat))


def _limit(axes: Axes, content: _Content, look: Mapping[str, Look]) -> None:
    """The same limits in every panel, by means: a row beyond the edge is an arrow at it."""
    if not content.means:
        return
    low, top = content.limits
    axes.set_ylim(low, top)
    for label, points in content.curves.items():
        above = [1 - point.target for point in points if point.mean > top]
        if above and not look[label].is_other:
            axes.plot(above, [top] * len(above), linestyle="", marker=CARETUP, markersize=7,
                      color=look[label].color, clip_on=False, zorder=4)  # fmt: skip
