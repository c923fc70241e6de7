"""How figures look: a method has the same colour in all figures, and markers and lines that differ in grey."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
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
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*", "d", "8")
LINES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)))
DENSE_COLOR = "#000000"
LINE_HEIGHT = 0.185
COLUMN_WIDTH = 2.6
"""Width of a column of a legend in inches."""


MAX_BANDS = 5
"""Most rows whose spread is a band; bands of more rows would hide each other, so that these have bars."""

OWN_COLOR = "#DC143C"
"""Of methods that are not in the suite's registry: a plug-in is seen at once among the others."""


@dataclass(frozen=True)
class Look:
    """Colour, marker and line of one row of the study.

    Attributes:
        width: of the line, in points.
        is_other: one of the rows that are grey behind those that a figure or a panel is about.
    """

    color: str
    marker: str
    line: Any
    width: float = 1.4
    is_other: bool = False

    @property
    def size(self) -> float:
        """Of the marker, in points; a star of the usual size looks small."""
        return 7.5 if self.marker == "*" else 5.0


DENSE_LOOK = Look(DENSE_COLOR, "o", "-")
OTHER_LOOK = Look("0.78", "", "-", 0.8, is_other=True)


def looks(frame: Frame, highlight: Collection[str] = ()) -> dict[str, Look]:
    """A look for each label of a study's frame; with `highlight`, a grey one for every label that is not in it.

    The colour depends on the method's place in the registry, so that it is the same in all studies. If two methods of
    a study would share a colour, the later one takes the next that is free. Methods of one's own have OWN_COLOR.
    Labels of one method share the colour. No two labels share colour and marker before all markers of the colour are
    used, and markers are used evenly, so that labels are told apart in grey too.
    """
    pairs = frame.loc[frame["method"] != DENSE, ["label", "method"]].drop_duplicates("label")
    by_label = {str(label): str(method) for label, method in pairs.itertuples(index=False)}
    colors = _method_colors(set(by_label.values()))
    used: dict[str, list[str]] = {}
    found = {}
    for label, method in by_label.items():
        color = colors[method]
        taken = used.setdefault(color, [])
        marker = _next_marker(used, color)
        found[label] = Look(color, marker, LINES[len(taken) % len(LINES)], 2.0 if color == OWN_COLOR else 1.4)
        taken.append(marker)
    return {label: look if not highlight or label in highlight else OTHER_LOOK for label, look in found.items()}


def _method_colors(methods: Collection[str]) -> dict[str, str]:
    """The colour of each method: that of its place in the registry, or the next one that is free."""
    places = _places()
    known = sorted((name for name in methods if name in places), key=places.__getitem__)
    slots = _choose(known, places, len(PALETTE))
    return {name: PALETTE[slots[name]] if name in slots else OWN_COLOR for name in methods}


def _places() -> dict[str, int]:
    from ...methods import METHODS

    return {name: index for index, name in enumerate(name for name in METHODS if name != DENSE)}


def _choose(names: Iterable[str], places: Mapping[str, int], size: int) -> dict[str, int]:
    """A slot below `size` for each name: that of its place or the next free one; once all are taken, all are free."""
    chosen: dict[str, int] = {}
    taken: set[int] = set()
    for name in names:
        if len(taken) == size:
            taken.clear()
        slot = places[name] % size
        while slot in taken:
            slot = (slot + 1) % size
        chosen[name] = slot
        taken.add(slot)
    return chosen


def _next_marker(used: Mapping[str, Sequence[str]], color: str) -> str:
    """The marker that this colour, and then all colours, have used least; the colours begin at different markers."""
    start = [*PALETTE, OWN_COLOR].index(color)
    order = [MARKERS[(start + step) % len(MARKERS)] for step in range(len(MARKERS))]
    every = [marker for markers in used.values() for marker in markers]
    return min(order, key=lambda marker: (used[color].count(marker), every.count(marker)))


HEADLINE_LETTERS = 14
"""Letters of a headline per inch."""

NO_BREAK = "\N{NO-BREAK SPACE}"

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


def headline(figure: Figure, text: str, legend_width: float = LEGEND_WIDTH) -> None:
    """A title over all panels, wrapped so that it does not reach a legend beside them; `n = 3` is kept together."""
    width = int(HEADLINE_LETTERS * (figure.get_figwidth() - legend_width))
    kept = re.sub(r"n = (\d+)(?: to (\d+))?", lambda found: found[0].replace(" ", NO_BREAK), plain(text))
    figure.suptitle(textwrap.fill(kept, width, break_on_hyphens=False), x=0.01, ha="left", fontsize=9)


def legend(figure: Figure, axes: Axes) -> None:
    """One legend for all panels: beside them if it fits in a column, else below, in a figure made taller."""
    handles, labels = axes.get_legend_handles_labels()
    if not handles:
        return
    texts = [legend_text(label) for label in labels]
    num_lines = sum(text.count("\n") + 1 for text in texts)
    if num_lines * LINE_HEIGHT < figure.get_figheight():
        named(figure, handles, texts, loc="outside right upper")
        return
    columns = max(1, int(figure.get_figwidth() / COLUMN_WIDTH))
    tallest = max(text.count("\n") + 1 for text in texts)
    figure.set_figheight(figure.get_figheight() + LINE_HEIGHT * tallest * -(-len(labels) // columns))
    named(figure, handles, texts, loc="outside lower left", ncols=columns, columnspacing=1.0)


def beside(axes: Axes, handles: Sequence[Artist], labels: Sequence[str]) -> None:
    """A legend right of a row of panels, whose last panel is given."""
    if handles:
        named(axes, handles, [legend_text(label) for label in labels], loc="upper left", bbox_to_anchor=(1.02, 1.02),
              borderaxespad=0.0, fontsize=7)  # fmt: skip


def named(place: Figure | Axes, handles: Sequence[Artist], texts: Sequence[str], **options: Any) -> None:
    """A legend of these artists with these texts."""
    # Numbers first: a legend leaves out entries whose text begins with an underscore.
    drawn = place.legend(handles, [str(index) for index in range(len(texts))], **{"handlelength": 2.6, **options})
    for entry, text in zip(drawn.get_texts(), texts, strict=True):
        entry.set_text(text)


def shorten(name: str, width: int = MAX_LABEL) -> str:
    """A name in one line of at most `width` characters."""
    return without_middle(plain(name), width)
