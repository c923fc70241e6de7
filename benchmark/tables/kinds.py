"""Tables by kind and by format: the one place that knows all of both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from ...datasets.registry import is_own
from ..analysis.frame_type import Frame
from ..api.errors import UserError, unknown
from .accuracy import accuracy_table
from .cell import STATS, Stat, has_pruned
from .cost import cost_table
from .formats.to_csv import to_csv
from .formats.to_html import to_html
from .formats.to_latex import to_latex
from .formats.to_markdown import to_markdown
from .layers import layers_table
from .multiply_adds import flops_table
from .older import done_ids, set_aside
from .paired import paired_table
from .pareto import macs_table
from .ranks import rank_table
from .table import Table

if TYPE_CHECKING:
    from ..runs.store import Store
    from ..studies.load import Study
    from .published import Measure

Kind = Literal["accuracy", "flops", "macs", "layers", "cost", "rank", "paired"]
KINDS: tuple[Kind, ...] = ("accuracy", "flops", "macs", "layers", "cost", "rank", "paired")
OF_PRUNED: tuple[Kind, ...] = ("rank", "paired")
"""Tables that compare pruned rows; those of the others show dense trainings alone as well."""
FORMATS: dict[str, Callable[[Table], str]] = {
    "md": to_markdown,
    "latex": to_latex,
    "csv": to_csv,
    "html": to_html,
}
SUFFIXES = {"md": ".md", "latex": ".tex", "csv": ".csv", "html": ".html"}


def render(table: Table, format: str) -> str:
    """The table as text. Raises UserError for an unknown format."""
    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    return FORMATS[format](table)


def make_table(
    kind: str,
    study: Study,
    store: Store,
    accuracy: str = "last",
    stat: str = "std",
    against: str | None = None,
    frame: Frame | None = None,
    reference: str | None = None,
) -> Table:
    """Build a table from what is stored, beside printed numbers where `against` names them.

    `frame` is that of `study_frame`, for callers who have it already; `reference` is the row that the others are
    paired with. Raises UserError for an unknown kind, accuracy, stat or reference, for a reference where nothing is
    paired, where there are no printed numbers to stand beside, and for a kind of OF_PRUNED without pruned rows.
    """
    from ..analysis.frame import study_frame

    chosen = check_stat(stat)
    if kind not in KINDS:
        raise unknown("kind of table", kind, KINDS)
    check_reference(kind, reference)
    frame = set_aside(study_frame(study, store) if frame is None else frame)
    if against is not None:
        return _against(kind, study, store, frame, accuracy, chosen, against)
    _check_pruned(kind, frame)
    if kind == "layers":
        from ..analysis.long_frames import layer_frame

        layers = layer_frame(study, store)
        return layers_table(layers[layers["id"].isin(done_ids(frame))], frame, chosen)
    if kind == "cost":
        return cost_table(frame)
    if kind == "rank":
        return rank_table(frame, accuracy)
    if kind == "paired":
        return paired_table(frame, accuracy, reference)
    if kind == "macs":
        return macs_table(frame, accuracy, chosen, chance_accuracy(study, store))
    if kind == "flops":
        return flops_table(frame, chosen, chance_accuracy(study, store))
    return accuracy_table(frame, accuracy, chosen, chance_accuracy(study, store))


def _against(kind: str, study: Study, store: Store, frame: Frame, accuracy: str, stat: Stat, against: str) -> Table:
    from ..analysis.published import rows_for
    from .published import published_table

    measures: dict[str, Measure] = {"accuracy": "accuracy", "flops": "macs_pruned"}
    if kind not in measures:
        raise UserError(f"--against goes with --kind {' or '.join(measures)}, not {kind!r}")
    printed = rows_for(study, against)
    return published_table(study, frame, printed, measures[kind], accuracy, stat, chance_accuracy(study, store))


def _check_pruned(kind: str, frame: Frame) -> None:
    """Raises UserError for a comparison of pruned rows where there is none."""
    if kind in OF_PRUNED and not has_pruned(frame):
        names = ", ".join(repr(name) for name in dict.fromkeys(frame["study"]))
        others = ", ".join(known for known in KINDS if known not in OF_PRUNED)
        raise UserError(
            f"--kind {kind} compares pruned networks, but all runs chosen of {names} are dense trainings; "
            f"known for these: {others}"
        )


def check_reference(kind: str | None, reference: str | None) -> None:
    """Raises UserError for a reference row where the kind of table has none."""
    if reference is not None and kind != "paired":
        shown = "" if kind is None else f", not {kind!r}"
        raise UserError(f"--reference {reference!r} goes with --kind paired{shown}")


def check_stat(stat: str) -> Stat:
    """Raises UserError for another statistic than those of STATS."""
    for known in STATS:
        if stat == known:
            return known
    raise unknown("stat", stat, STATS)


def chance_accuracy(study: Study, store: Store) -> float:
    """Accuracy of always naming the same class, for classes of equal size."""
    from ...datasets.registry import describe

    dataset = study.file.dataset
    if is_own(dataset.name):
        return _stored_chance(study, store)
    return 1 / describe(dataset.name, **dataset.options).num_classes


def _stored_chance(study: Study, store: Store) -> float:
    """Data of one's own need not be where tables are made: the first stored result tells. 0 where there is none."""
    found = next(filter(None, (store.result(study.name, run) for run in study.runs)), None)
    return 0.0 if found is None else 1 / found["data"]["facts"]["num_classes"]


def ranks_over(studies: Sequence[Study], store: Store, accuracy: str = "last") -> Table:
    """The ranks of one or more studies; each (data set, network) is one setting."""
    import pandas as pd

    from ..analysis.frame import study_frame

    frame = pd.concat([set_aside(study_frame(study, store)) for study in studies], ignore_index=True)
    _check_pruned("rank", frame)
    return rank_table(frame, accuracy)
