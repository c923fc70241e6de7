"""The result of a run: what is stored of it, and how it is summarised."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from ...datasets.parts.decode_workers import RUNS_AT_ONCE
from ..api.pruner import Pruner
from ..api.second_pass import SecondPass
from ..models.count_macs import sparse_macs
from ..models.outside import Sizes
from ..runs import provenance
from ..runs.artifacts import save_history, save_masks, save_weights
from ..runs.eligible import at_final_sparsity, mean_of_last
from ..runs.files import SCHEMA, now, write_json
from ..runs.plugins import plugin_sources
from ..runs.recompute import fulfil
from ..runs.run import to_dict
from . import distributed, memory
from .measure import count_layers
from .memory_format import name_of
from .session import Session
from .setup import Setup


def make_result(setup: Setup, session: Session) -> dict[str, Any]:
    """The result of a finished training whose pruner is detached. Evaluates the network on the test set."""
    run, progress = setup.run, session.training.progress
    last = session.training.measure_test()
    layers = count_layers(setup.model, setup.pruner, setup.data.input_shape)
    session.training.explored.note(setup.pruner.masks)
    return {
        "schema": SCHEMA,
        "id": run.id,
        "study": setup.study,
        "run": to_dict(run),
        "parent": run.parent.id if run.parent else None,
        **summarize_accuracy(
            session.history, progress.before, progress.pruned, last, len(setup.data.validation) > 0
        ),
        **summarize_layers(
            layers, run.sparsity, setup.pruner, setup.model, setup.sizes, sum(setup.macs.values()), setup.products,
            session.training.explored.share,
        ),
        "cost": _cost(setup, session),
        "data": _data(setup),
        "provenance": _provenance(setup, session),
    }  # fmt: skip


def store_result(setup: Setup, session: Session, result: dict[str, Any]) -> None:
    """Write masks and weights, then the result with their digests: once it is there, everything is."""
    folder, files = setup.folder, {}
    if setup.pruner.masks is not None:
        files[folder.masks_path.name] = save_masks(folder.masks_path, dict(setup.pruner.masks.items()))
    if setup.run.is_dense or setup.settings.keep_weights:
        facts = save_weights(folder.model_path, setup.model.state_dict())
        files[folder.model_path.name] = facts
        result["provenance"]["weights"]["stored"] = facts["sha256"]
    else:
        folder.model_path.unlink(missing_ok=True)  # of an older result
    # Written again as a whole: the lines in the file may have been damaged since they were appended.
    result["provenance"]["history"] = save_history(folder.history_path, session.history)
    if session.history_path != folder.history_path:
        session.history_path.unlink(missing_ok=True)
    write_json(folder.result_path, {**result, "files": files})
    fulfil(folder)
    folder.checkpoint_path.unlink(missing_ok=True)


def _data(setup: Setup) -> dict[str, Any]:
    data = setup.data
    counts = {"train": len(data.train), "validation": len(data.validation), "test": len(data.test)}
    return {"fingerprint": data.fingerprint, **counts, **({"facts": dict(data.facts)} if data.facts else {})}


def _provenance(setup: Setup, session: Session) -> dict[str, Any]:
    return {
        **provenance.environment(),
        **provenance.device_facts(setup.device),
        "code": session.code,
        "weights": {"start": session.start, "stored": None},
        "data_root": setup.origin.root,
        "submitted_revision": os.environ.get(provenance.SUBMITTED_REVISION),
        "changed_since_submission": _changed_since_submission(),
        "execution": _execution(setup, session),
        "processes": distributed.world(),
        "plugins": plugin_sources(),
        "finished": now(),
    }


def _changed_since_submission() -> bool | None:
    """None for runs that no job of a cluster computes."""
    found = os.environ.get(provenance.CODE_CHANGED)
    return None if found is None else found == "1"


def _execution(setup: Setup, session: Session) -> dict[str, Any]:
    """How it was computed: what changes numbers by rounding, or speed. `runs_at_once` shared the machine's GPUs."""
    return {
        "precision": setup.run.recipe.precision,
        "memory_format": name_of(setup.networks.memory_format),
        "compile": setup.settings.compile,
        "cuda_graph": str(session.training.graph),
        "keeps_freed_memory": setup.keeps_freed,
        "runs_at_once": int(os.environ.get(RUNS_AT_ONCE, "1")),
    }


def _cost(setup: Setup, session: Session) -> dict[str, Any]:
    """Epochs, multiply-adds and seconds of this run; those of the shared dense training are under `parent`.

    Scores count a forward and a backward pass for each training sample that they drew, and methods with a second pass
    in each step count twice.
    """
    parent, spent = setup.start.cost, setup.clock.seconds()
    passes = 2 if isinstance(setup.pruner, SecondPass) else 1
    own = training_cost(session.history, sum(setup.model_macs.values()), passes * len(setup.data.train))
    return {
        **own,
        "parent": {key: parent[key] for key in own} if parent else None,
        "seconds": session.seconds,
        "train_seconds": spent["train"],
        "evaluate_seconds": spent["evaluate"],
        "prune_seconds": spent["prune"],
        "mask_seconds": spent["masks"],
        "peak_memory_bytes": memory.peak(setup.device),
        "resumed": session.resumed,
        "scored_samples": setup.scored.count,
        "scoring_macs": 3 * sum(setup.macs.values()) * setup.scored.count,
    }


