"""What the HTML report embeds: runs, curves, layers and training histories as compact plain data."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from typing import Any

from ..analysis.accuracy import ACCURACIES
from ..analysis.curves import curves_of, dense_levels
from ..analysis.frame_type import Frame
from ..analysis.groups import Groups, split_groups
from ..analysis.leaders import leaders
from ..analysis.long_frames import epochs_of
from ..analysis.spread import spread
from ..analysis.study_results import StudyResults
from ..plots.style import MAX_BANDS, PALETTE, looks
from ..runs.run import to_dict
from ..runs.store import Store
from ..studies.load import Row, Study

MAX_ROWS = 13
"""Most rows that the chart shows at first; of more, those that are best or second at a sparsity."""

MAX_EPOCHS = 120
"""Most points of a training curve that are embedded; of a longer one every n-th and the last."""

SHOWN = (
    "id", "label", "method", "target", "seed", "retrain_seed", "state", "reason", "sparsity", "empty_layers",
    "accuracy_before", "accuracy_pruned", "accuracy_last", "accuracy_selected", "accuracy_best_test", "macs_pruned",
    "epochs", "seconds", "device", "host", "revision", "outdated", "data", "parent",
)  # fmt: skip
"""Columns of the frame that the page shows of a run."""

DASHES = {"-": "", "--": "6 3", "-.": "7 3 2 3", ":": "2 3"}


def report_data(
    found: StudyResults, results: Mapping[str, Mapping[str, Any]], accuracy: str, command: str
) -> dict[str, Any]:
    """Everything that the page's script draws; what is not stored is left out.

    `accuracy` is the one shown first, `command` computes the study.
    """
    study, store, means = found.study, found.store, found.frame
    look, groups = looks(means), split_groups(means)
    shown = _shown_first(groups, accuracy)
    networks: list[dict[str, Any]] = []
    pairs = zip(study.rows, _records(found.runs), strict=True)
    return {
        "study": study.name,
        "command": command,
        "accuracy": accuracy,
        "accuracies": ACCURACIES,
        "targets": groups.targets,
        "labels": [
            {
                "name": label,
                "color": look[label].color,
                "dash": DASHES.get(look[label].line, "6 1 1 1"),
                "shown": label in shown,
            }
            for label in groups.labels
        ],
        "palette": PALETTE[:2],
        "max_bands": MAX_BANDS,
        "curves": {name: _curves(means, name) for name in ACCURACIES},
        "dense": {name: _dense(means, name) for name in ACCURACIES},
        "runs": [_run(study, store, row, record, results, networks) for row, record in pairs],
        "networks": networks,
    }


def _shown_first(groups: Groups, accuracy: str) -> set[str]:
    if len(groups.labels) <= MAX_ROWS:
        return set(groups.labels)
    found = leaders(groups, f"accuracy_{accuracy}", None)
    best = {group.label for leader in found for group in (leader.best, leader.runner_up) if group is not None}
    return best or set(groups.labels[:MAX_ROWS])


def stored_results(study: Study, store: Store) -> dict[str, dict[str, Any]]:
    """Every stored result of the study by run id, dense trainings included."""
    from ..studies.plan import with_parents

    found = {run.id: store.result(study.name, run) for run in with_parents(study.runs)}
    return {run_id: result for run_id, result in found.items() if result is not None}


def pack_results(study: str, results: Mapping[str, Mapping[str, Any]]) -> str:
    """Results as base64 of gzipped JSON; the same results make the same text."""
    text = json.dumps({"study": study, "results": list(results.values())})
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def _records(frame: Frame) -> list[dict[str, Any]]:
    """Rows of the frame as plain data; missing values become None."""
    return json.loads(frame.to_json(orient="records", double_precision=10))


def _curves(frame: Frame, accuracy: str) -> dict[str, list[list[float | int | None]]]:
    """For each label points of [target, mean, standard deviation, half of the 95 % t-interval, runs], in percent."""
    curves = curves_of(frame, f"accuracy_{accuracy}", "std")
    return {
        label: [
            [p.target, round(p.mean, 4), _rounded(p.spread), _rounded(spread(p.values, "ci")), len(p.values)]
            for p in points
        ]
        for label, points in curves.items()
    }


def _dense(frame: Frame, accuracy: str) -> list[tuple[str, float]]:
    """(Row, mean in percent) of dense trainings."""
    levels = dense_levels(frame, f"accuracy_{accuracy}")
    return [(level.label, round(level.mean, 4)) for level in levels if level.mean is not None]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _run(
    study: Study,
    store: Store,
    row: Row,
    record: Mapping[str, Any],
    results: Mapping[str, Mapping[str, Any]],
    networks: list[dict[str, Any]],
) -> dict[str, Any]:
    """One run: the columns of the frame that the page shows, its layers, its history and its folder."""
    # what a failed run counts in means is no accuracy that it has
    known = SHOWN if record["state"] != "failed" else [key for key in SHOWN if not key.startswith("accuracy_")]
    plain = {key: record[key] for key in known if record[key] is not None}
    if row.run is None:
        return plain
    folder = store.folder(study.name, row.run)
    plain["only"] = f"--only method={row.method} --only sparsity={row.sparsity:g} --only seed={row.seed}"
    if row.retrain_seed:
        plain["only"] += f" --only retrain_seed={row.retrain_seed}"
    plain |= {"folder": str(folder.path), "spec": to_dict(row.run)}
    plain["history"] = _history(epochs_of(store, folder, results.get(row.run.id)))
    if row.run.id in results:
        return plain | _layers(results[row.run.id], networks)
    return plain | {"log": str(folder.log_path)} if folder.log_path.exists() else plain


def _layers(result: Mapping[str, Any], networks: list[dict[str, Any]]) -> dict[str, Any]:
    """Weights kept by layer; names and sizes are stored once for all runs of the same network."""
    layers = result["layers"]
    network = {key: [layer[key] for layer in layers] for key in ("name", "total", "macs")}
    if network not in networks:
        networks.append(network)
    return {"network": networks.index(network), "kept": [layer["kept"] for layer in layers]}


def _history(records: Sequence[Mapping[str, Any]]) -> list[list[float | int | None]]:
    """[epoch, validation accuracy, test accuracy, density] of at most MAX_EPOCHS epochs."""
    step = max(1, -(-len(records) // MAX_EPOCHS))
    chosen = [record for i, record in enumerate(records) if i % step == 0 or i == len(records) - 1]
    return [
        [r["epoch"] + 1, *(_rounded(r[key]) for key in ("validation_accuracy", "test_accuracy", "density"))]
        for r in chosen
    ]
