"""How far from the best value of the knob each rule chooses, and what choosing costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..analysis.frame_type import Frame
from ..analysis.groups import percent, subject
from ..analysis.regime_cells import RegimeMap
from ..analysis.regime_choices import RULES, Candidates, Outcome, candidates, outcome
from ..analysis.spread import Stat
from .caption import common_caption, sentences
from .cell import mean_cell
from .regimes import thresholds_sentence
from .table import Cell, Column, Roles, Table, TableRow

COLUMNS = ("mean", "best chosen", "Kendall's tau", "epochs")


def choices_table(found: RegimeMap, frame: Frame, stat: Stat = "std") -> Table:
    """Regret in points of test error, a row for each rule and a column for each density whose cells are complete."""
    by_density = {density: known for density in found.densities if (known := candidates(found, density))}
    left_out = len(found.densities) - len(by_density)
    return Table(
        name="regime-choices",
        title=f"Regret of choosing the {found.knob} of dense training, {subject(frame)}",
        corner="Rule",
        columns=(
            *(Column(heading=percent(density), group="density") for density in by_density),
            *(Column(heading=name) for name in COLUMNS),
        ),
        rows=tuple(_row(name, by_density, stat) for name in RULES) if by_density else (),
        caption=sentences(
            "Regret: test error of the choice minus the smallest one of its density and seed, in points. Rules look at "
            "training and validation data only, the oracle at the test set. The default is "
            f"{found.default:g}, the candidates are {', '.join(f'{value:g}' for value in found.values)}.",
            "'mean' averages the densities of a seed first. Best chosen: how often the regret is zero. Kendall's tau: "
            "between the order of a rule that ranks all candidates and that of test errors.",
            *common_caption(frame, stat),
            "Epochs: of the trainings that a rule looks at for one density and seed, of measuring their pairs (a pass "
            "forward alone is a third), and of the dense training and one retraining of the choice. Each dense "
            "training is counted whole, even where a shorter one is its beginning.",
            thresholds_sentence(found.thresholds),
            f"Incomplete: {left_out} of {len(found.densities)} densities lack a run or a pair." if left_out else "",
        ),
        facts={"thresholds": vars(found.thresholds), "stat": stat},
        roles=Roles(row="row", heading="measure"),
    )


def _row(name: str, by_density: Mapping[float, Mapping[int, Candidates]], stat: Stat) -> TableRow:
    outcomes = {density: _outcomes(name, seeds) for density, seeds in by_density.items()}
    every = [each for seeds in outcomes.values() for each in seeds.values()]
    if not every:
        blank = (Cell(text="no validation split"), *(Cell(text="–"),) * (len(by_density) + len(COLUMNS) - 1))
        return TableRow(label=name, cells=blank)
    seeds = sorted(next(iter(outcomes.values())))
    means = [_mean([seeds_of[seed].regret for seeds_of in outcomes.values()]) for seed in seeds]
    taus = [each.kendall for each in every if each.kendall is not None]
    return TableRow(
        label=name,
        cells=(
            *(_regret([each.regret for each in found.values()], stat) for found in outcomes.values()),
            _regret(means, stat),
            Cell(text="–" if name == "At random" else f"{sum(each.is_best for each in every)} of {len(every)}"),
            Cell(value=_mean(taus), digits=2) if taus else Cell(text="–"),
            _epochs(name, every),
        ),
    )


def _epochs(name: str, every: Sequence[Outcome]) -> Cell:
    if name.startswith("Oracle"):
        return Cell(text="–")
    return Cell(value=_mean([each.epochs for each in every]), digits=0)


def _outcomes(name: str, seeds: Mapping[int, Candidates]) -> dict[int, Outcome]:
    """By seed; none where the rule needs a validation split that is not there."""
    return {seed: outcome(found, choice) for seed, found in seeds.items() if (choice := RULES[name](found)) is not None}


def _regret(values: Sequence[float], stat: Stat) -> Cell:
    return mean_cell(values, stat, expected=len(values))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