def summarize_layers(
    layers: Sequence[Mapping[str, Any]],
    target: float,
    pruner: Pruner,
    model: nn.Module,
    original: Sizes,
    original_macs: int,
    products: int = 0,
    explored: float | None = None,
) -> dict[str, Any]:
    """Sparsity and multiply-adds of a finished network, compared with the network before pruning.

    `original`, `original_macs` and `products`, multiply-adds without a weight (both for one input), are those of the
    network before pruning. `explored`: share of the weights of the pruned layers that a mask ever kept.
    """
    kept = sum(layer["kept"] for layer in layers)
    sparse = sparse_macs({x["name"]: x["macs"] for x in layers}, {x["name"]: x["density"] for x in layers})
    masks = pruner.masks
    parameters = sum(parameter.numel() for parameter in model.parameters())
    zeros = sum(layer["total"] - layer["kept"] for layer in layers)
    densest = min(layers, key=lambda layer: layer["density"])
    return {
        "sparsity": {
            "target": target,
            "achieved": 1 - kept / original.prunable,
            "of_pruned_layers": 1 - masks.num_kept / masks.num_total if masks is not None else None,
            "of_all_parameters": zeros / parameters,
            "explored": explored,
            "kept": kept,
            "prunable": original.prunable,
            "parameters": parameters,
            "parameters_before": original.parameters,
            "outside": dict(original.outside),
            "layers_left_dense": [layer["name"] for layer in layers if masks and layer["name"] not in masks.sites],
            "empty_layers": [layer["name"] for layer in layers if layer["kept"] == 0],
            "smallest_layer_density": densest["density"],
            "smallest_layer": densest["name"],
        },
        "macs": {
            "convention": "multiply-adds with prunable weights, batch 1, no bias, norm or pooling",
            "dense": original_macs,
            "sparse": sparse,
            "pruned": 1 - sparse / original_macs,
            "products": products,
        },
        "layers": list(layers),
    }


def summarize_accuracy(
    history: Sequence[Mapping[str, Any]],
    before: Mapping[str, Any],
    pruned: Mapping[str, Any],
    last: Mapping[str, Any],
    has_validation: bool,
) -> dict[str, Any]:
    """The accuracies of a run under every protocol, as fractions of the test set.

    `last5` is the mean of the last LAST_EPOCHS epochs, which needs no choice and varies less than the last one.
    `selected` is the test accuracy of the epoch with the best validation accuracy (the first on ties). `best_test` is
    the best over epochs, which the paper's code reports. All three take only epochs at the final sparsity. Where no
    epoch is trained there is one network to choose, the last, and no epoch.
    """
    accuracy: dict[str, Any] = {
        "before": before["accuracy"], "pruned": pruned["accuracy"], "last": last["accuracy"],
        "last_top5": last["top5"], "last5": None, "selected": None, "selected_top5": None, "selected_epoch": None,
        "selected_validation": None, "best_test": None, "best_test_epoch": None,
    }  # fmt: skip
    if not history:
        accuracy |= {"last5": last["accuracy"], "best_test": last["accuracy"]}
        if has_validation:
            accuracy |= {"selected": last["accuracy"], "selected_top5": last["top5"]}
    eligible = at_final_sparsity(history)
    if eligible:
        best = max(eligible, key=lambda record: record["test_accuracy"])
        accuracy |= {"best_test": best["test_accuracy"], "best_test_epoch": best["epoch"]}
        accuracy["last5"] = mean_of_last([record["test_accuracy"] for record in eligible])
    if eligible and has_validation:
        chosen = max(eligible, key=lambda record: record["validation_accuracy"])
        accuracy |= {
            "selected": chosen["test_accuracy"], "selected_top5": chosen["test_top5"],
            "selected_epoch": chosen["epoch"], "selected_validation": chosen["validation_accuracy"],
        }  # fmt: skip
    return {"accuracy": accuracy, "loss": {"before": before["loss"], "pruned": pruned["loss"], "last": last["loss"]}}


def training_cost(history: Sequence[Mapping[str, Any]], dense_macs: int, num_samples: int) -> dict[str, Any]:
    """Epochs and multiply-adds of a training. Forward and backward together count as three forward passes.

    `macs` were computed (masks save nothing here); `sparse_macs` would be computed by hardware that skips zeros.
    """
    return {
        "epochs": len(history),
        "macs": 3 * dense_macs * num_samples * len(history),
        "sparse_macs": 3 * num_samples * sum(record["macs"] for record in history),
    }
