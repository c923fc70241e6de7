"""Heat maps of a three-regime study: errors, connectivity and similarity over knob and density, and the regimes."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from ..analysis.connectivity import Thresholds
from ..analysis.regime_cells import LAST_EPOCHS, RegimeMap
from ..studies.regime_rows import NAMES
from .style import headline, new_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = {"I": "#D55E00", "II-A": "#56B4E9", "II-B": "#0072B2", "failed": "#BBBBBB"}
"""Of the regimes; 'failed' is hatched as well."""

MAPS = (
    ("test error (%)", "test_error", 100.0, 1, "Blues"),
    ("above the best of the density (points)", "", 100.0, 1, "Blues"),
    ("LMC (fraction of the training set)", "lmc", 1.0, 2, "Blues_r"),
    ("barrier (fraction of the training set)", "barrier", 1.0, 2, "Blues"),
    ("CKA of class probabilities", "cka", 1.0, 3, "Blues_r"),
)
"""Title, number of the cell, scale, decimals and colours of each map; no name: the normalised error."""

MAX_NUMBERS = 200
"""Most cells of a map whose numbers are written into it."""


def regimes_figure(found: RegimeMap, subject: str) -> Figure:
    """Five maps and the regimes on the same axes: density to the right, hot values of the knob on top."""
    rows, columns = len(found.values), len(found.densities)
    with style():
        figure, axes = new_figure(2.2 + 3 * max(2.4, 0.42 * columns), 1.4 + 2 * max(1.6, 0.26 * rows), 3, 2)
        for panel, drawn in zip(axes.flat, MAPS, strict=False):
            _draw_map(figure, panel, found, *drawn)
        _draw_regimes(figure, axes.flat[-1], found)
        for panel in axes.flat:
            _name_axes(panel, found)
        headline(figure, f"{subject}: retrainings of networks pruned at {columns} densities, {_seeds(found)}")
        text = "\n".join(textwrap.wrap(_caption(found), int(16 * figure.get_figwidth())))
        figure.text(0.01, -0.02, text, fontsize=7, color="0.35", va="top")
    return figure


def _seeds(found: RegimeMap) -> str:
    numbers = {len(cell.seeds) for cell in found.cells.values()}
    return "no cell is complete" if not numbers else f"means over {max(numbers)} dense seed{'s' * (max(numbers) > 1)}"


def _caption(found: RegimeMap) -> str:
    missing = " Empty cells lack a run or a pair." if found.num_missing else ""
    return (
        f"Errors of the last {LAST_EPOCHS} epochs of each retraining. LMC is the mean of both orders of a pair: "
        f"negative is a barrier. Colours span the cells that did not fail. {_declared(found.thresholds)}{missing}"
    )


def _declared(thresholds: Thresholds) -> str:
    return (
        f"Regimes by thresholds that the study declares, not the paper's: I where LMC < -{thresholds.tau:g}, "
        f"II-B where CKA is at least {thresholds.cka:g}, failed where the train error is above {thresholds.failed:g} "
        "times that of guessing."
    )


def _grid(found: RegimeMap, name: str, scale: float) -> Any:
    """(values, densities), hot first; nan where a cell is not complete."""
    import numpy as np

    grid = np.full((len(found.values), len(found.densities)), np.nan)
    for row, value in enumerate(found.values):
        for column, density in enumerate(found.densities):
            if (cell := found.cells.get((value, density))) is not None:
                grid[row, column] = scale * (cell.mean(name) if name else found.normalised_error(value, density))
    return grid


def _draw_map(
    figure: Figure, panel: Axes, found: RegimeMap, title: str, name: str, scale: float, digits: int, colors: str
) -> None:
    import numpy as np

    grid = _grid(found, name, scale)
    least, most = _span(found, grid)
    image = panel.imshow(grid, cmap=colors, aspect="auto", vmin=least, vmax=most)
    panel.set_title(title)
    if np.isfinite(grid).any():
        figure.colorbar(image, ax=panel, pad=0.02)
    if grid.size <= MAX_NUMBERS:
        for row, column in np.argwhere(np.isfinite(grid)):
            _write(panel, int(column), int(row), f"{grid[row, column]:.{digits}f}", _is_dark(image, grid[row, column]))


def _span(found: RegimeMap, grid: Any) -> tuple[float | None, float | None]:
    """Least and greatest number of the cells that did not fail: a failed one would make all others look alike."""
    import numpy as np

    counts = [
        grid[row, column]
        for row, value in enumerate(found.values)
        for column, density in enumerate(found.densities)
        if np.isfinite(grid[row, column]) and found.regime(value, density) != "failed"
    ]
    return (min(counts), max(counts)) if counts else (None, None)


def _is_dark(image: Any, value: float) -> bool:
    """Whether black letters could not be read on the colour of a value."""
    red, green, blue, _ = image.cmap(image.norm(value))
    return 0.299 * red + 0.587 * green + 0.114 * blue < 0.55


def _write(panel: Axes, column: int, row: int, text: str, is_dark: bool) -> None:
    shown = text.replace("-0.00", "0.00")
    panel.text(column, row, shown, ha="center", va="center", fontsize=5.5, color="white" if is_dark else "0.15")


def _draw_regimes(figure: Figure, panel: Axes, found: RegimeMap) -> None:
    from matplotlib.patches import Patch, Rectangle

    panel.set_title("regimes")
    panel.set_xlim(-0.5, len(found.densities) - 0.5)
    panel.set_ylim(len(found.values) - 0.5, -0.5)
    for row, value in enumerate(found.values):
        for column, density in enumerate(found.densities):
            if (value, density) not in found.cells:
                continue
            name = found.regime(value, density)
            hatch = "////" if name == "failed" else None
            panel.add_patch(
                Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=COLORS[name], edgecolor="white", hatch=hatch)
            )
            _write(panel, column, row, name, is_dark=name in ("I", "II-B"))
    handles = [
        Patch(facecolor=color, label=name, edgecolor="white", hatch="////" if name == "failed" else None)
        for name, color in COLORS.items()
    ]
    figure.legend(handles=handles, loc="outside lower right", ncols=len(handles), fontsize=7, handlelength=1.4)


def _name_axes(panel: Axes, found: RegimeMap) -> None:
    panel.grid(visible=False)
    panel.set_xticks(range(len(found.densities)), [f"{100 * density:g}" for density in found.densities], fontsize=7)
    panel.set_yticks(range(len(found.values)), [f"{value:g}" for value in found.values], fontsize=7)
    panel.set_xlabel("density of the pruned layers (%)")
    panel.set_ylabel(f"{NAMES[found.knob]}, hot on top")
