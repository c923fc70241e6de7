"""Weights left in each layer: a panel for each sparsity, a line for each method, a point for each seed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from ..analysis.frame_type import Frame
from ..runs.run import DENSE
from .layers_map import layer_names, layers_map, name_layers, percent_ticks
from .panels import behind_first, name_others
from .style import Look, headline, legend, looks, new_figure, panel_grid, panel_title, style
from .text import artist_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_LINES = 5
"""Most labels in colour that are lines; more would hide each other."""


def layers_figure(layers: Frame, subject: str, highlight: Collection[str] = ()) -> Figure:
    """Density of each layer in percent: lines on a logarithmic scale, or a heat map of many labels.

    `layers` is as from `long_frames.layer_frame`. An empty layer is a cross.
    """
    pruned = layers[layers["method"] != DENSE]
    look = looks(pruned, highlight)
    if sum(not each.is_other for each in look.values()) > MAX_LINES:
        return layers_map(pruned, subject, highlight)
    targets = sorted({float(target) for target in pruned["target"]})
    columns, rows = panel_grid(len(targets))
    limits = _limits(pruned)
    with style():
        figure, axes = new_figure(2.2 + 2.4 * columns, 0.9 + 2.2 * rows, columns, rows, sharex=True, sharey=True)
        for panel, target in zip(axes.flat, targets, strict=False):
            _draw_panel(panel, pruned[pruned["target"] == target], look, limits)
            panel.set_title(panel_title(target))
        for panel in axes.flat[len(targets) :]:
            panel.set_visible(False)
        for panel in axes[:, 0]:
            panel.set_ylabel("weights left (%)")
        for index, panel in enumerate(axes.flat[: len(targets)]):
            if index + columns >= len(targets):
                name_layers(panel, layer_names(pruned))
        headline(figure, f"{subject}: weights left in each layer")
        if targets:
            _legend(figure, axes[0, 0], pruned, look)
    return figure


def _limits(layers: Frame) -> tuple[float, float]:
    """Percent at the bottom, where crosses are, and at the top."""
    positive = 100 * layers.loc[layers["density"] > 0, "density"].astype(float)
    return (float(positive.min()) / 2, 1.3 * float(positive.max())) if len(positive) else (0.1, 130.0)


def _draw_panel(axes: Axes, layers: Frame, look: dict[str, Look], limits: tuple[float, float]) -> None:
    axes.set_yscale("log")
    floor, top = limits
    percent_ticks(axes.yaxis, top / floor)
    axes.set_ylim(floor * 0.8, top)
    by_label = {str(label): group for label, group in layers.groupby("label", sort=False)}
    for label in behind_first({label: look[label] for label in by_label}):
        group, shown = by_label[label], look[label]
        means = 100 * group.groupby("index")["density"].mean()
        axes.plot(means.index, means.clip(lower=floor), color=shown.color, marker=shown.marker, linestyle=shown.line,
                  linewidth=shown.width - 0.3, markersize=0.8 * shown.size, markeredgecolor="white",
                  markeredgewidth=0.4)  # fmt: skip
        if group["id"].nunique() > 1 and not shown.is_other:
            axes.plot(group["index"], (100 * group["density"]).clip(lower=floor), linestyle="", color=shown.color,
                      marker=shown.marker, markersize=2, alpha=0.5)  # fmt: skip
        emptied = group[group["kept"] == 0]
        if len(emptied):
            # Crosses are on the edge of the panel, so they are not clipped. matplotlib lays an unclipped line without
            # points out at the origin, so it is drawn only if there are points.
            axes.plot(emptied["index"], [floor] * len(emptied), linestyle="", marker="x", markersize=6,
                      markeredgewidth=1.6, color=shown.color, clip_on=False, zorder=4)  # fmt: skip


def _legend(figure: Figure, panel: Axes, layers: Frame, look: Mapping[str, Look]) -> None:
    """Every label in colour once, whichever panels it is in."""
    for label, each in look.items():
        if not each.is_other:
            panel.plot([], [], color=each.color, marker=each.marker, linestyle=each.line, linewidth=each.width,
                       label=artist_label(label))  # fmt: skip
    name_others(panel, look)
    if (layers["kept"] == 0).any():
        panel.plot([], [], color="0.2", marker="x", linestyle="", label="no weight left in a run")
    legend(figure, panel)
