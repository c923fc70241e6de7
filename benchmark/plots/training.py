"""Training curves: accuracy by epoch, and below it sparsity by epoch where a method prunes during training."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..analysis.frame_type import Frame
from ..runs.run import DENSE
from .panels import behind_first, draw_other, name_others, panels_of
from .style import Look, beside, headline, looks, new_figure, panel_title, style
from .text import artist_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_BESIDE = 5
"""Most sparsities that are beside each other."""

HEIGHTS = {"accuracy": 2.0, "sparsity": 1.1}
"""Inches of a row of panels."""


@dataclass(frozen=True)
class _Row:
    """A row of panels, one a sparsity, that shows some of the labels in colour.

    The rows of the same sparsities share titles and the axis of epochs.
    """

    kind: str
    targets: list[float]
    look: Mapping[str, Look]
    is_first: bool = False
    is_last: bool = False


def training_figure(epochs: Frame, subject: str, highlight: Collection[str] = ()) -> Figure:
    """Means over seeds, one panel a sparsity; `epochs` is as from `long_frames.epoch_frame`.

    Accuracy on the validation split, or on the test set, and labelled so, if there is no such split.
    """
    pruned = epochs[epochs["method"] != DENSE]
    has_validation = bool(pruned["validation_accuracy"].notna().any())
    measure = "validation" if has_validation else "test"
    names = {"accuracy": f"{measure} accuracy (%)", "sparsity": "sparsity (%)"}
    means = _means(pruned, f"{measure}_accuracy")
    with style():
        rows = _rows(pruned, looks(pruned, highlight))
        columns = max(len(row.targets) for row in rows)
        heights = [HEIGHTS[row.kind] for row in rows]
        figure, axes = new_figure(2.4 + 1.9 * columns, 0.9 + sum(heights), columns, len(rows), height_ratios=heights)
        for panels, row in zip(axes, rows, strict=True):
            _draw_row(panels, row, means)
            panels[0].set_ylabel(names[row.kind])
            name_others(panels[0], row.look)
            beside(panels[len(row.targets) - 1], *panels[0].get_legend_handles_labels())
        headline(figure, f"{subject}: training after pruning or from initialisation, means over seeds", 0.0)
    return figure


def _means(epochs: Frame, column: str) -> Frame:
    """Accuracy and sparsity in percent by label, target and epoch."""
    percent = epochs.assign(accuracy=100 * epochs[column].astype(float), sparsity=100 * (1 - epochs["density"]))
    return percent.groupby(["label", "target", "epoch"], sort=False)[["accuracy", "sparsity"]].mean().reset_index()


def _rows(epochs: Frame, look: Mapping[str, Look]) -> list[_Row]:
    """Rows of accuracies, and one of sparsities below them if any label prunes during training."""
    targets = sorted({float(target) for target in epochs["target"]}) or [0.0]
    ramps = _ramps(epochs)
    gradual = {label: each for label, each in look.items() if label in ramps and not each.is_other}
    kinds = [("accuracy", part) for part in panels_of(look)] + ([("sparsity", gradual)] if gradual else [])
    return [
        _Row(kind, targets[start : start + MAX_BESIDE], part, index == 0, index == len(kinds) - 1)
        for start in range(0, len(targets), MAX_BESIDE)
        for index, (kind, part) in enumerate(kinds)
    ]


def _ramps(epochs: Frame) -> set[str]:
    """Labels whose density changes during training."""
    spans = epochs.groupby(["label", "id", "target"])["density"].agg(lambda values: values.max() - values.min())
    return {str(index[0]) for index, span in spans.items() if span > 0.01}


def _draw_row(panels: Iterable[Axes], row: _Row, means: Frame) -> None:
    from matplotlib.ticker import MaxNLocator

    panels = list(panels)
    for panel in panels[len(row.targets) :]:
        panel.set_visible(False)
    for panel, target in zip(panels, row.targets, strict=False):
        panel.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
        panel.set_title(panel_title(target) if row.is_first else "")
        panel.set_xlabel("epoch" if row.is_last else "")
        at_target = means[means["target"] == target]
        for index, label in enumerate(behind_first(row.look)):
            _draw(panel, label, at_target[at_target["label"] == label], row.kind, row.look[label], index)
        if row.kind == "sparsity":
            panel.set_ylim(0, 103)


def _draw(axes: Axes, label: str, means: Frame, kind: str, look: Look, index: int) -> None:
    if look.is_other:
        draw_other(axes, list(zip(means["epoch"], means[kind], strict=True)), look)
        return
    # Markers of different rows are at different epochs, so that equal curves are seen.
    step = max(1, len(means) // 4)
    axes.plot(means["epoch"], means[kind], color=look.color, linestyle=look.line, marker=look.marker,
              markevery=(index % step, step), markersize=0.8 * look.size, markeredgecolor="white",
              markeredgewidth=0.4, linewidth=look.width - 0.2, label=artist_label(label))  # fmt: skip
