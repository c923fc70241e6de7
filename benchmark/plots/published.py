"""Ours and printed numbers: a panel for each sparsity, a line for each method; ours are points, printed ones rings."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from ..analysis.accuracy import SHORT_NAMES, accuracy_column
from ..analysis.frame_type import Frame
from ..analysis.groups import percent, subject
from ..analysis.published import PAPER, Published
from ..analysis.published_lines import Line, pair_lines
from ..analysis.spread import Stat, spread
from .style import DENSE_LOOK, Look, headline, legend, looks, new_figure, panel_grid, shorten, style
from .text import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..studies.load import Study


def published_figure(
    study: Study,
    frame: Frame,
    printed: list[Published],
    accuracy: str = "last",
    stat: Stat = "std",
    highlight: Collection[str] = (),
) -> Figure:
    """Accuracies in percent with their spread; printed ones are cited and drawn as rings in grey.

    With `highlight`, labels that are not in it are grey.
    """
    column = accuracy_column(accuracy)
    lines = [
        line for line in pair_lines(study, frame, printed) if line.printed or (line.group and line.group.values(column))
    ]
    blocks = list(dict.fromkeys(line.block for line in lines))
    columns, rows = panel_grid(len(blocks))
    look = looks(frame, highlight)
    largest = max((sum(line.block == block for line in lines) for block in blocks), default=1)
    with style():
        figure, axes = new_figure(1.2 + 3.4 * columns, 0.9 + rows * (0.7 + 0.2 * largest), columns, rows)
        for panel, block in zip(axes.flat, blocks, strict=False):
            _draw_panel(panel, [line for line in lines if line.block == block], look, column, stat)
            panel.set_title(plain(block))
            panel.set_xlabel("test accuracy (%)")
        for panel in axes.flat[len(blocks) :]:
            panel.set_visible(False)
        panel = axes[0, 0]
        panel.plot([], [], marker="o", color="0.2", linestyle="", label=f"ours: {SHORT_NAMES[accuracy]}")
        panel.plot([], [], marker="o", color="0.45", markerfacecolor="none", linestyle="", label="cited")
        headline(figure, f"{subject(frame)}: ours and table {printed[0].table} of {PAPER}")
        legend(figure, panel)
    return figure


def _name(line: Line) -> str:
    """The label, with the cited sparsity if it is not that of the block."""
    printed = line.printed
    if printed is None or printed.sparsity is None or printed.sparsity == printed.target:
        return shorten(line.label)
    return shorten(f"{line.label}, {percent(printed.sparsity)}")


def _draw_panel(axes: Axes, lines: list[Line], look: dict[str, Look], column: str, stat: Stat) -> None:
    for place, line in enumerate(lines):
        if line.printed is not None:
            axes.errorbar(line.printed.accuracy, place + 0.12, xerr=line.printed.accuracy_std, marker="o", color="0.45",
                          markerfacecolor="none", linewidth=0.9, capsize=2, zorder=2)  # fmt: skip
        values = [] if line.group is None else [100 * value for value in line.group.values(column)]
        if values:
            # dense trainings of other networks than the study's are rows of a paper too
            shown = look.get(line.label, DENSE_LOOK)
            axes.errorbar(sum(values) / len(values), place - 0.12, xerr=spread(values, stat), color=shown.color,
                          marker=shown.marker or "o", linewidth=1.1, capsize=2, zorder=3)  # fmt: skip
    names = [_name(line) for line in lines]
    axes.set_yticks(range(len(lines)), names)
    axes.set_ylim(len(lines) - 0.4, -0.6)
