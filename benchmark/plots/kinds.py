"""Figures by kind, and their files: the same results give the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

from ..analysis.frame_type import Frame
from ..analysis.groups import check_pruned, has_pruned, subject
from ..analysis.older import age_sentences
from ..analysis.published import has_published, rows_for
from ..analysis.regime_cells import regime_map
from ..analysis.spread import Stat, check_stat
from ..analysis.study_results import StudyResults, read_results
from ..api.errors import UserError, unknown
from ..runs.files import write_atomically
from ..runs.run import DENSE
from ..runs.store import Store
from ..studies.load import Study
from .accuracy import accuracy_figure
from .layers import layers_figure
from .pareto import pareto_figure
from .published import published_figure
from .ranks import critical_figure, ranks_figure
from .regimes import regimes_figure
from .style import style
from .training import training_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("png", "pdf")
OF_ONE_STUDY: dict[str, Callable[[StudyResults, str, Stat], Figure]] = {
    "accuracy": lambda found, accuracy, stat: accuracy_figure(found.frame, accuracy, stat),
    "pareto": lambda found, accuracy, stat: pareto_figure(found.frame, accuracy, stat),
    "layers": lambda found, *_: layers_figure(found.layers, subject(found.frame)),
    "training": lambda found, *_: training_figure(found.epochs, subject(found.frame)),
    "published": lambda found, accuracy, stat: published_figure(
        found.study, found.frame, rows_for(found.study, "published"), accuracy, stat
    ),
    "regimes": lambda found, *_: regimes_figure(regime_map(found), subject(found.frame)),
}
OF_ALL_STUDIES: dict[str, Callable[[Frame, str], Figure]] = {"ranks": ranks_figure, "critical": critical_figure}
KINDS = ("accuracy", "pareto", "layers", "training", "ranks", "critical", "published", "regimes")
OF_PRUNED = ("layers", "training", "ranks", "critical", "regimes")
"""Figures of pruned rows; the others show dense trainings alone as well."""


def check_kind(kind: str | None) -> None:
    """Raises UserError for an unknown kind of plot."""
    if kind is not None and kind not in KINDS:
        raise unknown("kind of plot", kind, KINDS)


def figures(
    kind: str | None, studies: Sequence[Study], store: Store, accuracy: str = "last", stat: str = "std"
) -> dict[tuple[str, str], Figure]:
    """Figures by (name of the study, kind); without a kind those that the studies have results for.

    Raises UserError for an unknown kind, accuracy or stat, and for a kind of OF_PRUNED without pruned rows.
    """
    chosen = check_stat(stat)
    check_kind(kind)
    results = [read_results(study, store) for study in studies]
    frames = [found.frame for found in results]
    made: dict[tuple[str, str], Figure] = {}
    for found in results:
        for name in [kind] if kind else standard_kinds(found.study):
            if name in OF_ONE_STUDY:
                _check_pruned(name, [found.frame])
                figure = OF_ONE_STUDY[name](found, accuracy, chosen)
                made[found.study.name, name] = _with_age(figure, [found.frame])
    is_ranked = any(has_pruned(found.frame) and found.study.file.three_regime is None for found in results)
    for name in [kind] if kind else ["ranks"]:
        if name in OF_ALL_STUDIES and (kind or is_ranked):
            _check_pruned(name, frames)
            figure = OF_ALL_STUDIES[name](_joined(frames), accuracy)
            made["+".join(study.name for study in studies), name] = _with_age(figure, frames)
    return made


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


def standard_kinds(study: Study) -> list[str]:
    """Kinds drawn for each study by default; the critical-difference diagram needs settings of several studies."""
    if study.file.three_regime is not None:
        # a line for each value of the knob would hide what is asked
        return ["regimes"]
    of_pruned = ["layers", "training"] if any(row.method != DENSE for row in study.rows) else []
    return ["accuracy", "pareto", *of_pruned, *(["published"] if has_published(study) else [])]


def _check_pruned(kind: str, frames: Sequence[Frame]) -> None:
    """Raises UserError for a figure of pruned rows where there are none."""
    if kind in OF_PRUNED:
        check_pruned(f"--kind {kind} draws", frames, [known for known in KINDS if known not in OF_PRUNED])


def save_figure(figure: Figure, stem: Path, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Write STEM.png and STEM.pdf without dates or versions in them. Raises UserError if they cannot be written."""
    # matplotlib would write its version and the time: files must differ only where results do.
    metadata = {"png": {"Software": None}, "pdf": {"CreationDate": None, "Producer": None, "Creator": None}}
    with style():
        # The layout takes longer than drawing, and is the same for every format.
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        box = figure.get_tightbbox().padded(0.05)
    paths = []
    for format in formats:
        buffer = BytesIO()
        with style():
            figure.savefig(buffer, format=format, metadata=metadata[format], bbox_inches=box)
        path = stem.with_name(f"{stem.name}.{format}")
        try:
            write_atomically(path, buffer.getvalue())
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror}") from error
        paths.append(path)
    return paths
