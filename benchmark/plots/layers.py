"""Weights left in each layer: a panel for each sparsity, a line for each method, a point for each seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..analysis.frame_type import Frame
from ..runs.run import DENSE
from .style import Look, headline, legend, looks, new_figure, panel_grid, panel_title, style
from .text import artist_label, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_NAMES = 14
"""Most layers that are named on the axis."""


def layers_figure(layers: Frame, subject: str) -> Figure:
    """Density of each layer in percent, on a logarithmic scale; an empty layer is a cross at the bottom.

    `layers` is as from `long_frames.layer_frame`.
    """
    pruned = layers[layers["method"] != DENSE]
    targets = sorted({float(target) for target in pruned["target"]})
    names = list(pruned.sort_values("index")["layer"].drop_duplicates())
    columns, rows = panel_grid(len(targets))
    positive = pruned.loc[pruned["density"] > 0, "density"]
    floor = 100 * float(positive.min()) / 2 if len(positive) else 0.1
    with style():
        figure, axes = new_figure(2.2 + 3.0 * columns, 0.9 + 2.4 * rows, columns, rows, sharex=True, sharey=True)
        for panel, target in zip(axes.flat, targets, strict=False):
            _draw_panel(panel, pruned[pruned["target"] == target], looks(pruned), floor)
            panel.set_title(panel_title(target))
        for panel in axes.flat[len(targets) :]:
            panel.set_visible(False)
        for panel in axes[:, 0]:
            panel.set_ylabel("weights left (%)")
        for index, panel in enumerate(axes.flat[: len(targets)]):
            if index + columns >= len(targets):
                _name_layers(panel, names)
        headline(figure, f"{subject}: weights left in each layer")
        if targets:
            _legend(figure, axes[0, 0], pruned)
    return figure


def _draw_panel(axes: Axes, layers: Frame, look: dict[str, Look], floor: float) -> None:
    from matplotlib.ticker import FuncFormatter, NullLocator

    axes.set_yscale("log")
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_ylim(floor * 0.8, 130)
    for label, group in layers.groupby("label", sort=False):
        shown = look[str(label)]
        means = 100 * group.groupby("index")["density"].mean()
        axes.plot(means.index, means.clip(lower=floor), color=shown.color, marker=shown.marker, linestyle=shown.line,
                  linewidth=1.1, markersize=4, markeredgecolor="white", markeredgewidth=0.4)  # fmt: skip
        if group["id"].nunique() > 1:
            axes.plot(group["index"], (100 * group["density"]).clip(lower=floor), linestyle="", color=shown.color,
                      marker=shown.marker, markersize=2, alpha=0.5)  # fmt: skip
        emptied = group[group["kept"] == 0]
        if len(emptied):
            # Crosses are on the edge of the panel, so they are not clipped. matplotlib lays an unclipped line without
            # points out at the origin, so it is drawn only if there are points.
            axes.plot(emptied["index"], [floor] * len(emptied), linestyle="", marker="x", markersize=6,
                      markeredgewidth=1.6, color=shown.color, clip_on=False, zorder=4)  # fmt: skip


def _name_layers(axes: Axes, names: list[str]) -> None:
    axes.tick_params(labelbottom=True)
    if len(names) > MAX_NAMES:
        axes.set_xlabel("layer, from input to output")
        return
    shown = [plain(name.removesuffix(".weight")) for name in names]
    axes.set_xticks(range(len(names)), shown, rotation=45, ha="right", rotation_mode="anchor", fontsize=7)


def _legend(figure: Figure, panel: Axes, layers: Frame) -> None:
    """Every label once, whichever panels it is in."""
    for label, look in looks(layers).items():
        panel.plot([], [], color=look.color, marker=look.marker, linestyle=look.line, label=artist_label(label))
    if (layers["kept"] == 0).any():
        panel.plot([], [], color="0.2", marker="x", linestyle="", label="no weight left in a run")
    legend(figure, panel)
