"""Training curves: accuracy by epoch, and sparsity by epoch where a method prunes during training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..analysis.frame_type import Frame
from ..runs.run import DENSE
from .style import Look, headline, legend, looks, new_figure, panel_grid, panel_title, style
from .text import artist_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def training_figure(epochs: Frame, subject: str) -> Figure:
    """Means over seeds, one panel a sparsity; `epochs` is as from `long_frames.epoch_frame`.

    Accuracy on the validation split, or on the test set, and labelled so, if there is no such split.
    """
    pruned = epochs[epochs["method"] != DENSE]
    has_validation = bool(pruned["validation_accuracy"].notna().any())
    column = "validation_accuracy" if has_validation else "test_accuracy"
    targets = sorted({float(target) for target in pruned["target"]})
    columns, rows = panel_grid(len(targets))
    ramps = _ramps(pruned)
    with style():
        figure, axes = new_figure(2.2 + 3.0 * columns, 0.9 + 2.3 * rows, columns, rows, sharex=True)
        look = looks(pruned)
        for index, (panel, target) in enumerate(zip(axes.flat, targets, strict=False)):
            _draw_panel(panel, pruned[pruned["target"] == target], column, look, ramps)
            panel.set_title(panel_title(target))
            if index + columns >= len(targets):
                panel.tick_params(labelbottom=True)
                panel.set_xlabel("epoch")
        for panel in axes.flat[len(targets) :]:
            panel.set_visible(False)
        for panel in axes[:, 0]:
            panel.set_ylabel(f"{'validation' if has_validation else 'test'} accuracy (%)")
        title = f"{subject}: training after pruning or from initialisation, means over seeds"
        headline(figure, title + ("; faint: sparsity in percent" if ramps else ""))
        for label, shown in look.items():
            axes[0, 0].plot([], [], color=shown.color, linestyle=shown.line, label=artist_label(label))
        legend(figure, axes[0, 0])
    return figure


def _ramps(epochs: Frame) -> set[str]:
    """Labels whose density changes during training."""
    spans = epochs.groupby(["label", "id", "target"])["density"].agg(lambda values: values.max() - values.min())
    return {str(index[0]) for index, span in spans.items() if span > 0.01}


def _draw_panel(axes: Axes, epochs: Frame, column: str, look: dict[str, Look], ramps: set[str]) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    for label, group in epochs.groupby("label", sort=False):
        shown = look[str(label)]
        means = 100 * group.groupby("epoch")[column].mean()
        # A single epoch is a point, not a line.
        marker = shown.marker if len(means) == 1 else ""
        axes.plot(means.index, means, color=shown.color, linestyle=shown.line, marker=marker, linewidth=1.1)
        if str(label) in ramps:
            sparsity = 100 * (1 - group.groupby("epoch")["density"].mean())
            axes.plot(sparsity.index, sparsity, color=shown.color, linestyle=shown.line, linewidth=2.5, alpha=0.25)
