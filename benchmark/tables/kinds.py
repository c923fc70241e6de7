"""Tables by kind and by format: the one place that knows all of both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ..analysis.against_controls import controls_sentence
from ..analysis.bits import check_bits, has_bits
from ..analysis.frame_type import Frame
from ..analysis.groups import check_pruned
from ..analysis.published import rows_for
from ..analysis.regime_cells import regime_map
from ..analysis.spread import Stat, check_stat
from ..analysis.study_results import StudyResults, measured_pairs, read_results
from ..analysis.tuning import read_tuning
from ..api.errors import UserError, unknown
from ..runs.store import Store
from ..studies.load import Study
from .accuracy import accuracy_table
from .bits import bits_table
from .connectivity import connectivity_table
from .cost import cost_table
from .formats.to_csv import to_csv
from .formats.to_html import to_html
from .formats.to_latex import to_latex
from .formats.to_markdown import to_markdown
from .latency import latency_table
from .layers import layers_table
from .multiply_adds import macs_table
from .paired import paired_table
from .pareto import pareto_table
from .published import Measure, published_table
from .ranks import rank_table
from .regime_choices import choices_table
from .regimes import regimes_table
from .selection import selection_table
from .table import Table
from .trials import trials_table
from .tuning import curve_table, tuning_table


@dataclass(frozen=True)
class Choices:
    """What a user chooses about a table; `reference` is the row that the others are paired with."""

    accuracy: str
    stat: Stat
    reference: str | None


KINDS: dict[str, Callable[[StudyResults, Choices], Table]] = {
    "accuracy": lambda found, choices: accuracy_table(found.frame, choices.accuracy, choices.stat, found.chance),
    "bits": lambda found, choices: bits_table(
        found.frame, choices.accuracy, choices.stat, found.chance, found.bits_of_chance
    ),
    "macs": lambda found, choices: macs_table(found.frame, choices.stat, found.chance),
    "pareto": lambda found, choices: pareto_table(found.frame, choices.accuracy, choices.stat, found.chance),
    "layers": lambda found, choices: layers_table(found.layers, found.frame, choices.stat),
    "cost": lambda found, _: cost_table(found.runs, found.study.file.budget),
    "selection": lambda found, choices: selection_table(found.filled, choices.stat, found.chance),
    "latency": lambda found, choices: latency_table(found, choices.stat),
    "rank": lambda found, choices: rank_table(found.frame, choices.accuracy),
    "paired": lambda found, choices: paired_table(found.frame, choices.accuracy, choices.reference),
    "connectivity": lambda found, choices: connectivity_table(measured_pairs(found), found.frame, choices.stat),
    "regimes": lambda found, choices: regimes_table(regime_map(found), found.frame, choices.stat),
    "regime-choices": lambda found, choices: choices_table(regime_map(found), found.frame, choices.stat),
    "tuning": lambda found, choices: tuning_table(
        read_tuning(found, choices.accuracy), found.frame, choices.accuracy, choices.stat, found.chance
    ),
    "trials": lambda found, choices: trials_table(read_tuning(found, choices.accuracy), found.frame),
    "tuning-curve": lambda found, choices: curve_table(
        read_tuning(found, choices.accuracy), found.frame, choices.accuracy, choices.stat, found.chance
    ),
}
OF_TEXTS: dict[str, Callable[[Study], bool]] = {"bits": has_bits}
"""Tables of networks that predict bytes, and which studies have them."""
OF_TUNED: dict[str, Callable[[Study], bool]] = {
    "tuning": lambda study: study.file.tune is not None,
    "trials": lambda study: study.file.tune is not None,
    "tuning-curve": lambda study: study.file.tune is not None and len({1, *study.file.tune.trials}) > 2,
}
"""Tables of searches, and which studies have them."""
OF_PAIRS: dict[str, Callable[[Study], bool]] = {
    "connectivity": lambda study: bool(study.file.measure),
    "regimes": lambda study: study.file.three_regime is not None,
    "regime-choices": lambda study: study.file.three_regime is not None,
}
"""Tables of what is measured between retrainings, and which studies have them."""
TUNED = (
    "Rows named '(tuned ...)' have values that were chosen on validation accuracy, on other seeds and before these "
    "runs began: see the tables 'tuning' and 'trials'."
)
"""Below all other tables of a study that tunes."""
OF_SOME = {**OF_TEXTS, **OF_TUNED, **OF_PAIRS}
"""Tables that only some studies have."""
OF_PRUNED = ("rank", "paired", *OF_TUNED, *OF_PAIRS)
"""Tables that compare pruned rows; the others show dense trainings alone as well."""
LED = ("accuracy", "paired", "selection")
"""Tables that lead with the answer on the study's controls."""
MEASURES: dict[str, Measure] = {"accuracy": "accuracy", "macs": "macs_pruned"}
"""The tables that the paper prints numbers for."""
FORMATS: dict[str, Callable[[Table], str]] = {
    "md": to_markdown,
    "latex": to_latex,
    "csv": lambda table: to_csv([table]),
    "html": to_html,
}
SUFFIXES = {"md": ".md", "latex": ".tex", "csv": ".csv", "html": ".html"}


