"""Results as one tidy frame: a row for each run of a study. Tables and figures read the store through it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Set
from typing import Any

import pandas as pd

from ...datasets.registry import shown_name
from ..runs.run import Run
from ..runs.run_code import code_digest
from ..runs.run_folder import Status
from ..runs.store import Store
from ..studies.age import Ages
from ..studies.load import Row, Study
from .failures import MACHINE_FAULT, OWN_FAULT

COLUMNS: dict[str, str] = {
    "study": "name of the study",
    "id": "run id",
    "label": "row of the tables: method with its options",
    "method": "registered name",
    "options": "method options other than defaults, as JSON",
    "dataset": "data set",
    "model": "network",
    "target": "sparsity asked for, fraction of the prunable weights",
    "seed": "seed of the run and of its dense training",
    "retrain_seed": "seed of the order of the data in the run's own training; differs between retrainings of one seed",
    "parent": "id of the dense training it starts from",
    "state": "done, failed, running, interrupted, missing, damaged or not run",
    "reason": "why it failed, is damaged or is not run",
    "fault": "of a failed run, whose: run (tables count it at chance level) or machine (computed again); else missing",
    "sparsity": "sparsity reached, fraction of all prunable weights",
    "kept": "prunable weights kept",
    "prunable": "prunable weights of the network",
    "parameters": "all parameters of the network before pruning",
    "outside": "parameters that are neither prunable nor biases nor normalisation, by what holds them, as JSON",
    "explored": "share of the weights of pruned layers that a mask of the run's own training ever kept (ITOP's R_s)",
    "empty_layers": "layers without a weight",
    "smallest_layer_density": "density of the emptiest layer",
    "accuracy_before": "test accuracy before pruning",
    "accuracy_pruned": "test accuracy straight after pruning",
    "accuracy_last": "test accuracy of the last epoch",
    "accuracy_last5": "mean test accuracy of the last five epochs, of those at the final sparsity",
    "accuracy_selected": "test accuracy of the epoch chosen on the validation split",
    "accuracy_best_test": "best test accuracy over epochs (the paper's protocol; optimistic)",
    "selection_effect": "what the best test epoch has more than the last one: accuracy_best_test - accuracy_last",
    "start_weights": "external: the network's weights are from a file, whose training may have seen the validation "
    "split; own: it is trained here",
    "top5_last": "top-5 test accuracy of the last epoch, where there are more than 10 classes",
    "validation": "validation accuracy of the chosen epoch",
    "macs_dense": "multiply-adds of the dense network for one input",
    "macs_sparse": "multiply-adds weighted by layer density",
    "macs_pruned": "fraction of multiply-adds removed",
    "macs_products": "multiply-adds of activations with each other (attention) for one input; in none of the others",
    "epochs": "epochs of the run's own training",
    "epochs_total": "with those of the shared dense training",
    "train_macs": "multiply-adds computed in training, dense training included",
    "train_macs_sparse": "the same on a machine that skips zeros",
    "train_macs_scoring": "multiply-adds of scores: forward and backward passes of the samples that they drew",
    "macs_share": "multiply-adds of an epoch of its own training on a machine that skips zeros, as a share of the "
    "dense network's",
    "seconds": "wall time of the run",
    "processes": "processes that computed the run together, each with a device of its own",
    "train_seconds": "of it, in training steps",
    "prune_seconds": "of it, in scores and mask decisions",
    "mask_seconds": "of it, in keeping pruned weights at zero",
    "peak_memory_bytes": "peak memory",
    "device": "device by name",
    "host": "host name",
    "revision": "git revision of the code",
    "code": "digest of the code of method and network, and of a weights file; missing where not recorded",
    "outdated": "what of it is another now: method, network, weights, dataset, start (dense training); missing "
    "if nothing",
    "data": "fingerprint of the data and its splits",
    "changed_since_submission": "1: computed by a job whose code had changed since it was submitted, 0: it had not; "
    "missing if no job computed it",
}
"""Name and meaning of every column; the export's schema."""


def study_frame(study: Study, store: Store) -> pd.DataFrame:
    """One row for each run of the study, stored or not; columns as in COLUMNS. Numbers of other runs are missing."""
    existing = store.existing(study.name)
    ages = Ages(study.name, store)
    records = [_record(study, row, store, existing, ages) for row in study.rows]
    return pd.DataFrame(records, columns=list(COLUMNS))


