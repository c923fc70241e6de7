"""A figure for studies without a sparsity axis: the accuracy of each row by three rules of choosing the epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prunebench.benchmark.analysis.accuracy import SHORT_NAMES, accuracy_column
from prunebench.benchmark.analysis.frame_type import Frame
from prunebench.benchmark.analysis.groups import subject
from prunebench.benchmark.plots.style import headline, legend, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOOKS = {"last": ("o", "#0072B2"), "selected": ("s", "#009E73"), "best_test": ("^", "#D55E00")}
"""Marker and colour of each accuracy."""


def protocols_figure(frame: Frame) -> Figure:
    """A line for each row with a done run; a faint mark for each seed, a full one for their mean."""
    done = frame[frame["state"] == "done"]
    labels = list(dict.fromkeys(done["label"]))
    with style():
        figure, axes = new_figure(7.0, 1.0 + 0.42 * len(labels))
        panel = axes[0, 0]
        for offset, (accuracy, (marker, color)) in zip((0.22, 0.0, -0.22), LOOKS.items(), strict=True):
            for place, label in enumerate(labels):
                values = 100 * done[done["label"] == label][accuracy_column(accuracy)].astype(float)
                height = len(labels) - 1 - place + offset
                panel.plot(values, [height] * len(values), marker, color=color, alpha=0.35, markersize=3.5)
                panel.plot(values.mean(), height, marker, color=color, markersize=6)
            panel.plot([], [], marker, color=color, label=SHORT_NAMES[accuracy])
        panel.set_yticks(range(len(labels)), labels[::-1])
        panel.set_xlabel("test accuracy (%)")
        headline(figure, f"{subject(done)}: the same trainings, read three ways; faint: single seeds")
        legend(figure, panel)
    return figure
