"""Equal budgets: how many epochs a row trains, so that every row has the same cost of training, and the ledger of it.

The cost of a row is counted in epochs of the dense network: those of the dense training that it starts from, if the
budget includes it, and those of its own training in all its rounds. With `unit: macs` an epoch of its own training
counts with the share of the dense multiply-adds that is left on average, forward and backward alike. A row gets the
largest whole number of epochs that stays within the budget; what is left over stands in the ledger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ...methods.listing.budget import trained_epochs
from ...methods.listing.density import mean_density
from ...methods.listing.describe import MethodInfo
from ..api.errors import UserError
from .rows import Row
from .run_cost import planned_epochs
from .schema import Budget, Entry, StudyFile
from .yaml_source import Source

SLACK = 1e-9
"""Of sums of floats."""


@dataclass(frozen=True)
class Line:
    """What a row spends, in epochs of the dense network.

    Attributes:
        dense: epochs of the dense training that it starts from, whether the budget includes them or not.
        own: epochs of its own training, in all rounds.
        share: what an epoch of these counts.
        spent: what counts against the budget.
        left: what is not spent; less than a further epoch of the row would cost.
    """

    label: str
    sparsity: float
    dense: int
    own: int
    share: float
    spent: float
    left: float

    @property
    def told(self) -> str:
        """Epochs, what each of its own counts, the sum and the rest."""
        epochs = f"{self.dense} + {self.own}" if self.dense else f"{self.own}"
        share = "" if self.share == 1 else f", its own counted as {self.share:.3g} each"
        return f"{epochs} epochs{share}: {self.spent:.4g}, left {self.left:.3g}"


def check_budget(file: StudyFile, source: Source) -> None:
    """Raises UserError for what a budget would replace: epochs of recipes are its result."""
    if file.budget is None:
        _refuse_shares(file, source)
        return
    if file.three_regime is not None:
        raise UserError(f"{source.place(['budget'])}: budget has no effect beside three_regime")
    if file.override.epochs is not None:
        raise UserError(f"{source.place(['override', 'epochs'])}: override.epochs would replace those of the budget")
    parts: list[tuple[tuple[str | int, ...], Any]] = [((), file)]
    parts += [(("runs", index), entry) for index, entry in enumerate(file.runs)]
    for key, part in parts:
        for name in ("finetune", "scratch"):
            if getattr(part, name).epochs is not None:
                raise UserError(
                    f"{source.place([*key, name, 'epochs'])}: {name}.epochs follows from the budget; leave it out, or "
                    "set it to null where another study gives it"
                )
    if file.budget.unit == "epochs":
        _refuse_shares(file, source)


def _refuse_shares(file: StudyFile, source: Source) -> None:
    for index, entry in enumerate(file.runs):
        if entry.macs_share is not None:
            place = source.place(["runs", index, "macs_share"])
            raise UserError(f"{place}: macs_share has no effect without budget: {{unit: macs, ...}}")


def epoch_share(budget: Budget, entry: Entry, info: MethodInfo, sparsity: float, options: Mapping[str, Any]) -> float:
    """What an epoch of a row's own training counts. Raises ValueError where nothing tells it."""
    if budget.unit == "epochs":
        return 1.0
    share = entry.macs_share if entry.macs_share is not None else mean_density(info, sparsity, options)
    if share is None:
        raise ValueError(
            f"budget in macs: how many multiply-adds {info.name} trains with is not known before it runs; give its "
            "mean share of the dense ones as macs_share (`table --kind cost` of a short training shows it)"
        )
    return share


def fitting_epochs(
    budget: Budget, info: MethodInfo, sparsity: float, options: Mapping[str, Any], dense: int, share: float
) -> int:
    """The most epochs of the recipe with which the row stays within the budget.

    `dense` are the epochs of the dense training that it starts from, 0 for none. Raises ValueError if not one fits.
    """
    rest = budget.total - (dense if budget.dense == "included" else 0)
    most = int(rest / share + SLACK)
    refusal: UserError | None = None
    for epochs in range(most, 0, -1):
        try:
            spent = trained_epochs(info, sparsity, options, epochs)
        except UserError as error:
            # too few for the method's options, such as an epoch to rewind to; so are fewer
            refusal = error
            break
        if spent is None:
            raise ValueError(f"budget: {info.name} has rounds of its own and does not say how many epochs they train")
        if spent * share <= rest + SLACK:
            return epochs
    after = f", {rest:g} after the dense training of {dense}" if rest != budget.total else ""
    why = f" ({refusal})" if refusal is not None else ""
    raise ValueError(f"budget of {budget.total:g} epochs{after}: no whole epoch of {info.name} fits{why}")


def ledger(budget: Budget, rows: Sequence[Row]) -> list[Line]:
    """A line for each row and sparsity that is run, in the order of the study; a plain dense training is one too."""
    found: dict[tuple[str, float], Line] = {}
    for row in rows:
        if row.run is None or (row.label, row.sparsity) in found:
            continue
        dense = row.run.parent.recipe.trained_epochs if row.run.parent is not None else 0
        own = planned_epochs(row.run)
        spent = own * row.epoch_share + (dense if budget.dense == "included" else 0)
        line = Line(
            row.label, row.sparsity, dense, own, row.epoch_share, spent, max(0.0, round(budget.total - spent, 9))
        )
        found[row.label, row.sparsity] = line
    return list(found.values())


def ledger_lines(budget: Budget, lines: Sequence[Line]) -> list[str]:
    """As `plan` prints them: a line for the sparsities of a row that spend the same."""
    unit = "epochs"
    if budget.unit == "macs":
        unit = "dense epochs' multiply-adds (by `macs_share`, or density; `table --kind cost` shows what was met)"
    found: dict[tuple[str, str], list[str]] = {}
    for line in lines:
        found.setdefault((line.label, line.told), []).append(f"{round(line.sparsity * 100, 6):g}%")
    return [
        f"budget         {budget.total:g} {unit}; dense training {budget.dense}; rounded down to whole epochs",
        *(
            f"  {label}{f' at {at}' if (at := ', '.join(targets)) != '0%' else ''}: {told}"
            for (label, told), targets in found.items()
        ),
    ]


def ledger_as_dict(budget: Budget, lines: Sequence[Line]) -> dict[str, Any]:
    """For `plan --json`."""
    return {**budget.model_dump(), "rows": [asdict(line) for line in lines]}
