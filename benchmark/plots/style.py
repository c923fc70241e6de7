"""How figures look: a method has the same colour in all figures, and markers and lines that differ in grey."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..analysis.frame_type import Frame
from ..analysis.groups import heading, percent
from ..runs.run import DENSE
from .text import FONT, MAX_LABEL, legend_text, plain, without_middle

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours without the yellow, which is too light on paper, and four of Paul Tol's. They differ under
# the common kinds of colour blindness. Only dense training is black.
PALETTE = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#332288", "#882255", "#999933", "#117733",
)  # fmt: skip
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*")
LINES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)))
DENSE_COLOR = "#000000"
LINE_HEIGHT = 0.185
COLUMN_WIDTH = 2.6
"""Width of a column of a legend in inches."""


@dataclass(frozen=True)
class Look:
    """Colour, marker and line of one row of the study."""

    color: str
    marker: str
    line: Any


DENSE_LOOK = Look(DENSE_COLOR, "o", "-")


def looks(frame: Frame) -> dict[str, Look]:
    """A look for each label of a study's frame.

    The colour depends on the method's place in the registry, so that it is the same in all studies. If two methods of
    a study would share a colour, the later one takes the next that is free. Labels of one method share the colour and
    differ in marker and line.
    """
    pairs = frame.loc[frame["method"] != DENSE, ["label", "method"]].drop_duplicates("label")
    by_label = {str(label): str(method) for label, method in pairs.itertuples(index=False)}
    places = _places()
    methods = sorted(dict.fromkeys(by_label.values()), key=lambda name: places.get(name, len(places)))
    colors = _choose(methods, places, len(PALETTE))
    markers = _choose(by_label, {label: colors[method] for label, method in by_label.items()}, len(MARKERS))
    used: dict[int, int] = {}
    found = {}
    for label, method in by_label.items():
        color = colors[method]
        found[label] = Look(PALETTE[color], MARKERS[markers[label]], LINES[used.get(color, 0) % len(LINES)])
        used[color] = used.get(color, 0) + 1
    return found


def _places() -> dict[str, int]:
    from ...methods import METHODS

    return {name: index for index, name in enumerate(name for name in METHODS if name != DENSE)}


def _choose(names: Iterable[str], preferred: Mapping[str, int], size: int) -> dict[str, int]:
    """A slot below `size` for each name: the preferred or the next free one; once all are taken, all are free."""
    chosen: dict[str, int] = {}
    taken: set[int] = set()
    for name in names:
        if len(taken) == size:
            taken.clear()
        slot = preferred.get(name, len(chosen)) % size
        while slot in taken:
            slot = (slot + 1) % size
        chosen[name] = slot
        taken.add(slot)
    return chosen


HEADLINE_LETTERS = 14
"""Letters of a headline per inch."""

LEGEND_WIDTH = 2.0
"""Inches that a legend beside the panels may take."""

DPI = 160
"""Dots per inch of PNG files."""


@contextmanager
def style() -> Iterator[None]:
    """Settings of matplotlib while a figure is made or saved; afterwards those of the caller are restored."""
    import matplotlib as mpl
    import seaborn as sns

    settings = {
        **sns.axes_style("ticks"),
        **sns.plotting_context("paper"),
        "font.family": FONT,
        "text.parse_math": False,  # a dollar in a label is a dollar
        "axes.titlesize": 9,
        "axes.titlelocation": "left",
        "legend.frameon": False,
        "legend.fontsize": 8,
        "lines.markersize": 5,
        "pdf.fonttype": 42,  # journals refuse Type 3 fonts
        "axes.grid": True,
        "grid.alpha": 0.35,
        "grid.linewidth": 0.6,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "figure.dpi": DPI,  # text must have the same width when measured and when saved, or it is cut off
        "savefig.dpi": DPI,
    }
    with mpl.rc_context(settings):  # pyright: ignore[reportArgumentType]
        yield


def new_figure(width: float, height: float, columns: int = 1, rows: int = 1, **options: Any) -> tuple[Figure, Any]:
    """A figure outside pyplot's global state, and its axes as a 2-D array; inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def panel_grid(count: int) -> tuple[int, int]:
    """Columns and rows for a number of panels: at most three beside each other."""
    columns = 2 if count == 4 else max(1, min(3, count))
    return columns, max(1, -(-count // columns))


def panel_title(target: float) -> str:
    """The title of the panel of a sparsity."""
    return f"sparsity {percent(target)}" if target > 0 else heading(target)


def headline(figure: Figure, text: str) -> None:
    """A title over all panels, wrapped so that it does not reach a legend beside them."""
    width = int(HEADLINE_LETTERS * (figure.get_figwidth() - LEGEND_WIDTH))
    figure.suptitle(textwrap.fill(plain(text), width), x=0.01, ha="left", fontsize=9)


def legend(figure: Figure, axes: Axes) -> None:
    """One legend for all panels: beside them if it fits in a column, else below, in a figure made taller."""
    handles, labels = axes.get_legend_handles_labels()
    if not handles:
        return
    texts = [legend_text(label) for label in labels]
    num_lines = sum(text.count("\n") + 1 for text in texts)
    if num_lines * LINE_HEIGHT < figure.get_figheight():
        _draw_legend(figure, handles, texts, loc="outside right upper")
        return
    columns = max(1, int(figure.get_figwidth() / COLUMN_WIDTH))
    tallest = max(text.count("\n") + 1 for text in texts)
    figure.set_figheight(figure.get_figheight() + LINE_HEIGHT * tallest * -(-len(labels) // columns))
    _draw_legend(figure, handles, texts, loc="outside lower left", ncols=columns, columnspacing=1.0)


def _draw_legend(figure: Figure, handles: Sequence[Artist], texts: Sequence[str], **options: Any) -> None:
    # Numbers first: a legend leaves out entries whose text begins with an underscore.
    drawn = figure.legend(handles, [str(index) for index in range(len(texts))], handlelength=2.6, **options)
    for entry, text in zip(drawn.get_texts(), texts, strict=True):
        entry.set_text(text)


def shorten(name: str, width: int = MAX_LABEL) -> str:
    """A name in one line of at most `width` characters."""
    return without_middle(plain(name), width)


def sparsity_axis(axes: Axes, targets: Iterable[float]) -> None:
    """A logarithmic axis of density, denser to the left, labelled with the sparsities of the study."""
    from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

    ordered = sorted(target for target in targets if target < 1)
    axes.set_xlim(*_limits(ordered))
    axes.set_xscale("log")
    shown = _spaced(ordered)
    axes.xaxis.set_major_locator(FixedLocator([1 - target for target in shown]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xticklabels([_name(target) for target in shown])
    axes.set_xlabel("sparsity (%), density on a logarithmic scale")


def _limits(ordered: list[float]) -> tuple[float, float]:
    if not ordered:
        return 1.0, 0.01
    margin = 1.12 if len(ordered) == 1 else ((1 - ordered[0]) / (1 - ordered[-1])) ** 0.05
    return (1 - ordered[0]) * margin, (1 - ordered[-1]) / margin


def _name(target: float) -> str:
    return f"{round(target * 100, 6):g}"


def _spaced(ordered: list[float], smallest_gap: float = 0.045) -> list[float]:
    """Sparsities whose labels do not touch, rounder ones first: of 79.55 and 80, 80. The gap is a share of the axis."""
    span = math.log((1 - ordered[0]) / (1 - ordered[-1])) if len(ordered) > 1 else 1.0
    places = {target: math.log((1 - ordered[0]) / (1 - target)) / span for target in ordered}
    shown: list[float] = []
    for target in sorted(ordered, key=lambda target: len(_name(target))):
        if all(abs(places[target] - places[other]) >= smallest_gap for other in shown):
            shown.append(target)
    return sorted(shown)
