"""The trials of each search: spread of their validation accuracies, their cost, and the values that were chosen."""

from __future__ import annotations

from ..analysis.frame_type import Frame
from ..analysis.groups import heading, subject
from ..analysis.tuning import FAILED, Tuned, Tuning
from .caption import prunable_sentence, sentences
from .table import Cell, Column, Note, Roles, Table, TableRow
from .tuning import protocol

UNUSABLE = "trials that failed, collapsed or kept more weights than the row is to keep; none of them is ever chosen"
NO_CHOICE = "no trial was usable, so the row keeps the study's own values"


def trials_table(found: Tuning, frame: Frame) -> Table:
    """A row for each search, in blocks by sparsity and track."""
    both = len(found.tune.all_tracks) == 2
    columns = [
        *(Column(heading=each, group="validation accuracy (%)") for each in ("best", "median", "worst")),
        *(Column(heading=each, group="trials") for each in ("number", "unusable", "epochs")),
        Column(heading="chosen values"),
    ]
    return Table(
        name="trials",
        title=f"Trials of {subject(frame)}",
        corner="Method",
        columns=tuple(columns),
        rows=tuple(
            TableRow(
                label=tuned.search.label,
                block=heading(tuned.search.sparsity) + f", track {tuned.search.track}" * both,
                cells=(*_spread(tuned), *_counts(tuned)),
            )
            for tuned in sorted(found.found, key=lambda each: (each.search.track, each.search.sparsity))
        ),
        caption=sentences(
            "Validation accuracies are means over the tuning seeds; a trial that failed is the worst. Epochs are those "
            "of all trials together, without dense trainings.",
            *protocol(found),
            prunable_sentence(frame),
        ),
        facts={"selection": found.selection["hash"] if found.selection else None},
        roles=Roles(block="sparsity", heading="measure"),
    )


def _spread(tuned: Tuned) -> list[Cell]:
    if not tuned.validation:
        return [Cell(text="–")] * 3
    values = (max(tuned.validation), tuned.median, min(tuned.validation))
    return [Cell(text="failed") if value == FAILED else Cell(value=100 * value) for value in values]


def _counts(tuned: Tuned) -> list[Cell]:
    """Number of trials, unusable ones, epochs of all of them, and the values that were chosen."""
    number = Cell(value=float(len(tuned.search.trials)), digits=0)
    if tuned.choice is None:
        return [number, Cell(text="–"), Cell(text="–"), Cell(text="not chosen")]
    unusable = (Note("⊙", UNUSABLE),) * bool(tuned.num_unusable)
    where = tuned.search.label, heading(tuned.search.sparsity)
    kept = () if tuned.choice["is_usable"] else (Note("∅", NO_CHOICE, *where),)
    known = [
        Cell(value=float(tuned.num_unusable), digits=0, notes=unusable),
        Cell(value=float(tuned.epochs), digits=0),
    ]
    return [
        number,
        *(known if tuned.validation else [Cell(text="–")] * 2),
        Cell(text=spelled(tuned), notes=kept),
    ]


def spelled(tuned: Tuned) -> str:
    """The chosen values in words: `trial 3: lr=0.05, weight_decay=0.0003`."""
    if tuned.choice is None:
        return ""
    values = {**tuned.choice["train"], **tuned.choice["options"]}
    shown = ", ".join(f"{name}={value}" for name, value in values.items())
    return f"trial {tuned.choice['trial']}: {shown or 'default'}"
