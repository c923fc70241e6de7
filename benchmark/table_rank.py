"""Ranks of methods: in each setting and sparsity, and the mean over settings."""

from __future__ import annotations

from .cells import Cell, Column, Note, Table, TableRow
from .report_types import Frame
from .run import DENSE
from .statistics_ranks import cell_ranks, rank_test, setting_scores
from .table_caption import ACCURACIES, accuracy_column, missing_sentence, prunable_sentence, seeds_sentence
from .table_cells import percent

PARTIAL = "not in all settings and sparsities, so without a mean rank"


def rank_table(frame: Frame, accuracy: str = "last") -> Table:
    """Ranks by mean accuracy; `frame` may hold several studies, one (data set, model) each being one setting."""
    column, missing = accuracy_column(accuracy), missing_sentence(frame)
    pruned = frame[(frame["method"] != DENSE) & (frame["state"] == "done")]
    ranks = cell_ranks(pruned, column)
    test = rank_test(setting_scores(ranks)) if len(ranks) else None
    places = list(ranks[["dataset", "model", "target"]].drop_duplicates().itertuples(index=False, name=None))
    places.sort(key=lambda place: (place[0], place[1], place[2]))
    lookup = {(r.dataset, r.model, r.target, r.label): r.rank for r in ranks.itertuples()}
    means = test.mean_ranks if test else {}
    shown = [*means, *(label for label in dict.fromkeys(pruned["label"]) if label not in means)]
    rows = [
        TableRow(label=label, cells=(_mean(means.get(label)), *(_rank(lookup.get((*p, label))) for p in places)))
        for label in shown
    ]
    return Table(
        name="rank",
        title="Ranks by test accuracy, 1 is best",
        corner="Method",
        columns=(
            Column(heading="mean rank"),
            *(Column(heading=percent(target), group=f"{model} on {dataset}") for dataset, model, target in places),
        ),
        rows=tuple(rows),
        caption=(
            f"By the mean over seeds of the {ACCURACIES[accuracy]}"  # pyright: ignore[reportArgumentType]
            "; equal means share a rank. A setting is one data set with one network: its sparsities are averaged "
            "before settings are counted.",
            seeds_sentence(frame),
            prunable_sentence(frame),
            *([missing] if missing else []),
            test.sentence() if test else "No run is stored.",
        ),
    )


def _mean(value: float | None) -> Cell:
    return Cell(text="–", notes=(Note("†", PARTIAL),)) if value is None else Cell(value=value, digits=2)


def _rank(value: float | None) -> Cell:
    return Cell(text="–") if value is None else Cell(value=value, digits=1)
