"""Curves of a training for TensorBoard or Weights & Biases, whose packages are loaded only where they are asked for.

Every start of a run writes its curve anew, from the first epoch of its checkpoint on: a resumed curve has no gap, no
epoch twice, and none that was computed after the checkpoint and is lost.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from ..api.errors import UserError
from ..runs.run import Run, to_dict
from ..runs.settings import Log

POSITION = ("round", "epoch")
"""Keys of an epoch that say where it is; the others are curves. Rounds count their epochs anew, a curve does not."""


class EpochLog(Protocol):
    """Where the epochs of one run go. `step` counts the epochs of all rounds from 1."""

    def add(self, step: int, curves: Mapping[str, float]) -> None: ...

    def close(self) -> None: ...


def check_log(log: Log) -> None:
    """Raises UserError if the package that the log needs is not installed. Loads nothing."""
    if log == "none":
        return
    spec = importlib.util.find_spec(log)
    # A folder of that name, as wandb makes them, is found as a package without an origin.
    if spec is None or spec.origin is None:
        raise UserError(f"--log {log}: the package {log!r} is not installed; pip install 'prunebench[{log}]'")


def open_log(log: Log, study_folder: Path, run: Run) -> EpochLog | None:
    """The log of a run, empty; what an earlier start of it wrote is removed. None where nothing is logged."""
    if log == "none":
        return None
    check_log(log)
    return {"tensorboard": _TensorBoard, "wandb": _Wandb}[log](study_folder / log, run)


def curves_of(record: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of an epoch's record: losses, accuracies, rate, density and multiply-adds, those that it has."""
    return {name: value for name, value in record.items() if name not in POSITION and value is not None}


def _name(run: Run) -> str:
    """`snip-0.95-seed1-<id>`: sorted by method in a list of runs."""
    return f"{run.method}-{run.sparsity:g}-seed{run.seed}-{run.id}"


class _TensorBoard:
    """Event files in `FOLDER/<run>`; `tensorboard --logdir FOLDER` shows all runs of the study."""

    def __init__(self, folder: Path, run: Run) -> None:
        from torch.utils.tensorboard import SummaryWriter

        place = folder / _name(run)
        if place.exists():
            shutil.rmtree(place)
        self._writer = SummaryWriter(str(place))
        self._writer.add_text("configuration", f"```json\n{json.dumps(to_dict(run), indent=1)}\n```")

    def add(self, step: int, curves: Mapping[str, float]) -> None:
        for name, value in curves.items():
            self._writer.add_scalar(name, value, step)
        # An epoch is seen when it is over, and is not lost with the process.
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class _Wandb:
    """An offline run in `FOLDER/offline-run-<time>-<id>`; `wandb sync` sends it from a machine with a network."""

    def __init__(self, folder: Path, run: Run) -> None:
        wandb: Any = importlib.import_module("wandb")
        for earlier in folder.glob(f"offline-run-*-{run.id}"):
            shutil.rmtree(earlier)
        folder.mkdir(parents=True, exist_ok=True)
        # wandb makes a folder of its own name in `dir`. Its console output and its wrapper of ours are switched off.
        self._run = wandb.init(
            project=f"prunebench-{folder.parent.name}", id=run.id, name=_name(run), dir=str(folder.parent),
            config=to_dict(run), mode="offline", settings=wandb.Settings(silent=True, console="off"),
        )  # fmt: skip

    def add(self, step: int, curves: Mapping[str, float]) -> None:
        self._run.log(dict(curves), step=step)

    def close(self) -> None:
        self._run.finish()
