"""Which rows a panel shows in colour: all of a few rows, or a few of many before the others in grey."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from .style import OTHER_LOOK, OWN_COLOR, Look, named
from .text import artist_label, legend_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_TOGETHER = 8
"""Most rows in colour that one panel shows; more are split over several panels."""

IN_PANEL = 5
"""Most rows in colour of each of several panels."""


SHORT_NAME = 16
"""Letters of a name of which two are beside each other above a panel."""


def panels_of(look: Mapping[str, Look]) -> list[dict[str, Look]]:
    """The looks of each panel: all rows in one, or a few in colour in each of several, before all others in grey."""
    colored = [label for label, each in look.items() if not each.is_other]
    if len(colored) <= MAX_TOGETHER:
        return [dict(look)]
    count = -(-len(colored) // IN_PANEL)
    parts = [set(colored[len(colored) * i // count : len(colored) * (i + 1) // count]) for i in range(count)]
    return [{label: look[label] if label in part else OTHER_LOOK for label in look} for part in parts]


def behind_first(look: Mapping[str, Look]) -> list[str]:
    """Labels in the order of drawing: grey ones first, those of one's own last."""
    return sorted(look, key=lambda label: (not look[label].is_other, look[label].color == OWN_COLOR))


def draw_other(axes: Axes, points: list[tuple[float, float]], look: Look) -> None:
    """A grey row: a thin line, or a dot if it has one point."""
    axes.plot([x for x, _ in points], [y for _, y in points], color=look.color, linewidth=look.width,
              marker="." if len(points) == 1 else "", zorder=1)  # fmt: skip


def name_others(axes: Axes, look: Mapping[str, Look]) -> None:
    """One entry of the legend for all grey rows."""
    if number := sum(each.is_other for each in look.values()):
        words = "1 other row" if number == 1 else f"{number} other rows"
        axes.plot([], [], color=OTHER_LOOK.color, linewidth=OTHER_LOOK.width, label=words)


def panel_legend(axes: Axes, names: Collection[str] | None = None) -> None:
    """A legend above a panel, of all labels or of those named; in two columns if they are short."""
    handles, labels = axes.get_legend_handles_labels()
    wanted = set(labels if names is None else map(artist_label, names))
    handles = [handle for handle, label in zip(handles, labels, strict=True) if label in wanted]
    texts = [legend_text(label) for label in labels if label in wanted]
    columns = 2 if max(map(len, texts), default=0) <= SHORT_NAME else 1
    if handles:
        named(axes, handles, texts, loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, fontsize=7,
              handlelength=2.4, columnspacing=1.0, borderaxespad=0.2)  # fmt: skip
