"""Ranks of methods: in each setting and sparsity, and their mean over settings."""

from __future__ import annotations

from ..analysis.accuracy import ACCURACIES, UNRANKED, accuracy_column
from ..analysis.failures import is_counted
from ..analysis.frame_type import Frame
from ..analysis.groups import percent, setting
from ..analysis.ranks import CELL, cell_ranks, rank_test, rankable, setting_scores
from ..api.errors import UserError
from ..runs.run import DENSE
from .caption import missing_sentence, prunable_sentence, seeds_sentence, sentences
from .table import Cell, Column, Note, Roles, Table, TableRow

PARTIAL = (
    "not ranked in every setting and sparsity, so without a mean rank; the mean ranks are among the other methods, the "
    "ranks of single columns among all that are in them"
)
NOT_RANKED = (
    "not ranked: the method sets its own sparsity, or the sparsity reached is more than 0.1 points off the target"
)
DEFINITION = (
    "In each column methods are ranked by the mean over seeds of the {accuracy}; equal means share the mean of their "
    "ranks. The mean rank is the mean of these ranks over the sparsities of a setting, and then over settings. A "
    "setting is one data set with one network: its sparsities and seeds are not independent, and do not count as "
    "settings of their own."
)


def rank_table(frame: Frame, accuracy: str = "last") -> Table:
    """Ranks by mean accuracy; `frame` may hold several studies, one (data set, model) each being one setting.

    Raises UserError for an accuracy that is chosen on the test set.
    """
    if accuracy in UNRANKED:
        ranked = " or ".join(name for name in ACCURACIES if name not in UNRANKED)
        raise UserError(f"accuracy {accuracy!r} is chosen on the test set and ranks nothing; rank by {ranked}")
    ranks = cell_ranks(rankable(frame), accuracy_column(accuracy))
    test = rank_test(setting_scores(ranks)) if len(ranks) else None
    places = sorted(ranks[CELL].drop_duplicates().itertuples(index=False, name=None))
    lookup = {(r.dataset, r.model, r.target, r.label): r.rank for r in ranks.itertuples()}
    means = test.mean_ranks if test else {}
    pruned = frame[(frame["method"] != DENSE) & is_counted(frame)]
    is_ranked = set(ranks["label"])
    shown = [*means, *(label for label in dict.fromkeys(pruned["label"]) if label not in means)]
    rows = [
        TableRow(
            label=label,
            cells=(_mean(means.get(label), label in is_ranked), *(_rank(lookup.get((*p, label))) for p in places)),
        )
        for label in shown
    ]
    return Table(
        name="rank",
        title="Ranks by test accuracy, 1 is best",
        corner="Method",
        columns=(
            Column(heading="mean rank", measure="mean rank"),
            *(Column(heading=percent(target), group=setting(dataset, model)) for dataset, model, target in places),
        ),
        rows=tuple(rows),
        roles=Roles(group="setting", measure="rank"),
        caption=sentences(
            DEFINITION.format(accuracy=ACCURACIES[accuracy]),
            seeds_sentence(frame),
            prunable_sentence(frame),
            missing_sentence(frame),
            test.sentence() if test else "No run is stored.",
        ),
    )


def _mean(value: float | None, is_ranked: bool) -> Cell:
    if value is None:
        return Cell(text="–", notes=(Note("†", PARTIAL) if is_ranked else Note("◦", NOT_RANKED),))
    return Cell(value=value, digits=2)


def _rank(value: float | None) -> Cell:
    return Cell(text="–") if value is None else Cell(value=value, digits=1)
