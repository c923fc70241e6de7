"""Make or renew the folder of a study under results/reference: records, tables, figures and the tidy export.

    python tools/reference.py fashion-full --results RESULTS
    python tools/reference.py table6 --results RESULTS --data "HAR-2, rebuilt from HAPT's raw signals"

Written are `runs/` (a record of each stored run and of each measured pair), `runs.csv`, tables under all three
protocols of accuracy, the costs, the differences to the first row where the study prunes, one sorted table where it has
several sparsities, figures, and, where retrainings are compared, `pairs.csv` with its tables.
`croissant.json`, which describes the files of all studies, is renewed as well (see `croissant.py`).
README.md is written by hand; its numbers are held to these files by `sentences.py`. `--data` is said under every table
and figure, where the data are a copy or a reconstruction of those that the study names.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import croissant
from differences_figure import differences_figure
from protocols_figure import protocols_figure
from prunebench.benchmark.analysis.bits import has_bits
from prunebench.benchmark.analysis.export import export_bytes
from prunebench.benchmark.analysis.frame import study_frame
from prunebench.benchmark.analysis.frame_type import Frame
from prunebench.benchmark.analysis.groups import has_pruned
from prunebench.benchmark.analysis.pair_frame import pair_frame
from prunebench.benchmark.analysis.published import has_published
from prunebench.benchmark.analysis.retrainings import mean_retrainings
from prunebench.benchmark.exchange.pairs import write_pair_records
from prunebench.benchmark.exchange.records import write_records
from prunebench.benchmark.plots.kinds import figures, save_figure, standard_kinds
from prunebench.benchmark.runs.files import write_atomically
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.load import Study, load_study
from prunebench.benchmark.studies.pairs import pairs_of
from prunebench.benchmark.studies.plan import with_parents
from prunebench.benchmark.tables.kinds import OF_PAIRS, make_table, render
from sorted_table import sorted_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parent.parent
PROTOCOLS = {"last": "accuracy", "selected": "accuracy-selected", "best_test": "accuracy-best-test"}

DIFFERENCES = {"Global MP": "differences-one-shot", "Global MP (gradual)": "differences-gradual"}
"""The rows that others are drawn against, in studies with several sparsities."""


def make_folder(study: Study, store: Store, folder: Path, data: str = "") -> Frame:
    """Write everything but the README; the frame of the study's runs is returned."""
    write_records(study.name, with_parents(study.runs), store, folder / "runs")
    if study.file.measure:
        write_pair_records(study.name, [pair.runs for pair in pairs_of(study.rows)], store, folder / "runs")
    frame = study_frame(study, store)
    write_atomically(folder / "runs.csv", export_bytes(frame, "csv"))
    if study.file.measure:
        write_atomically(folder / "pairs.csv", export_bytes(pair_frame(study, store), "csv"))
    for name, text in _tables(study, store, frame):
        write_atomically(folder / f"{name}.md", (f"{text}\nData: {data}.\n" if data else text).encode())
    for name, figure in _figures(study, store, frame):
        if data:
            figure.text(0.01, -0.02, f"Data: {data}", fontsize=7, color="0.35", va="top")
        save_figure(figure, folder / name, formats=("png",))
    return frame


def _figures(study: Study, store: Store, frame: Frame) -> Iterator[tuple[str, Figure]]:
    """The usual ones; where nothing has a sparsity to be drawn over, the three protocols of accuracy."""
    is_complete = set(frame["state"]) <= {"done", "not run"}
    has_sparsities = frame["target"].max() > 0
    if not has_sparsities:
        yield "protocols", protocols_figure(mean_retrainings(frame))
    for label, name in DIFFERENCES.items():
        if len(set(frame[(frame["label"] == label) & (frame["state"] == "done")]["target"])) > 1:
            yield name, differences_figure(frame, label)
    for kind in standard_kinds(study):
        if kind in ("accuracy", "pareto", "layers") and not has_sparsities:
            continue
        if kind == "training" and not is_complete:
            continue  # it would show the epochs of unfinished runs
        # the paper's numbers are those of the best test epoch
        accuracy = "best_test" if kind == "published" else "last"
        yield from ((name, figure) for (_, name), figure in figures(kind, [study], store, accuracy).items())


def _tables(study: Study, store: Store, frame: Frame) -> Iterator[tuple[str, str]]:
    def table(kind: str, accuracy: str = "last", against: str | None = None) -> str:
        return render(make_table(kind, study, store, accuracy, against=against, frame=frame), "md")

    for accuracy, name in PROTOCOLS.items():
        yield name, table("accuracy", accuracy)
    if has_bits(study):
        yield "bits", table("bits")
    yield "cost", table("cost")
    yield "pareto", table("pareto")
    yield from ((kind, table(kind)) for kind, has in OF_PAIRS.items() if has(study))
    if has_pruned(frame):
        yield "paired", table("paired")
    if frame["target"].nunique() > 2:
        yield "sorted", sorted_table(mean_retrainings(frame))
    if has_published(study):
        yield "published", table("accuracy", "best_test", "published")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study")
    parser.add_argument("--results", type=Path, default=ROOT / "results")
    parser.add_argument("--into", type=Path, default=ROOT / "results" / "reference")
    parser.add_argument("--data", default="", help="what the data really are, said under tables and figures")
    chosen = parser.parse_args()
    study = load_study(chosen.study)
    frame = make_folder(study, Store(chosen.results), chosen.into / study.name, chosen.data)
    done = int((frame["state"] == "done").sum())
    if chosen.into.resolve() == croissant.REFERENCE:
        croissant.renew()
    print(f"{chosen.into / study.name}: {done} of {len(frame)} rows are done")


if __name__ == "__main__":
    main()
