"""The report: one HTML file with everything in it, which opens without network and server."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from typing import Any

from .. import __version__
from ..analysis.accuracy import ACCURACIES, UNRANKED
from ..analysis.frame_type import Frame
from ..analysis.groups import has_pruned
from ..analysis.interval_text import points
from ..analysis.latency_frame import is_measured
from ..analysis.older import SET_ASIDE
from ..analysis.published import has_published
from ..analysis.study_results import StudyResults, read_results
from ..plots.style import MAX_BANDS
from ..runs.run import Recipe
from ..runs.store import Store
from ..studies.load import Study
from ..studies.tune_schema import TuneFile
from ..tables.caption import prunable_sentence
from ..tables.formats.to_html import to_html
from ..tables.kinds import OF_PRUNED, OF_SOME, make_table
from ..tables.table import Table
from .answer import answer
from .data import MAX_ROWS, pack_results, report_data, stored_results
from .reproduce import Asked as Asked
from .reproduce import facts, steps
from .template import asset, embed_json, template

SCRIPTS = (
    "report_page.js", "report_download.js", "report_chart.js", "report_sort.js", "report_table.js", "report_run.js",
)  # fmt: skip


def html_report(study: Study, store: Store, asked: Asked, accuracy: str = "last") -> str:
    """The page as text. Names and reasons are escaped; nothing in it is fetched from anywhere."""
    found, results = read_results(study, store), stored_results(study, store)
    data = report_data(found, results, accuracy, asked.command("run"))
    return template(__package__ or "", "report.html").render(
        title=study.file.title or study.name,
        study=study.name,
        question=study.file.question,
        version=__version__,
        counts=_counts(found.runs),
        answer=answer(found, accuracy),
        difference=points,
        is_empty=not results,
        commands={verb: asked.command(verb) for verb in ("plan", "run", "report")},
        prepare=shlex.join(["prunebench", "prepare", asked.study]),
        num_runs=len(study.runs),
        max_bands=MAX_BANDS,
        max_rows=MAX_ROWS,
        has_many_rows=len(data["labels"]) > MAX_ROWS,
        protocol=_protocol(study, found.frame),
        recipes=_recipes(study),
        tables=_tables(found, accuracy) if results else [],
        failures=_failures(study, store, found.runs),
        steps=steps(asked, results),
        versions=facts(results),
        study_yaml=_study_yaml(study),
        data=embed_json(data),
        raw=pack_results(study.name, results),
        style=asset("report.css"),
        scripts=[asset(name) for name in SCRIPTS],
    )


def _counts(runs: Frame) -> dict[str, int]:
    """Runs by state, in the order of importance."""
    found = Counter(runs["state"])
    known = ("done", SET_ASIDE, "failed", "running", "interrupted", "missing", "not run")
    return {state: found[state] for state in known if found[state]}


def _protocol(study: Study, frame: Frame) -> list[tuple[str, str]]:
    file = study.file
    share = f"{file.validation:.0%} of the training set" if file.validation else "none, so no selected epoch"
    return [
        ("Data set", _named(file.dataset.name, file.dataset.options)),
        ("Network", _named(file.model.name, file.model.options)),
        ("Seeds", ", ".join(str(seed) for seed in sorted({row.seed for row in study.rows if row.run is not None}))),
        ("Validation split", share),
        *([("Tuning", _tuning(study.file.tune))] if study.file.tune else []),
        ("What sparsity counts", prunable_sentence(frame)),
        *((f"Accuracy “{name}”", text) for name, text in ACCURACIES.items()),
    ]


def _tuning(tune: TuneFile) -> str:
    """How many trials each row gets, and where their values come from."""
    seeds, tracks = ", ".join(map(str, tune.seeds)), " and ".join(tune.all_tracks)
    return (
        f"{tune.budget} trials of each row and sparsity on seeds {seeds}, track {tracks}, drawn from search seed "
        f"{tune.search_seed}; chosen on validation and frozen in selection.json before the evaluation"
    )


def _named(name: str, options: dict[str, Any]) -> str:
    return f"{name} {json.dumps(options)}" if options else name


def _recipes(study: Study) -> list[tuple[str, str]]:
    """Each training recipe of the study, defaults included, with the rows that use it."""
    users: dict[Recipe, dict[str, None]] = {}
    for row in study.rows:
        if row.run is not None:
            users.setdefault(row.run.recipe, {})[row.label] = None
            if row.run.parent is not None:
                users.setdefault(row.run.parent.recipe, {})["dense training before pruning"] = None
    return [
        (", ".join(labels), ", ".join(f"{key} = {value}" for key, value in vars(recipe).items()))
        for recipe, labels in users.items()
    ]


def _tables(found: StudyResults, accuracy: str) -> list[tuple[str, str]]:
    """(Heading, HTML) of every table; the main accuracy first, ours beside printed numbers where there are any."""
    study, store = found.study, found.store

    def table(kind: str, accuracy: str = accuracy, against: str | None = None) -> Table:
        return make_table(kind, study, store, accuracy, against=against, frame=found.runs)

    chosen = [("Accuracy", table("accuracy"))]
    if has_published(study):
        chosen.append(("Ours beside the paper", table("accuracy", against="published")))
    kinds = {"macs": "Multiply-adds", "pareto": "Accuracy beside multiply-adds", "paired": "Paired differences"}
    kinds |= {"latency": "Latency"} if is_measured(found) else {}
    kinds |= {"cost": "Cost", "selection": "The accuracies beside each other", "rank": "Ranks"}
    headings = {"connectivity": "Connectivity", "regimes": "Regimes", "regime-choices": "Choices by regime"}
    headings |= {"tuning": "Default and tuned", "trials": "Trials", "tuning-curve": "Accuracy by number of trials"}
    kinds |= {kind: headings[kind] for kind, has in OF_SOME.items() if has(study)}
    left_out = () if has_pruned(found.runs) else OF_PRUNED
    left_out = (*left_out, "rank") if accuracy in UNRANKED else left_out
    chosen += [
        *((heading, table(kind)) for kind, heading in kinds.items() if kind not in left_out),
        *((f"Accuracy, {name.replace('_', ' ')}", table("accuracy", name)) for name in ACCURACIES if name != accuracy),
    ]
    shown = [(heading, to_html(made)) for heading, made in chosen]
    return [*shown, *([("Trials and their curve", _tuning_image(study, store, accuracy))] if study.file.tune else [])]


def _tuning_image(study: Study, store: Store, accuracy: str) -> str:
    """The figure of the trials, within the page."""
    import base64

    from ..plots.kinds import figure_bytes, figures

    (figure,) = figures("tuning", [study], store, accuracy).values()
    content = base64.b64encode(figure_bytes(figure, ["png"])["png"]).decode()
    text = (
        "Validation accuracy of all trials, and test accuracy by number of trials; the tables above have the numbers."
    )
    return f'<img class="figure" alt="{text}" src="data:image/png;base64,{content}">'


def _failures(study: Study, store: Store, runs: Frame) -> list[dict[str, str]]:
    """Runs that are neither stored nor simply missing, and rows that the study only lists."""
    found = []
    for row, record in zip(study.rows, runs.to_dict("records"), strict=True):
        if record["state"] in ("done", "missing"):
            continue
        folder = store.folder(study.name, row.run) if row.run is not None else None
        found.append(
            {
                "run": row.run.id if row.run is not None else "",
                "label": row.label,
                "sparsity": f"{row.sparsity * 100:g} %",
                "seed": f"{row.seed}{f', retraining {row.retrain_seed}' * bool(row.retrain_seed)}" if row.run else "",
                "state": record["state"],
                "reason": record["reason"] or "",
                "log": str(folder.log_path if folder.log_path.exists() else folder.path / "attempts") if folder else "",
                "command": f"prunebench logs {row.run.id}" if row.run is not None else "",
            }
        )
    return found


def _study_yaml(study: Study) -> str:
    """The study file with `extends` and `--set` applied, so that it needs no other file."""
    import yaml

    return yaml.safe_dump(study.source.data, sort_keys=False, allow_unicode=True, width=110)
