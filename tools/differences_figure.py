"""The difference of each row to one of them, with the interval of the paired differences, at every sparsity.

    python tools/differences_figure.py RUNS.csv "Global MP (gradual)" differences-gradual

draws differences-gradual.png from an exported study.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from prunebench.benchmark.analysis.export import read_export
from prunebench.benchmark.analysis.frame_type import Frame
from prunebench.benchmark.analysis.groups import subject
from prunebench.benchmark.analysis.paired import compare, paired_differences, resolution
from prunebench.benchmark.plots.kinds import save_figure
from prunebench.benchmark.plots.style import headline, new_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

UNPRUNED = ("dense", "dense_longer")
NEAREST, FARTHEST = 2.0, 12.0
"""The least and the greatest number of points that a panel shows on each side. A mean beyond is drawn as an arrow."""
BETTER, WORSE, UNKNOWN = "#009E73", "#D55E00", "0.55"


def differences_figure(frame: Frame, reference: str) -> Figure:
    """One panel a sparsity; rows by their mean difference to `reference` at the last of them, lowest at the bottom.

    Green and red: the 95 % t-interval of paired differences (same seed, same dense training) does not hold zero.
    """
    done = frame[(frame["state"] == "done") & (frame["target"] > 0) & ~frame["method"].isin(UNPRUNED)]
    base = done[done["label"] == reference]
    targets = sorted(set(base["target"]))
    means = done[done["target"] == targets[-1]].groupby("label")["accuracy_last"].mean().sort_values()
    labels = [str(label) for label in means.index if label != reference]
    with style():
        figure, axes = new_figure(3.0 + 2.2 * len(targets), 1.0 + 0.19 * len(labels), len(targets), sharey=True)
        for panel, target in zip(axes[0], targets, strict=True):
            _draw(panel, done[done["target"] == target], base[base["target"] == target], labels)
            panel.set_title(f"sparsity {100 * target:g} %")
            panel.set_xlabel("points")
        axes[0, 0].set_yticks(range(len(labels)), labels)
        headline(
            figure,
            f"{subject(frame)}: difference to {reference} and 95 % interval; grey: holds zero; arrows: beyond",
        )
    return figure


def _draw(panel: Axes, rows: Frame, base: Frame, labels: list[str]) -> None:
    panel.axvline(0, color="0.2", linewidth=0.8)
    reach = NEAREST
    for place, label in enumerate(labels):
        row = rows[rows["label"] == label]
        step = resolution([*row["accuracy_last"], *base["accuracy_last"]])
        interval = compare(paired_differences(row, base, "accuracy_last"), step / 2).interval
        if interval is None or interval.half_width is None:
            continue
        mean, half = 100 * interval.mean, 100 * interval.half_width
        color = UNKNOWN if interval.contains(0.0) else BETTER if mean > 0 else WORSE
        if abs(mean) > FARTHEST:
            edge = math.copysign(FARTHEST, mean)
            panel.plot(edge, place, "<" if mean < 0 else ">", color=color, markersize=5, clip_on=False)
        panel.errorbar(mean, place, xerr=half, fmt="o", color=color, markersize=3, linewidth=1)
        reach = max(reach, abs(mean) + half)
    panel.set_xlim(-min(reach, FARTHEST), min(reach, FARTHEST))
    panel.set_ylim(-0.7, len(labels) - 0.3)


def main() -> None:
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    source, reference, stem = sys.argv[1:]
    save_figure(differences_figure(read_export(Path(source)), reference), Path(stem), formats=("png",))


if __name__ == "__main__":
    main()