def _record(study: Study, row: Row, store: Store, existing: Set[str], ages: Ages) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "study": study.name,
        "label": row.label,
        "method": row.method,
        "options": json.dumps(dict(row.options)),
        "dataset": shown_name(study.file.dataset.name, study.file.dataset.options),
        "model": study.file.model.name,
        "target": row.sparsity,
    }
    if row.run is None:
        return {**plain, "state": "not run", "reason": row.not_run}
    plain["start_weights"] = start_weights(row.run)
    plain |= {"id": row.run.id, "seed": row.seed, "retrain_seed": row.retrain_seed}
    plain["parent"] = row.run.parent.id if row.run.parent else None
    # One listing instead of a look at every folder: most runs of a new study are simply not there.
    result = store.result(study.name, row.run) if row.run.id in existing else None
    if result is None:
        status = store.status(study.name, row.run) if row.run.id in existing else Status("missing")
        return {**plain, **status_columns(status)}
    outdated = " ".join(ages.of(row.run, result)) or None
    return {**plain, "state": "done", "reason": "", **result_columns(result), "outdated": outdated}


def status_columns(status: Status) -> dict[str, Any]:
    """The columns of a run without a result."""
    failed = {"fault": MACHINE_FAULT if status.retryable else OWN_FAULT} if status.state == "failed" else {}
    return {"state": status.state, "reason": status.reason, **failed}


def start_weights(run: Run) -> str:
    """Whose weights the network of a run begins with."""
    return "external" if dict(run.model_options).get("weights") else "own"


def result_columns(result: Mapping[str, Any]) -> dict[str, Any]:
    """The measured columns of one stored result."""
    accuracy, sparsity, macs, cost = result["accuracy"], result["sparsity"], result["macs"], result["cost"]
    parent = cost["parent"] or {"epochs": 0, "macs": 0, "sparse_macs": 0}
    return {
        "sparsity": sparsity["achieved"],
        "kept": sparsity["kept"],
        "prunable": sparsity["prunable"],
        # older results have the parameters of the finished network only, which may be a smaller one
        "parameters": sparsity.get("parameters_before", sparsity["parameters"]),
        "outside": json.dumps(sparsity["outside"], sort_keys=True) if "outside" in sparsity else None,
        "explored": sparsity.get("explored"),  # not in results from before it was recorded
        "empty_layers": len(sparsity["empty_layers"]),
        "smallest_layer_density": sparsity["smallest_layer_density"],
        **{f"accuracy_{key}": accuracy[key] for key in ("before", "pruned", "last", "selected", "best_test")},
        # not in results from before it was stored; see last_epochs.py
        "accuracy_last5": accuracy.get("last5"),
        "selection_effect": None if accuracy["best_test"] is None else accuracy["best_test"] - accuracy["last"],
        "top5_last": accuracy["last_top5"],
        "validation": accuracy["selected_validation"],
        "macs_dense": macs["dense"],
        "macs_sparse": macs["sparse"],
        "macs_pruned": macs["pruned"],
        "macs_products": macs.get("products", 0),  # older results are of networks without attention
        "epochs": cost["epochs"],
        "epochs_total": cost["epochs"] + parent["epochs"],
        "train_macs": cost["macs"] + parent["macs"],
        "train_macs_sparse": cost["sparse_macs"] + parent["sparse_macs"],
        # not in results from before it was counted
        "train_macs_scoring": cost.get("scoring_macs"),
        "macs_share": _macs_share(result),
        **{key: cost[key] for key in ("seconds", "train_seconds", "prune_seconds", "mask_seconds")},
        # not in results from before several processes could compute a run
        "processes": result["provenance"].get("processes", 1),
        "peak_memory_bytes": cost["peak_memory_bytes"],
        "device": result["provenance"]["device_name"],
        "host": result["provenance"]["host"],
        "revision": result["provenance"]["revision"],
        "code": code_digest(result["provenance"].get("code")),
        "data": result["data"]["fingerprint"],
        # not in results from before it was recorded
        "changed_since_submission": result["provenance"].get("changed_since_submission"),
    }


def _macs_share(result: Mapping[str, Any]) -> float | None:
    cost = result["cost"]
    dense = 3 * result["macs"]["dense"] * result["data"]["train"] * cost["epochs"]
    return cost["sparse_macs"] / dense if dense else None
