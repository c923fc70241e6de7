"""The axis of sparsity that figures share."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes


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


LETTER = 0.012
"""Width of a digit of a label, as a share of a narrow axis."""


def _spaced(ordered: list[float]) -> list[float]:
    """Sparsities whose labels do not touch, rounder ones first: of 79.55 and 80, 80."""
    span = math.log((1 - ordered[0]) / (1 - ordered[-1])) if len(ordered) > 1 else 1.0
    places = {target: math.log((1 - ordered[0]) / (1 - target)) / span for target in ordered}
    shown: list[float] = []
    for target in sorted(ordered, key=lambda target: len(_name(target))):
        if all(abs(places[target] - places[other]) >= _gap(target, other) for other in shown):
            shown.append(target)
    return sorted(shown)


def _gap(one: float, other: float) -> float:
    """Least distance of two labels that are centred at their places, as a share of the axis."""
    return LETTER * (len(_name(one)) + len(_name(other)) + 1)
