"""Weights left in each layer of many methods: a heat map for each sparsity, a row for each method."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from ..analysis.frame_type import Frame
from .style import headline, new_figure, panel_grid, panel_title, shorten, style
from .text import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

MAX_NAMES = 14
"""Most layers that are named on the axis."""

SHORT_RATIO = 100.0
"""Ends of a logarithmic axis that are less apart have ticks between the powers of ten."""

LABEL_SIZE = 7.0
"""Font size of the names of methods, in points."""


def layers_map(layers: Frame, subject: str, highlight: Collection[str] = ()) -> Figure:
    """Mean density of each layer in percent as colour on a logarithmic scale; a cross where a run has no weight left.

    `layers` is as from `long_frames.layer_frame`, without dense networks. Names in `highlight` are bold.
    """
    labels = list(dict.fromkeys(layers["label"]))
    targets = sorted({float(target) for target in layers["target"]})
    columns, rows = panel_grid(len(targets))
    with style():
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import LogNorm

        height = 0.4 + max(1.2, 0.145 * len(labels))
        figure, axes = new_figure(2.4 + 2.2 * columns, 1.2 + height * rows, columns, rows, sharex=True, sharey=True)
        positive = 100 * layers.loc[layers["density"] > 0, "density"].astype(float)
        scale = LogNorm(float(positive.min()), float(positive.max())) if len(positive) else LogNorm(0.1, 100)
        for panel, target in zip(axes.flat, targets, strict=False):
            _draw(panel, layers[layers["target"] == target], labels, scale)
            panel.set_title(panel_title(target))
        for panel in axes.flat[len(targets) :]:
            panel.set_visible(False)
        for panel in axes.flat[max(0, len(targets) - columns) : len(targets)]:
            name_layers(panel, layer_names(layers))
        _name_rows(axes[:, 0], labels, highlight)
        bar = figure.colorbar(
            ScalarMappable(scale, "viridis"), ax=axes, shrink=min(1.0, 3.0 / figure.get_figheight()), pad=0.02
        )
        bar.set_label("weights left (%)")
        percent_ticks(bar.ax.yaxis, float(scale.vmax or 100.0) / float(scale.vmin or 0.1))
        crosses = "; cross: no weight left in a run" if (layers["kept"] == 0).any() else ""
        headline(figure, f"{subject}: weights left in each layer{crosses}", legend_width=0.0)
    return figure


def _draw(panel: Axes, layers: Frame, labels: list[str], scale: Normalize) -> None:
    shown = layers.assign(density=100 * layers["density"].astype(float))
    wide = shown.pivot_table(index="label", columns="index", values="density", aggfunc="mean")
    wide = wide.reindex(labels)
    panel.grid(visible=False)
    panel.pcolormesh(wide.columns, range(len(labels)), wide.where(wide > 0), norm=scale, cmap="viridis")
    emptied = layers[layers["kept"] == 0].drop_duplicates(["label", "index"])
    if len(emptied):
        panel.plot(emptied["index"], [labels.index(label) for label in emptied["label"]], linestyle="", marker="x",
                   color="#D55E00", markersize=5, markeredgewidth=1.6)  # fmt: skip
    panel.set_ylim(len(labels) - 0.5, -0.5)


def percent_ticks(axis: Axis, ratio: float) -> None:
    """Ticks of a logarithmic axis; a short one has 1, 2 and 5. `ratio`: of its ends."""
    from matplotlib.ticker import LogLocator, NullLocator

    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if ratio < SHORT_RATIO else (1.0,)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(lambda value, _: f"{value:g}")


def _name_rows(panels: Collection[Axes], labels: list[str], highlight: Collection[str]) -> None:
    for panel in panels:
        panel.set_yticks(range(len(labels)), [shorten(label) for label in labels], fontsize=LABEL_SIZE)
        for tick, label in zip(panel.get_yticklabels(), labels, strict=True):
            tick.set_fontweight("bold" if label in highlight else "normal")


def layer_names(layers: Frame) -> list[str]:
    """Names of the layers in the order of the network."""
    return list(layers.sort_values("index")["layer"].drop_duplicates())


def name_layers(axes: Axes, names: list[str]) -> None:
    """Names below the axis, if there are few."""
    axes.tick_params(labelbottom=True)
    if len(names) > MAX_NAMES:
        axes.set_xlabel("layer, from input to output")
        return
    shown = [plain(name.removesuffix(".weight")) for name in names]
    axes.set_xticks(range(len(names)), shown, rotation=45, ha="right", rotation_mode="anchor", fontsize=7)
