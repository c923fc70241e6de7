"""Accuracy against milliseconds, with the Pareto front: a panel for each machine."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from textwrap import fill
from typing import TYPE_CHECKING

from ..analysis.curves import pareto_front
from ..analysis.frame_type import Frame
from ..analysis.groups import subject
from ..analysis.latency_frame import latency_frame
from ..analysis.study_results import StudyResults
from ..runs.run import DENSE
from .panels import behind_first, draw_other
from .style import DENSE_COLOR, Look, headline, legend, looks, new_figure, style
from .text import artist_label, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EXACT = ("masked", "shrunk", "csr", "masked-onnx", "shrunk-onnx")
EXACT_DENSE = ("dense", "dense-onnx")
INT8 = "int8-onnx"
LETTERS = 52
"""Of a line above a panel."""


@dataclass(frozen=True)
class Fastest:
    """A row at one sparsity by its fastest variant: milliseconds and mean accuracy in percent."""

    milliseconds: float
    accuracy: float
    variant: str


def latency_figure(found: StudyResults, highlight: Collection[str] = ()) -> Figure:
    """Mean accuracy against the milliseconds of a call with the smallest batch, a line for each label.

    Each network stands at its fastest variant among those with its outputs. Raises UserError if nothing is measured.
    """
    frame = latency_frame(found)
    batch = int(frame["batch"].min())
    frame, machines = frame[frame["batch"] == batch], list(dict.fromkeys(frame["machine"]))
    accuracies = found.runs.set_index("id")["accuracy_last"]
    with style():
        figure, axes = new_figure(2.2 + 4.2 * len(machines), 3.8, columns=len(machines))
        look = looks(found.frame, highlight)
        for panel, machine in zip(axes.flat, machines, strict=True):
            here = frame[frame["machine"] == machine]
            _draw_panel(panel, here.assign(run_accuracy=here["id"].map(accuracies), seconds=_steady(here)), look)
            panel.set_title(fill(plain(machine), LETTERS), fontsize=7)
            panel.set_xlabel(f"ms of a call at batch {batch} (median), logarithmic scale")
        axes[0, 0].set_ylabel("test accuracy (%)")
        title = f"{subject(found.frame)}; each network by its fastest variant with equal outputs, without drift"
        headline(figure, title)
        legend(figure, axes[0, 0])
        return figure


def _steady(frame: Frame) -> Frame:
    """Seconds without the drift between sessions of turns: shares of the dense network's time, times its median."""
    dense = frame.drop_duplicates("id")["dense_p50"].median()
    return frame["p50"] / frame["dense_p50"] * dense


def fastest(rows: Frame, variants: Collection[str]) -> Fastest | None:
    """Of runs of one label and sparsity on one machine."""
    exact = rows[rows["variant"].isin(variants)]
    means = exact.groupby("variant")["seconds"].mean()
    if means.empty:
        return None
    accuracy = exact.drop_duplicates("id")["run_accuracy"].astype(float).mean()
    return Fastest(1e3 * float(means.min()), 100 * float(accuracy), str(means.idxmin()))


def _draw_panel(axes: Axes, frame: Frame, look: dict[str, Look]) -> None:
    curves = _curves(frame[frame["method"] != DENSE])
    dense = fastest(frame[frame["method"] == DENSE], EXACT_DENSE)
    int8 = frame[frame["variant"] == INT8]
    points = [*(point for curve in curves.values() for point in curve), *([dense] if dense else [])]
    reached = [(point.milliseconds, point.accuracy) for point in points]
    if len(int8):
        place = 1e3 * float(int8["seconds"].mean()), 100 * float(int8["accuracy"].astype(float).mean())
        reached.append(place)
        axes.plot(*place, marker="*", markersize=9, color=DENSE_COLOR, linestyle="", label="Dense in INT8", zorder=3)
    front = pareto_front(reached)
    axes.step([x for x, _ in front], [y for _, y in front], where="post", color="#BBCCEE", linewidth=4, zorder=1,
              label="Pareto front")  # fmt: skip
    if dense:
        axes.plot(dense.milliseconds, dense.accuracy, marker="o", color=DENSE_COLOR, linestyle="", label="Dense",
                  zorder=3)  # fmt: skip
    for label in behind_first(look):
        _draw_curve(axes, label, curves.get(label, []), look[label])
    _milliseconds_axis(axes)


def _curves(frame: Frame) -> dict[str, list[Fastest]]:
    """Points of each label by rising sparsity."""
    curves: dict[str, list[Fastest]] = {}
    for (label, _), rows in frame.groupby(["label", "target"]):
        if point := fastest(rows, EXACT):
            curves.setdefault(str(label), []).append(point)
    return curves


def _draw_curve(axes: Axes, label: str, points: list[Fastest], look: Look) -> None:
    places = [(point.milliseconds, point.accuracy) for point in points]
    if look.is_other:
        draw_other(axes, places, look)
        return
    axes.plot([x for x, _ in places], [y for _, y in places], color=look.color, linestyle=look.line,
              linewidth=look.width - 0.4, marker=look.marker, markersize=look.size, markeredgecolor="white",
              markeredgewidth=0.4, label=artist_label(label))  # fmt: skip


def _milliseconds_axis(axes: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(10, subs=(1, 1.5, 2, 3, 5, 7)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
