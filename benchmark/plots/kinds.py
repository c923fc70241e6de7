"""Figures by kind, and their files: the same results give the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

from ..analysis.frame_type import Frame
from ..api.errors import UserError, unknown
from ..runs.files import write_atomically
from ..runs.run import DENSE
from ..tables.older import age_sentences, aside_ids, done_ids, set_aside
from .style import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..runs.store import Store
    from ..studies.load import Study
    from ..tables.cell import Stat

FORMATS = ("png", "pdf")
OF_PRUNED = ("layers", "training", "ranks", "critical")
"""Figures that have a line or a place for each pruned row, and none for dense trainings."""
KINDS = ("accuracy", "macs", "layers", "training", "ranks", "critical", "published")


def figures(
    kind: str | None, studies: Sequence[Study], store: Store, accuracy: str = "last", stat: str = "std"
) -> dict[tuple[str, str], Figure]:
    """Figures by (name of the study, kind); without a kind those that the studies have results for.

    Raises UserError for an unknown kind, accuracy or stat, and for a kind of OF_PRUNED without pruned rows.
    """
    from ..analysis.frame import study_frame
    from ..tables.kinds import check_stat

    chosen = check_stat(stat)
    if kind is not None and kind not in KINDS:
        raise unknown("kind of plot", kind, KINDS)
    frames = [set_aside(study_frame(study, store)) for study in studies]
    made: dict[tuple[str, str], Figure] = {}
    for study, frame in zip(studies, frames, strict=True):
        for name in [kind] if kind else standard_kinds(study):
            if name not in ("ranks", "critical"):
                _check_pruned(name, [study])
                made[study.name, name] = _told(_one(name, study, store, frame, accuracy, chosen), [frame])
    for name in [kind] if kind else ["ranks"]:
        if name in ("ranks", "critical") and (kind or any(_has_pruned(study) for study in studies)):
            _check_pruned(name, studies)
            made["+".join(study.name for study in studies), name] = _told(_over(name, frames, accuracy), frames)
    return made


def _told(figure: Figure, frames: Sequence[Frame]) -> Figure:
    """With a line below about results of older code or other data: a figure travels without its table."""
    sentences = [sentence for frame in frames for sentence in age_sentences(frame)]
    if sentences:
        text = "\n".join(line for sentence in sentences for line in wrap(sentence, 110))
        figure.text(0.01, -0.02, text, fontsize=7, color="0.35", va="top")
    return figure


def standard_kinds(study: Study) -> list[str]:
    """What is drawn when no kind is asked for; the critical-difference diagram needs settings of several studies."""
    from ..analysis.published import is_of, published_rows

    number = study.file.published
    has_printed = number is not None and is_of(published_rows(number), study)
    of_pruned = ["layers", "training"] if _has_pruned(study) else []
    return ["accuracy", "macs", *of_pruned, *(["published"] if has_printed else [])]


def _has_pruned(study: Study) -> bool:
    return any(row.method != DENSE for row in study.rows)


def _check_pruned(kind: str, studies: Sequence[Study]) -> None:
    """Raises UserError for a figure of pruned rows where there is none."""
    if kind in OF_PRUNED and not any(_has_pruned(study) for study in studies):
        names = ", ".join(repr(study.name) for study in studies)
        others = ", ".join(known for known in KINDS if known not in OF_PRUNED)
        raise UserError(
            f"--kind {kind} draws pruned networks, but all runs chosen of {names} are dense trainings; "
            f"known for these: {others}"
        )


def _one(kind: str, study: Study, store: Store, frame: Frame, accuracy: str, stat: Stat) -> Figure:
    from ..analysis.long_frames import epoch_frame, layer_frame
    from ..analysis.published import rows_for
    from ..tables.caption import subject
    from . import accuracy as plot_accuracy
    from . import layers as plot_layers
    from . import macs as plot_macs
    from . import published as plot_published
    from . import training as plot_training

    def layers() -> Frame:
        every = layer_frame(study, store)
        return every[every["id"].isin(done_ids(frame))]

    def epochs() -> Frame:
        every = epoch_frame(study, store)
        return every[~every["id"].isin(aside_ids(frame))]

    drawn: dict[str, Callable[[], Figure]] = {
        "accuracy": lambda: plot_accuracy.accuracy_figure(frame, accuracy, stat),
        "macs": lambda: plot_macs.macs_figure(frame, accuracy, stat),
        "layers": lambda: plot_layers.layers_figure(layers(), subject(frame)),
        "training": lambda: plot_training.training_figure(epochs(), subject(frame)),
        "published": lambda: plot_published.published_figure(
            study, frame, rows_for(study, "published"), accuracy, stat
        ),
    }
    return drawn[kind]()


def _over(kind: str, frames: Sequence[Frame], accuracy: str) -> Figure:
    import pandas as pd

    from .ranks import critical_figure, ranks_figure

    frame = pd.concat(frames, ignore_index=True)
    return (ranks_figure if kind == "ranks" else critical_figure)(frame, accuracy)


def save_figure(figure: Figure, stem: Path, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Write STEM.png and STEM.pdf without dates or versions in them. Raises UserError where that is not possible."""
    # Files differ only where results do: matplotlib would write its version and the time.
    metadata = {"png": {"Software": None}, "pdf": {"CreationDate": None, "Producer": None, "Creator": None}}
    with style():
        # The layout is the same for every format, and costs more than drawing.
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
