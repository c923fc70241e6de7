"""Figures by kind, and their files: the same results give the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

from ..analysis.bits import check_bits, has_bits
from ..analysis.frame_type import Frame
from ..analysis.groups import check_pruned, has_pruned, subject
from ..analysis.latency_frame import is_measured
from ..analysis.older import age_sentences
from ..analysis.published import has_published, rows_for
from ..analysis.regime_cells import regime_map
from ..analysis.spread import Stat, check_stat
from ..analysis.study_results import StudyResults, read_results
from ..analysis.tuning import read_tuning
from ..api.errors import UserError, unknown
from ..runs.files import write_atomically
from ..runs.run import DENSE
from ..runs.store import Store
from ..studies.load import Study
from .accuracy import accuracy_figure
from .bits import bits_figure
from .latency import latency_figure
from .layers import layers_figure
from .pareto import pareto_figure
from .published import published_figure
from .ranks import critical_figure, ranks_figure
from .regimes import regimes_figure
from .style import style
from .training import training_figure
from .tuning import tuning_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("png", "pdf")


@dataclass(frozen=True)
class Choices:
    """What a user chooses about a figure; `highlight` are labels, of which the others are grey if there are any."""

    accuracy: str
    stat: Stat
    highlight: frozenset[str]


OF_ONE_STUDY: dict[str, Callable[[StudyResults, Choices], Figure]] = {
    "accuracy": lambda found, asked: accuracy_figure(found.frame, asked.accuracy, asked.stat, asked.highlight),
    "bits": lambda found, asked: bits_figure(found.frame, asked.accuracy, asked.stat, asked.highlight),
    "pareto": lambda found, asked: pareto_figure(found.frame, asked.accuracy, asked.stat, asked.highlight),
    "layers": lambda found, asked: layers_figure(found.layers, subject(found.frame), asked.highlight),
    "training": lambda found, asked: training_figure(found.epochs, subject(found.frame), asked.highlight),
    "published": lambda found, asked: published_figure(
        found.study, found.frame, rows_for(found.study, "published"), asked.accuracy, asked.stat, asked.highlight
    ),
    "latency": lambda found, asked: latency_figure(found, asked.highlight),
    "regimes": lambda found, _: regimes_figure(regime_map(found), subject(found.frame)),
    "tuning": lambda found, asked: tuning_figure(read_tuning(found, asked.accuracy), found.frame, asked.accuracy),
}
OF_ALL_STUDIES: dict[str, Callable[[Frame, Choices], Figure]] = {
    "ranks": lambda frame, asked: ranks_figure(frame, asked.accuracy, asked.highlight),
    "critical": lambda frame, asked: critical_figure(frame, asked.accuracy, asked.highlight),
}
KINDS = (
    "accuracy", "bits", "pareto", "latency", "layers", "training", "ranks", "critical", "published", "regimes",
    "tuning",
)  # fmt: skip
OF_PRUNED = ("layers", "training", "ranks", "critical", "regimes", "tuning")
"""Figures of pruned rows; the others show dense trainings alone as well."""


def check_kind(kind: str | None) -> None:
    """Raises UserError for an unknown kind of plot."""
    if kind is not None and kind not in KINDS:
        raise unknown("kind of plot", kind, KINDS)


def figures(
    kind: str | None,
    studies: Sequence[Study],
    store: Store,
    accuracy: str = "last",
    stat: str = "std",
    highlight: Sequence[str] = (),
) -> dict[tuple[str, str], Figure]:
    """Figures by (name of the study, kind); without a kind those that the studies have results for.

    `highlight` names labels or methods, the rows of which are in colour before the others in grey.

    Raises UserError for an unknown kind, accuracy, stat or row, and for a kind of OF_PRUNED without pruned rows.
    """
    check_kind(kind)
    results = [read_results(study, store) for study in studies]
    frames = [found.frame for found in results]
    asked = Choices(accuracy, check_stat(stat), labels_named(frames, highlight) if highlight else frozenset())
    made: dict[tuple[str, str], Figure] = {}
    for found in results:
        for name in [kind] if kind else _drawn(found):
            if name in OF_ONE_STUDY:
                check_pruned(name, "draws", [found.frame], KINDS, OF_PRUNED)
                if name == "bits":
                    check_bits(found.study)
                if name == "training" and not _trains(found.study):
                    raise UserError(
                        f"--kind training draws epochs after pruning; no row of {found.study.name!r} has any"
                    )
                figure = OF_ONE_STUDY[name](found, asked)
                made[found.study.name, name] = _with_age(figure, [found.frame])
    is_ranked = any(has_pruned(found.frame) and found.study.file.three_regime is None for found in results)
    for name in [kind] if kind else ["ranks"]:
        if name in OF_ALL_STUDIES and (kind or is_ranked):
            check_pruned(name, "draws", frames, KINDS, OF_PRUNED)
            figure = OF_ALL_STUDIES[name](_joined(frames), asked)
            made["+".join(study.name for study in studies), name] = _with_age(figure, frames)
    return made


def labels_named(frames: Sequence[Frame], names: Sequence[str]) -> frozenset[str]:
    """The labels of pruned rows that are named, or whose method is. Raises UserError for a name of neither."""
    rows = _joined(frames)[["label", "method"]].drop_duplicates()
    pruned = [(str(label), str(method)) for label, method in rows.itertuples(index=False) if method != DENSE]
    known = {name for pair in pruned for name in pair}
    for name in names:
        if name not in known:
            raise unknown("row to highlight", name, known)
    return frozenset(label for label, method in pruned if {label, method} & set(names))


def _joined(frames: Sequence[Frame]) -> Frame:
    import pandas as pd

    return pd.concat(frames, ignore_index=True)


def _with_age(figure: Figure, frames: Sequence[Frame]) -> Figure:
    """With a line below about older results and other data: a figure is often shown without its table."""
    sentences = [sentence for frame in frames for sentence in age_sentences(frame)]
    if sentences:
        text = "\n".join(line for sentence in sentences for line in wrap(sentence, 110))
        figure.text(0.01, -0.02, text, fontsize=7, color="0.35", va="top")
    return figure


def _drawn(found: StudyResults) -> list[str]:
    return [*standard_kinds(found.study), *(["latency"] if is_measured(found) else [])]


def standard_kinds(study: Study) -> list[str]:
    """Kinds drawn for each study by default; the critical-difference diagram needs settings of several studies."""
    if study.file.three_regime is not None:
        # a line for each value of the knob would hide what is asked
        return ["regimes"]
    of_pruned = ["layers"] if any(row.method != DENSE for row in study.rows) else []
    of_pruned += ["training"] if _trains(study) else []
    of_some = [*(["published"] if has_published(study) else []), *(["tuning"] if study.file.tune else [])]
    of_text = ["bits"] if has_bits(study) else []
    return [*of_text, "accuracy", "pareto", *of_pruned, *of_some]


def _trains(study: Study) -> bool:
    """Whether any epoch of any row is after pruning or from initialisation: else there is no curve."""
    return any(row.method != DENSE and (row.run is None or row.run.recipe.epochs > 0) for row in study.rows)


def figure_bytes(figure: Figure, formats: Sequence[str] = FORMATS) -> dict[str, bytes]:
    """The figure by format, without dates or versions in it."""
    # matplotlib would write its version and the time: files must differ only where results do.
    metadata = {"png": {"Software": None}, "pdf": {"CreationDate": None, "Producer": None, "Creator": None}}
    with style():
        # The layout takes longer than drawing, and is the same for every format.
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        box = figure.get_tightbbox().padded(0.05)
    made = {}
    for format in formats:
        buffer = BytesIO()
        with style():
            figure.savefig(buffer, format=format, metadata=metadata[format], bbox_inches=box)
        made[format] = buffer.getvalue()
    return made


def save_figure(figure: Figure, stem: Path, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Write STEM.png and STEM.pdf. Raises UserError if they cannot be written."""
    paths = []
    for format, content in figure_bytes(figure, formats).items():
        path = stem.with_name(f"{stem.name}.{format}")
        try:
            write_atomically(path, content)
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror}") from error
        paths.append(path)
    return paths