def render(table: Table, format: str, caption: str | None = None, label: str | None = None) -> str:
    """The table as text; `caption` and `label` are those of LaTeX. Raises UserError for an unknown format."""
    check_format(format)
    return to_latex(table, caption, label) if format == "latex" else FORMATS[format](table)


def render_all(tables: Sequence[Table], format: str, caption: str | None = None, label: str | None = None) -> str:
    """Tables one after the other; in CSV one table with the lines of all. Raises UserError for an unknown format."""
    if format == "csv":
        return to_csv(tables)
    return "\n".join(render(table, format, caption, label) for table in tables)


def check_format(format: str) -> None:
    """Raises UserError for an unknown format."""
    if format not in FORMATS:
        raise unknown("format", format, FORMATS)


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

    `frame` is that of `study_frame`, for callers that have it already; `reference` is the row that the others are
    paired with. Raises UserError for an unknown kind, accuracy, stat or reference, for a reference with a kind that
    has none, for printed numbers that do not exist, and for a kind of OF_PRUNED without pruned rows.
    """
    choices = Choices(accuracy, check_stat(stat), reference)
    if kind not in KINDS:
        raise unknown("kind of table", kind, KINDS)
    check_reference(kind, reference)
    if kind in OF_TEXTS:
        check_bits(study)
    found = read_results(study, store, frame)
    lead = controls_sentence(found, accuracy) if kind in LED else ""
    if against is not None:
        return replace(_against(kind, found, choices, against), study=study.name, lead=lead)
    check_pruned(kind, "compares", [found.frame], KINDS, OF_PRUNED)
    made = KINDS[kind](found, choices)
    tuned = (TUNED,) if study.file.tune is not None and kind not in OF_TUNED else ()
    return replace(made, study=study.name, lead=lead, caption=(*made.caption, *tuned))


def _against(kind: str, found: StudyResults, choices: Choices, against: str) -> Table:
    if kind not in MEASURES:
        raise UserError(f"--against goes with --kind {' or '.join(MEASURES)}, not {kind!r}")
    printed = rows_for(found.study, against)
    return published_table(
        found.study, found.frame, printed, MEASURES[kind], choices.accuracy, choices.stat, found.chance
    )


def check_reference(kind: str | None, reference: str | None) -> None:
    """Raises UserError for a reference row with a kind of table that has none."""
    if reference is not None and kind != "paired":
        shown = "" if kind is None else f", not {kind!r}"
        raise UserError(f"--reference {reference!r} goes with --kind paired{shown}")


def ranks_over(studies: Sequence[Study], store: Store, accuracy: str = "last") -> Table:
    """The ranks of one or more studies; each (data set, network) is one setting."""
    import pandas as pd

    frames = [read_results(study, store).frame for study in studies]
    check_pruned("rank", "compares", frames, KINDS, OF_PRUNED)
    made = rank_table(pd.concat(frames, ignore_index=True), accuracy)
    return replace(made, study="+".join(study.name for study in studies))
