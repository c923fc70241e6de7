"""The cells of a three-regime study: errors, connectivity, similarity, and the regime by several thresholds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ..analysis.connectivity import Regime, Thresholds
from ..analysis.frame_type import Frame
from ..analysis.groups import percent, subject
from ..analysis.regime_cells import LAST_EPOCHS, RegimeMap
from ..analysis.spread import Stat
from ..studies.regime_rows import regime_label
from .caption import common_caption, sentences
from .cell import mean_cell
from .table import Cell, Column, Roles, Table, TableRow

TAUS = (0.05, 0.10, 0.20, 0.30)
CKAS = (0.97, 0.98)
"""Other thresholds under which the regimes are shown as well."""

Rule = Callable[[float, float], Regime]
"""From a value of the knob and a density to a regime."""

MEASURES = (
    ("test error (%)", "test_error", 100.0, 2),
    ("train error (%)", "train_error", 100.0, 2),
    ("LMC", "lmc", 1.0, 3),
    ("barrier", "barrier", 1.0, 3),
    ("CKA", "cka", 1.0, 3),
)


def thresholds_sentence(thresholds: Thresholds) -> str:
    """What the regimes are labelled by, and whose choice that is."""
    return (
        f"Regime I: LMC below -{thresholds.tau:g}. II-B: else, and CKA of {thresholds.cka:g} or more. II-A: else. "
        f"failed: train error above {thresholds.failed:g} times that of guessing, whatever the rest. These thresholds "
        "are declared by the study and are not the paper's."
    )


def regimes_table(found: RegimeMap, frame: Frame, stat: Stat = "std") -> Table:
    """A row for each cell, by density and from hot to cold; the last row is the agreement of the other rules."""
    rules = _rules(found)
    places = [(value, density) for density in found.densities for value in found.values]
    rows = [_row(found, value, density, rules, stat) for value, density in places]
    own: list[Regime] = [found.regime(*place) for place in places if place in found.cells]
    agreement = [_agreement(own, [rule(*place) for place in places if place in found.cells]) for rule in rules.values()]
    blank = (Cell(text=""),) * (len(MEASURES) + 2)
    rows.append(TableRow(label="agreement with the study's", cells=(*blank, *agreement), is_reference=True))
    return Table(
        name="regimes",
        title=f"Regimes of {subject(frame)}",
        corner="Cell",
        columns=(
            Column(heading="weights left (%)"),
            *(Column(heading=heading) for heading, *_ in MEASURES),
            Column(heading="above the best (points)"),
            *(Column(heading=name, group="regime") for name in rules),
        ),
        rows=tuple(rows),
        caption=sentences(
            "Cells are named by the knob, and the density of the layers that are pruned. Errors of the last "
            f"{LAST_EPOCHS} epochs of each retraining. LMC is the mean of both orders of a pair; the pairs of a seed "
            "are averaged first.",
            *common_caption(frame, stat),
            thresholds_sentence(found.thresholds),
            "The other columns change one threshold; 'relative': tau is a third of the deepest barrier of the density.",
            f"Incomplete: {found.num_missing} of {len(places)} cells lack a run or a pair."
            if found.num_missing
            else "",
        ),
        facts={"thresholds": vars(found.thresholds), "stat": stat},
        roles=Roles(row="row", heading="measure"),
    )


def _rules(found: RegimeMap) -> dict[str, Rule]:
    """The study's own thresholds first, then others that differ from them."""
    own = found.thresholds

    def by(thresholds: Thresholds) -> Rule:
        return lambda value, density: found.regime(value, density, thresholds)

    rules: dict[str, Rule] = {"the study's": found.regime}
    rules |= {f"tau {tau:g}": by(replace(own, tau=tau)) for tau in TAUS if tau != own.tau}
    rules["relative"] = found.relative_regime
    return rules | {f"CKA {cka:g}": by(replace(own, cka=cka)) for cka in CKAS if cka != own.cka}


def _row(found: RegimeMap, value: float, density: float, rules: dict[str, Rule], stat: Stat) -> TableRow:
    label = f"{regime_label(found.knob, value)} at {percent(density)}"
    cell = found.cells.get((value, density))
    if cell is None:
        return TableRow(label=label, cells=(Cell(text="missing"),) * (len(MEASURES) + 2 + len(rules)))
    measured = [
        mean_cell(values, stat, expected=len(cell.seeds), scale=scale, digits=digits)
        if (values := cell.values(name))
        else Cell(text="–")
        for _, name, scale, digits in MEASURES
    ]
    return TableRow(
        label=label,
        cells=(
            Cell(value=100 * cell.mean("weights_left"), digits=2),
            *measured,
            Cell(value=100 * found.normalised_error(value, density), digits=2),
            *(Cell(text=rule(value, density)) for rule in rules.values()),
        ),
    )


def _agreement(own: Sequence[Regime], other: Sequence[Regime]) -> Cell:
    if not own:
        return Cell(text="–")
    return Cell(text=f"{sum(map(str.__eq__, own, other))} of {len(own)}")
