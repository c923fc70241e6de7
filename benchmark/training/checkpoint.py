"""The tensors of a training that was stopped: what a resumed one must have to end with the same bits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from .loop import Training


def training_state(training: Training, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Network, optimiser, pruner and progress: tensors and plain data, in the keys of a checkpoint."""
    progress = training.progress
    return {
        "model": training.model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "pruner": training.pruner.state_dict(),
        "position": [progress.round, progress.epoch],
        "before": progress.before,
        "pruned": progress.pruned,
        "explored": training.explored.masks,
        "rate_factor": progress.rate_factor,
    }


def restore(training: Training, state: Mapping[str, Any]) -> dict[str, Any]:
    """Bring a new training, whose pruner is attached, to the state; returns the optimiser's, for `Training.run`."""
    training.model.load_state_dict(state["model"])
    training.pruner.load_state_dict(state["pruner"])
    progress = training.progress
    progress.round, progress.epoch = state["position"]
    progress.before, progress.pruned = state["before"], state["pruned"]
    training.explored.restore(state.get("explored"))
    # checkpoints of earlier versions have none
    progress.rate_factor = state.get("rate_factor", 1.0)
    return state["optimizer"]
