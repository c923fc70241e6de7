"""The training of a run in its folder: history, checkpoints, resume and stop."""

from __future__ import annotations

import json
import time
from typing import Any

import torch

from ..api.errors import Damaged
from ..runs.artifacts import load_checkpoint, save_checkpoint, save_history
from ..runs.damage import set_aside
from ..runs.recompute import NEW_HISTORY, is_asked
from ..runs.run import Run, derive_seed
from ..runs.run_code import differences
from . import distributed
from .checkpoint import restore, training_state
from .cuda_graph import GraphLog
from .epoch_log import EpochLog, curves_of, open_log
from .loop import Training
from .measure import kept_by_layer
from .own_process import leave_if_forked
from .same_data import check_checkpoint
from .setup import Setup
from .watch import Interrupted, Watch


def training_seed(run: Run) -> int:
    """The seed of the order of the data and of noise such as dropout."""
    retraining = (run.retrain_seed,) if run.retrain_seed else ()
    return derive_seed(run.seed, "dense" if run.parent is None else "pruned", *retraining)


class Session:
    """Trains a run from its start or its last checkpoint.

    `code` and `start` are those that the run began with: a checkpoint may have them from another process.
    """

    def __init__(self, setup: Setup, watch: Watch, begin: float) -> None:
        """`begin` is the time.perf_counter() at which this process began with the run."""
        self.setup, self.watch, self._begin = setup, watch, begin
        self.code, self.start = setup.code, setup.start.digest
        self.history: list[dict[str, Any]] = []
        self.resumed = 0
        self._seconds_before = 0.0
        self._log: EpochLog | None = None
        folder = setup.folder
        self.history_path = folder.path / NEW_HISTORY if folder.result_path.exists() else folder.history_path
        run = setup.run
        self.training = Training(
            model=setup.model,
            pruner=setup.pruner,
            data=setup.data,
            recipe=run.recipe,
            seed=training_seed(run),
            device=setup.device,
            clock=setup.clock,
            compile=setup.settings.compile,
            graph=GraphLog(setup.settings.cuda_graph),
            dense_epochs=run.parent.recipe.trained_epochs if run.parent else None,
        )

    @property
    def seconds(self) -> float:
        """Spent on the run so far, in all processes that worked on it one after the other."""
        return self._seconds_before + time.perf_counter() - self._begin

    def train(self) -> None:
        """All rounds that are left. Raises Interrupted after a stop."""
        leave_if_forked()
        try:
            self.training.run(self._after_epoch, self._resume())
        finally:
            leave_if_forked()
            if self._log is not None:
                self._log.close()

    def _after_epoch(self, record: dict[str, Any], optimizer: torch.optim.Optimizer) -> None:
        epoch = self.training.progress.epoch
        record |= self._density()
        self.history.append(record)
        if distributed.is_leader():
            self.watch.check()
            with self.history_path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
            self._add_to_log(len(self.history), record)
            self.watch.on_epoch(record)
        is_stopping = distributed.agreed(self.watch.stop())
        if is_stopping or epoch % self.setup.settings.checkpoint_every == 0:
            self._save_checkpoint(optimizer)
        if is_stopping:
            raise Interrupted(f"stopped after epoch {epoch} of {self.setup.run.recipe.trained_epochs}")

    def _density(self) -> dict[str, Any]:
        """The current density and multiply-adds of the network."""
        setup = self.setup
        counts = kept_by_layer(setup.model, setup.pruner)
        kept, total = (sum(pair[i] for pair in counts.values()) for i in (0, 1))
        macs = sum(setup.model_macs[name] * part / whole for name, (part, whole) in counts.items())
        return {"density": kept / total, "macs": macs}

    def _save_checkpoint(self, optimizer: torch.optim.Optimizer) -> None:
        if not distributed.is_leader():
            return
        self.watch.check()
        setup = self.setup
        state = {
            **training_state(self.training, optimizer),
            "history": self.history,
            "seconds": self.seconds,
            "clock": setup.clock.seconds(),
            "resumed": self.resumed,
            "scored": setup.scored.count,
            "data": {"fingerprint": setup.data.fingerprint, "root": setup.origin.root},
            "code": self.code,
            "start": self.start,
        }
        save_checkpoint(setup.folder.checkpoint_path, setup.run.id, state)

    def _resume(self) -> dict[str, Any] | None:
        """Restore from the checkpoint, if there is one, and return the optimiser's state."""
        setup = self.setup
        path = setup.folder.checkpoint_path
        try:
            state = load_checkpoint(path, setup.run.id, setup.device)
        except (FileNotFoundError, Damaged) as error:
            if isinstance(error, Damaged) and distributed.is_leader():
                self.watch.on_note(set_aside(error))
            self._rewrite_history([])
            return None
        check_checkpoint(state, path, setup.origin)
        has_changed = bool(differences(state.get("code"), self.code))
        if is_asked(setup.folder) and (has_changed or state.get("start") != self.start):
            # The checkpoint leads to the result that is to be replaced.
            self._rewrite_history([])
            return None
        if has_changed:
            self.code = {**self.code, "changed": True}
        # A checkpoint of an earlier version does not record its code: that of the result is not known then.
        self.code = self.code if state.get("code") else {}
        self.start = state.get("start")
        self._seconds_before, self.resumed = state["seconds"], state["resumed"] + 1
        setup.clock.restore(state["clock"])
        # the pruner is attached anew, and may have drawn again what it drew before
        setup.scored.count = state.get("scored", 0)
        optimizer_state = restore(self.training, state)
        self._rewrite_history(state["history"])
        return optimizer_state

    def _rewrite_history(self, records: list[dict[str, Any]]) -> None:
        self.history = list(records)
        if distributed.is_leader():
            self.watch.check()
            save_history(self.history_path, records)
            setup = self.setup
            self._log = open_log(setup.settings.log, setup.settings.results / setup.study, setup.run)
            for step, record in enumerate(records, 1):
                self._add_to_log(step, record)

    def _add_to_log(self, step: int, record: dict[str, Any]) -> None:
        if self._log is not None:
            self._log.add(step, curves_of(record))
