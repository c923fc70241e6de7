"""One accuracy beside the others: what choosing an epoch changes, and what choosing it on the test set pretends."""

from __future__ import annotations

from ..analysis.frame_type import Frame
from ..analysis.groups import Group, heading, split_groups, subject
from ..analysis.spread import Stat
from ..runs.eligible import LAST_EPOCHS
from ..runs.run import DENSE
from .caption import common_caption, external_sentence, has_uneven_counts, sentences
from .cell import measured_cell
from .table import Column, Roles, Table, TableRow

COLUMNS = {
    "accuracy_last": "last epoch",
    "accuracy_last5": f"mean of last {LAST_EPOCHS} epochs",
    "accuracy_selected": "best on validation",
    "accuracy_best_test": "paper protocol: best TEST epoch (selected on test, optimistic)",
    "selection_effect": "selection effect",
}


def selection_table(frame: Frame, stat: Stat = "std", chance: float | None = None) -> Table:
    """A block for each sparsity and one of dense training; nothing is marked: columns are compared, not rows."""
    dense = frame[frame["method"] == DENSE]
    blocks = [Group(str(label), 0.0, rows) for label, rows in dense.groupby("label", sort=False)]
    groups = split_groups(frame)
    pruned = [group for target in groups.targets for group in groups.members.values() if group.target == target]
    shows_count = has_uneven_counts(frame)

    def row(group: Group, block: str) -> TableRow:
        cells = (
            measured_cell(group, name, stat, chance if index == 0 else None, shows_count=shows_count and index == 0)
            for index, name in enumerate(COLUMNS)
        )
        return TableRow(label=group.label, cells=tuple(cells), block=block, is_reference=block == DENSE)

    return Table(
        name="selection",
        title=f"Test accuracy (%) of {subject(frame)} by the epoch that it is of",
        corner="Method",
        columns=tuple(Column(heading=name) for name in COLUMNS.values()),
        rows=(*(row(group, DENSE) for group in blocks), *(row(group, heading(group.target)) for group in pruned)),
        caption=sentences(
            "Rows are ranked by the last epoch, which needs no choice, or by the epoch of the best validation accuracy "
            "(the first on ties). The best test epoch is chosen on the test set: it is optimistic, stands here because "
            "papers print it, and ranks nothing. The selection effect is what it has more than the last epoch. Epochs "
            "before the final sparsity is reached take no part; of fewer than "
            f"{LAST_EPOCHS} epochs the mean is of all.",
            external_sentence(frame),
            *common_caption(frame, stat),
        ),
        facts={"stat": stat},
        roles=Roles(block="sparsity", heading="measure"),
    )
