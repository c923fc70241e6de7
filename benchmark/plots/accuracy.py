"""Accuracy against sparsity: a line for each method with its spread, a point for each seed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from ..analysis.accuracy import ACCURACIES, accuracy_column
from ..analysis.curves import Point, curves_of, dense_levels
from ..analysis.frame_type import Frame
from ..analysis.groups import has_pruned, split_groups, subject
from ..analysis.spread import Stat
from .accuracy_panels import Content, Draw, Level, accuracy_panels, drawn_looks
from .panels import behind_first, draw_other
from .sparsity_axis import sparsity_axis
from .style import DENSE_COLOR, MAX_BANDS, Look, looks, style
from .text import artist_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Transform

SPACE = 9.0
"""Points of a page over which the rows of a panel are moved apart sideways, so that equal ones are seen."""


def accuracy_figure(
    frame: Frame, accuracy: str = "last", stat: Stat = "std", highlight: Collection[str] = ()
) -> Figure:
    """A line for each label with its spread and a small point for each seed; dense accuracy as a level.

    With `highlight`, labels that are not in it are grey lines; without it, many labels are split over several panels.
    """
    column = accuracy_column(accuracy)
    curves, dense = curves_of(frame, column, stat), dense_level(frame, column, stat)
    draw = row_drawer(frame, curves, dense)
    with style():
        title = f"{subject(frame)}, {spread_words(frame, stat)}"
        protocol = f"{ACCURACIES[accuracy]}{'; rows are moved apart sideways' if len(curves) > 1 else ''}"
        look = drawn_looks(looks(frame, highlight), curves)
        return accuracy_panels(Content(draw, look, curves, lambda point: 1 - point.target, dense, title, protocol))


def row_drawer(frame: Frame, curves: Mapping[str, list[Point]], dense: Level | None) -> Draw:
    """Draws all rows of a study, and its level of dense training, into a panel."""
    aims = {target for target in split_groups(frame).targets if target > 0}
    targets = {point.target for points in curves.values() for point in points} | aims

    def draw(panel: Axes, look: Mapping[str, Look]) -> None:
        _draw_dense(panel, dense)
        colored = [label for label in look if not look[label].is_other]
        for label in behind_first(look):
            if look[label].is_other:
                draw_other(panel, [(1 - point.target, point.mean) for point in curves[label]], look[label])
                continue
            moved = _moved(panel, colored.index(label) - (len(colored) - 1) / 2, len(colored))
            _draw_curve(panel, label, curves[label], look[label], moved)
            _draw_spread(panel, curves[label], look[label], moved, has_band=len(colored) <= MAX_BANDS)
        sparsity_axis(panel, targets)

    return draw


def dense_level(frame: Frame, column: str, stat: Stat) -> Level | None:
    """The first label of dense training; None if nothing of it is stored."""
    level = next(iter(dense_levels(frame, column)), None)
    return None if level is None or level.mean is None else Level(level.label, level.mean, level.spread(stat))


def _draw_dense(axes: Axes, dense: Level | None) -> None:
    if dense is None:
        return
    label, mean, half = dense
    axes.axhline(mean, color=DENSE_COLOR, linestyle=(0, (4, 2)), linewidth=1.2, label=artist_label(label), zorder=1)
    if half:
        axes.axhspan(mean - half, mean + half, color=DENSE_COLOR, alpha=0.07, linewidth=0, zorder=0)


def _moved(axes: Axes, place: float, count: int) -> Transform:
    """The coordinates of the data, moved sideways on the page; `place` is 0 in the middle."""
    from matplotlib.transforms import ScaledTranslation

    step = SPACE / max(count - 1, 4)
    return axes.transData + ScaledTranslation(place * step / 72, 0, axes.get_figure().dpi_scale_trans)  # pyright: ignore[reportOptionalMemberAccess]


def _draw_curve(axes: Axes, label: str, points: list[Point], look: Look, moved: Transform) -> None:
    axes.plot([1 - p.target for p in points], [p.mean for p in points], color=look.color, linestyle=look.line,
              linewidth=look.width, marker=look.marker, markersize=look.size, markeredgecolor="white",
              markeredgewidth=0.4, zorder=3, label=artist_label(label), transform=moved)  # fmt: skip


def _draw_spread(axes: Axes, points: list[Point], look: Look, moved: Transform, has_band: bool) -> None:
    known = [point for point in points if point.spread is not None]
    places = [1 - point.target for point in known]
    low, high = ([p.mean + sign * (p.spread or 0.0) for p in known] for sign in (-1, 1))
    # A band needs two sparsities.
    if has_band and len(known) > 1:
        axes.fill_between(places, low, high, color=look.color, alpha=0.16, linewidth=0, transform=moved)
    else:
        axes.vlines(places, low, high, color=look.color, linewidth=1.0, alpha=0.7, zorder=2, transform=moved)
    seeds = [(1 - point.target, value) for point in points if len(point.values) > 1 for value in point.values]
    axes.plot([place for place, _ in seeds], [value for _, value in seeds], linestyle="", marker=look.marker,
              markersize=2.4, color=look.color, alpha=0.55, transform=moved)  # fmt: skip


def spread_words(frame: Frame, stat: Stat) -> str:
    """What the spread is and over how many runs: of pruned rows, or of dense trainings if there are no others."""
    counted = frame if has_pruned(frame) else frame.assign(method="")
    counts = {len(group.counted) for group in split_groups(counted).members.values()} - {0}
    if max(counts, default=0) < 2:
        return "single runs"
    number = f"n = {max(counts)}" if len(counts) == 1 else f"n = {min(counts)} to {max(counts)}"
    return f"mean and {'standard deviation' if stat == 'std' else '95 % t-interval'}, {number}"
