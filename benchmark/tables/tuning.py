"""What tuning brought: default and tuned accuracy of each row, the oracle apart, and how both grow with the trials."""

from __future__ import annotations

from collections.abc import Mapping

from ..analysis.accuracy import ACCURACIES, accuracy_column
from ..analysis.frame_type import Frame
from ..analysis.groups import Group, heading, subject
from ..analysis.spread import Stat
from ..analysis.tuning import Tuned, Tuning
from ..analysis.verdict import compare_groups
from .caption import common_caption, sentences
from .cell import measured_cell
from .paired import difference_cell
from .table import Cell, Column, Note, Roles, Table, TableRow

ON_TEST = Note("⊗", "oracle, chosen on the TEST set: the best mean of a trial over the tuning seeds; never ranked")


def tuning_table(
    found: Tuning, frame: Frame, accuracy: str = "last", stat: Stat = "std", chance: float | None = None
) -> Table:
    """A row for each row of the study, in blocks by sparsity; nothing in it is ranked."""
    names = [f"tuned ({track})" for track in found.tune.all_tracks]
    columns = ["default", *names, *[f"{name} − default" for name in names], *["B − A"] * (len(names) == 2), "oracle"]
    column = accuracy_column(accuracy)
    return Table(
        name="tuning",
        title=f"Test accuracy (%) of {subject(frame)}, default and tuned",
        corner="Method",
        columns=tuple(Column(heading=each) for each in columns),
        rows=tuple(
            TableRow(label=label, block=heading(sparsity), cells=tuple(_cells(by_track, column, stat, chance)))
            for (sparsity, label), by_track in found.cells.items()
        ),
        caption=sentences(
            f"{ACCURACIES[accuracy][0].upper()}{ACCURACIES[accuracy][1:]}, on the seeds of the study, which no trial "
            "has. Differences are means over pairs of runs with the same seed (their number in brackets), ± half the "
            "width of the 95 % Student-t interval.",
            *protocol(found),
            *common_caption(frame, stat),
        ),
        facts={"selection": found.selection["hash"] if found.selection else None, "accuracy": accuracy},
        roles=Roles(block="sparsity", heading="setting", measure="accuracy (%)"),
    )


def protocol(found: Tuning) -> list[str]:
    """How the values were chosen."""
    tune, selection = found.tune, found.selection
    told = [
        f"Each row gets {tune.budget} trials at each sparsity, the first with the study's own values, on "
        f"{len(tune.seeds)} tuning {'seed' if len(tune.seeds) == 1 else 'seeds'}; the trial with the best mean "
        "validation accuracy is chosen, of equal ones the cheapest."
    ]
    if "B" in tune.all_tracks and tune.on is not None:
        names = " and ".join(each.name for each in (tune.on.dataset, tune.on.model) if each is not None)
        told.append(f"Track A tunes on the data and network shown, track B on {names}.")
    if selection is None:
        return [*told, "Nothing is chosen yet."]
    told.append(f"Frozen before the evaluation as selection {selection['hash']}.")
    if number := len(selection["replaced"]):
        what = "1 choice frozen before was" if number == 1 else f"{number} choices frozen before were"
        told.append(f"{what} replaced by these.")
    return told


def _cells(by_track: Mapping[str, Tuned], column: str, stat: Stat, chance: float | None) -> list[Cell]:
    found = list(by_track.values())
    own = found[0].own
    cells = [measured_cell(own, column, stat, chance)]
    cells += [_chosen_cell(each, column, stat, chance) for each in found]
    cells += [_difference(each.chosen, own, column) for each in found]
    if len(found) == 2:
        cells.append(_difference(by_track["B"].chosen, by_track["A"].chosen, column))
    cells.append(_oracle_cell(by_track.get("A")))
    return cells


def _chosen_cell(tuned: Tuned, column: str, stat: Stat, chance: float | None) -> Cell:
    return Cell(text="not chosen") if tuned.choice is None else measured_cell(tuned.chosen, column, stat, chance)


def _difference(first: Group | None, second: Group | None, column: str) -> Cell:
    return difference_cell(compare_groups(first, second, column).interval)


def _oracle_cell(tuned: Tuned | None) -> Cell:
    if tuned is None or tuned.oracle is None:
        return Cell(text="–")
    return Cell(value=100 * tuned.oracle, notes=(ON_TEST,))


def curve_table(
    found: Tuning, frame: Frame, accuracy: str = "last", stat: Stat = "std", chance: float | None = None
) -> Table:
    """Test accuracy of the choice among the first N trials; a column for each N, blocks by sparsity and track."""
    numbers = sorted({1, *found.tune.trials})
    both, column = len(found.tune.all_tracks) == 2, accuracy_column(accuracy)
    return Table(
        name="tuning-curve",
        title=f"Test accuracy (%) of {subject(frame)} by number of trials",
        corner="Method",
        columns=tuple(Column(heading=f"{number} trial{'s' * (number > 1)}") for number in numbers),
        rows=tuple(
            TableRow(
                label=label,
                block=heading(sparsity) + f", track {track}" * both,
                cells=tuple(measured_cell(tuned.curve[number], column, stat, chance) for number in numbers),
            )
            for (sparsity, label), by_track in found.cells.items()
            for track, tuned in by_track.items()
        ),
        caption=sentences(
            f"{ACCURACIES[accuracy][0].upper()}{ACCURACIES[accuracy][1:]} with the values chosen on validation among "
            "the first trials; one trial is the study's own values.",
            *common_caption(frame, stat),
        ),
        facts={"accuracy": accuracy},
        roles=Roles(block="sparsity", heading="setting", measure="accuracy (%)"),
    )
