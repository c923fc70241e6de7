"""One run to one result: dense weights or initialisation -> prune -> train or fine-tune -> evaluate.

The same function computes every run, here or on a cluster, whatever the method.
"""

from __future__ import annotations

import functools
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ...datasets.parts.roots import data_root
from ...datasets.registry import load
from ...methods.registry import create, plugin_sources
from ..api.data import Data
from ..api.errors import Damaged, DeviceMissing
from ..api.masks import find_sites
from ..api.pruner import Context
from ..models.count_macs import count_macs
from ..models.outside import count_parameters
from ..models.registry import create_model
from ..runs import provenance
from ..runs.artifacts import load_checkpoint, load_weights, save_checkpoint, save_history, save_masks, save_weights
from ..runs.damage import print_note, set_aside
from ..runs.recompute import NEW_HISTORY, fulfil, is_asked, is_done
from ..runs.run import Run, derive_seed, to_dict
from ..runs.run_code import CodeReader, differences
from ..runs.settings import Settings, check_device_name
from ..runs.store import SCHEMA, Store, now, write_json
from ..runs.stored_files import digest_of
from . import distributed, memory
from .loop import Clock, Evaluation, Position, Training, evaluate, num_steps
from .measure import (
    check_finite_state,
    check_masks,
    count_layers,
    kept_by_layer,
    scoring_batches,
    scoring_indices,
    summarize_accuracy,
    summarize_layers,
    training_cost,
)
from .memory_format import choose_memory_format, name_of
from .own_process import leave_if_forked, take_process
from .precision import Precision, choose_precision
from .same_data import DataOrigin, check_checkpoint, check_parent
from .sync_batch_norm import synchronize

SUBMITTED_REVISION = "PRUNEBENCH_SUBMITTED_REVISION"
"""Set in jobs of a cluster: the revision at submission, which may be hours older than the code that runs."""


class Interrupted(Exception):
    """A stop was asked for; the checkpoint is written."""


@dataclass(kw_only=True)
class Watch:
    """How the surroundings follow a run and stop it. `stop` is asked after every epoch.


    `check` is called before anything is written; it raises ClaimLost where another process has taken the run over.
    `on_note` is told in one line of what was set aside as damaged.
    """

    check: Callable[[], None] = lambda: None
    on_epoch: Callable[[dict[str, Any]], None] = lambda record: None
    on_note: Callable[[str], None] = print_note
    stop: Callable[[], bool] = lambda: False


@dataclass(kw_only=True)
class Progress:
    """What a resumed run needs beyond tensors: plain data, part of the checkpoint."""

    position: Position = field(default_factory=Position)
    before: dict[str, Any] = field(default_factory=dict)
    pruned: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    resumed: int = 0


def choose_device(name: str) -> torch.device:
    """`auto` takes a GPU where there is one. Raises UserError for an unknown name, DeviceMissing for one not there."""
    check_device_name(name)
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda":
        num_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= num_gpus:
            seen = f"{num_gpus} GPU(s)" if num_gpus else "no GPU"
            raise DeviceMissing(f"device {name!r} asked for, but torch sees {seen}")
    return device


def execute(run: Run, study: str, settings: Settings, watch: Watch) -> dict[str, Any]:
    """Compute a run and store its result; resumes from its checkpoint if there is one.

    Raises Interrupted after a stop, Diverged, UserError, or whatever a method raises; nothing is half-written.
    Of several processes, the leader calls the others, and writes.
    """
    distributed.announce(run)
    take_process()
    try:
        with torch.random.fork_rng():
            return _Execution(run, study, settings, watch).compute()
    finally:
        leave_if_forked()


@functools.lru_cache(maxsize=1)
def _read(name: str, root: Path, validation: float, options: tuple[tuple[str, Any], ...]) -> Data:
    """A worker computes many runs of one study: it reads their data once."""
    return load(name, root=root, validation=validation, **dict(options))


def read_data(run: Run, settings: Settings) -> Data:
    """The data of a run, kept for the runs after it. Raises UserError if they are missing or damaged."""
    return _read(run.dataset, data_root(settings.data_root), run.validation, run.dataset_options)


def check_start(parent: Run, study: str, settings: Settings, data: Data) -> None:
    """Raises OtherData where a stored dense training is of other data than these: specifications do not tell."""
    folder = Store(settings.results).folder(study, parent)
    result = folder.read_result() if is_done(folder) else None
    if result is not None:
        check_parent(result, folder.path, _origin(data, settings))


def _origin(data: Data, settings: Settings) -> DataOrigin:
    return DataOrigin(data.name, data.fingerprint, str(data_root(settings.data_root)))


@functools.cache
def _code_reader() -> CodeReader:
    """One for the process: what it has loaded once stays the code that runs, whatever becomes of the files."""
    return CodeReader()


class _Execution:
    """The steps of one run and what they share."""

    def __init__(self, run: Run, study: str, settings: Settings, watch: Watch) -> None:
        self.run, self.study, self.settings, self.watch = run, study, settings, watch
        self.store = Store(settings.results)
        self.folder = self.store.folder(study, run)
        self.device = distributed.own_device(choose_device(settings.device))
        torch.set_num_threads(settings.threads)
        self.keeps_freed = memory.keep_freed(self.device)
        torch.use_deterministic_algorithms(settings.deterministic)
        self.clock = Clock()
        self.begin = time.perf_counter()
        self.progress = Progress()
        self.history: list[dict[str, Any]] = []
        self.history_path = self.folder.history_path
        if self.folder.result_path.exists():
            self.history_path = self.folder.path / NEW_HISTORY
        self.start: str | None = None
        self.parent_cost: dict[str, Any] | None = None

    def compute(self) -> dict[str, Any]:
        memory.reset_peak(self.device)
        run = self.run
        self.data = read_data(run, self.settings)
        distributed.check_same_data(self.data.fingerprint)
        self.data_origin = _origin(self.data, self.settings)
        if run.parent is not None:
            check_start(run.parent, self.study, self.settings, self.data)
        original = self._build_model()
        self._take(self._choose_precision(original))
        self.macs = count_macs(original, self.data.input_shape)
        self.sizes = count_parameters(original)
        self.pruner = create(run.method, run.sparsity, dict(run.method_options))
        self.code = _code_reader().read(run)
        with self.clock.measure("prune"):
            self.model = self._placed(self.pruner.attach(self._context(original)))
        self.model_macs = self.macs if self.model is original else count_macs(self.model, self.data.input_shape)
        self._train()
        self.pruner.detach()
        return self._finish()

    def _build_model(self) -> nn.Module:
        model = self._new_model()
        if self.run.parent is not None:
            parent = self.store.folder(self.study, self.run.parent)
            result = parent.read_result()
            if result is None:
                raise Damaged(parent.result_path, "it is missing")
            facts = result.get("files", {}).get(parent.model_path.name)
            model.load_state_dict(load_weights(parent.model_path, facts))
            self.start = facts["sha256"] if facts else digest_of(parent.model_path)
            # Now: by the end, what is damaged may be set aside.
            self.parent_cost = result["cost"]
        return self._placed(model)

    def _choose_precision(self, model: nn.Module) -> Precision:
        recipe, data = self.run.recipe, self.data
        return choose_precision(
            recipe.precision, model, recipe.batch_size, data.input_shape, data.num_classes, self.device
        )

    def _take(self, precision: Precision) -> None:
        self.precision = precision
        self.recipe = replace(self.run.recipe, precision=precision.name)

    def _placed(self, model: nn.Module) -> nn.Module:
        """On the device, in the memory format of the settings."""
        setting = self.settings.memory_format
        self.memory_format = choose_memory_format(setting, model, self.data.input_shape, self.device)
        model = model.to(self.device)
        return model.to(memory_format=self.memory_format) if self.memory_format is torch.channels_last else model

    def _new_model(self, **options: Any) -> nn.Module:
        # Every run of a seed starts from the same initialisation, which makes comparisons paired.
        torch.manual_seed(derive_seed(self.run.seed, "init"))
        model = create_model(
            self.run.model,
            num_classes=self.data.num_classes,
            input_shape=self.data.input_shape,
            **{**dict(self.run.model_options), **options},
        )
        return synchronize(model) if self.run.recipe.sync_batch_norm and distributed.is_active() else model

    def _context(self, model: nn.Module) -> Context:
        seed = self.run.seed
        return Context(
            model=model,
            sites=find_sites(model),
            samples=self._samples,
            loss=cross_entropy,
            macs=self.macs,
            input_shape=self.data.input_shape,
            num_classes=self.data.num_classes,
            device=self.device,
            epochs=self.run.recipe.epochs,
            steps_per_epoch=num_steps(len(self.data.train), self.run.recipe.batch_size),
            generator=lambda purpose: torch.Generator().manual_seed(derive_seed(seed, "method", purpose)),
            reduce=distributed.total,
            rank=distributed.rank(),
            num_ranks=distributed.world(),
            rebuild=lambda **options: self._placed(self._new_model(**options)),
        )

    def _samples(
        self, num_samples: int, batch_size: int, *, balanced: bool = False, draw: int = 0
    ) -> Iterator[tuple[Tensor, Tensor]]:
        generator = torch.Generator().manual_seed(derive_seed(self.run.seed, "samples", draw))
        indices = scoring_indices(self.data.train.targets, num_samples, balanced, generator)
        for part in scoring_batches(indices, batch_size, distributed.world()):
            own = part.tensor_split(distributed.world())[distributed.rank()]
            yield self.data.train.sample(own, device=self.device)

    def _train(self) -> None:
        leave_if_forked()
        optimizer_state = self._resume()
        training = Training(
            model=self.model,
            pruner=self.pruner,
            data=self.data,
            recipe=self.recipe,
            seed=derive_seed(self.run.seed, "dense" if self.run.parent is None else "pruned"),
            device=self.device,
            clock=self.clock,
            compile=self.settings.compile,
            on_epoch=self._after_epoch,
        )
        for index in range(self.progress.position.round, self.pruner.rounds):
            if optimizer_state is None:
                self._begin_round(index)
            training.run_round(index, self.progress.position.epoch, optimizer_state)
            optimizer_state = None

    def _begin_round(self, index: int) -> None:
        if index == 0:
            self.progress.before = self._evaluate()
        with self.clock.measure("prune"):
            self.pruner.begin_round(index)
        check_masks(self.pruner, at_end=False)
        distributed.check_same(self.pruner.masks)
        if index == 0:
            self.progress.pruned = self._evaluate() if self.pruner.masks is not None else self.progress.before
        self.progress.position = Position(index, self.pruner.first_epoch(index))

    def _evaluate(self) -> dict[str, Any]:
        with self.clock.measure("evaluate"):
            test: Evaluation = evaluate(self.model, self.data.test, self.recipe, self.device)
        return {"accuracy": test.accuracy, "top5": test.top5, "loss": test.loss}

    def _after_epoch(self, record: dict[str, Any], optimizer: torch.optim.Optimizer, position: Position) -> None:
        leave_if_forked()
        check_masks(self.pruner, at_end=False)
        distributed.check_same(self.pruner.masks)
        record |= self._density()
        self.progress.position = position
        self.history.append(record)
        if distributed.is_leader():
            self.watch.check()
            with self.history_path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
            self.watch.on_epoch(record)
        is_stopping = distributed.agreed(self.watch.stop())
        if is_stopping or position.epoch % self.settings.checkpoint_every == 0:
            self._save_checkpoint(optimizer)
        if is_stopping:
            raise Interrupted(f"stopped after epoch {position.epoch} of {self.run.recipe.epochs}")

    def _save_checkpoint(self, optimizer: torch.optim.Optimizer) -> None:
        if not distributed.is_leader():
            return
        self.watch.check()
        progress = self.progress
        save_checkpoint(
            self.folder.checkpoint_path,
            self.run.id,
            {
                "model": self.model.state_dict(),
                "optimizer": optimizer.state_dict(),
                "pruner": self.pruner.state_dict(),
                "history": self.history,
                "position": [progress.position.round, progress.position.epoch],
                "before": progress.before,
                "pruned": progress.pruned,
                "seconds": progress.seconds + time.perf_counter() - self.begin,
                "clock": vars(self.clock),
                "resumed": progress.resumed,
                "precision": vars(self.precision),
                "data": {"fingerprint": self.data.fingerprint, "root": self.data_origin.root},
                "code": self.code,
                "start": self.start,
            },
        )

    def _resume(self) -> dict[str, Any] | None:
        """Restore from the checkpoint, if there is one, and return the optimiser's state."""
        try:
            state = load_checkpoint(self.folder.checkpoint_path, self.run.id, self.device)
        except (FileNotFoundError, Damaged) as error:
            if isinstance(error, Damaged) and distributed.is_leader():
                self.watch.on_note(set_aside(error))
            self._rewrite_history([])
            return None
        check_checkpoint(state, self.folder.checkpoint_path, self.data_origin)
        has_changed = bool(differences(state.get("code"), self.code))
        if is_asked(self.folder) and (has_changed or state.get("start") != self.start):
            # It leads to the result that is not wanted any more.
            self._rewrite_history([])
            return None
        if has_changed:
            self.code = {**self.code, "changed": True}
        # A checkpoint of an earlier version does not know its code, nor does what comes of it.
        self.code = self.code if state.get("code") else {}
        self.start = state.get("start")
        self.model.load_state_dict(state["model"])
        self.pruner.load_state_dict(state["pruner"])
        self.progress = Progress(
            position=Position(*state["position"]),
            before=state["before"],
            pruned=state["pruned"],
            seconds=state["seconds"],
            resumed=state["resumed"] + 1,
        )
        vars(self.clock).update(state["clock"])
        # Another machine may have begun this run: it goes on in the precision it began in.
        self._take(Precision(**state["precision"]))
        self._rewrite_history(state["history"])
        return state["optimizer"]

    def _rewrite_history(self, records: list[dict[str, Any]]) -> None:
        self.history = list(records)
        if distributed.is_leader():
            self.watch.check()
            save_history(self.history_path, records)

    def _density(self) -> dict[str, Any]:
        """Density and multiply-adds of the network as it stands."""
        counts = kept_by_layer(self.model, self.pruner)
        kept, total = (sum(pair[i] for pair in counts.values()) for i in (0, 1))
        macs = sum(self.model_macs[name] * part / whole for name, (part, whole) in counts.items())
        return {"density": kept / total, "macs": macs}

    def _finish(self) -> dict[str, Any]:
        leave_if_forked()
        check_masks(self.pruner, at_end=True)
        check_finite_state(self.model)
        last = self._evaluate()
        layers = count_layers(self.model, self.pruner, self.data.input_shape)
        result = {
            "schema": SCHEMA,
            "id": self.run.id,
            "study": self.study,
            "run": to_dict(self.run),
            "parent": self.run.parent.id if self.run.parent else None,
            **summarize_accuracy(self.history, self.progress.before, self.progress.pruned, last),
            **summarize_layers(
                layers, self.run.sparsity, self.pruner, self.model, self.sizes, sum(self.macs.values())
            ),
            "cost": self._cost(),
            "data": {"fingerprint": self.data.fingerprint, "train": len(self.data.train),
                     "validation": len(self.data.validation), "test": len(self.data.test),
                     **({"facts": dict(self.data.facts)} if self.data.facts else {})},
            "provenance": {**provenance.environment(), **provenance.device_facts(self.device),
                           "code": self.code, "weights": {"start": self.start, "stored": None},
                           "data_root": self.data_origin.root,
                           "submitted_revision": os.environ.get(SUBMITTED_REVISION),
                           "execution": self._execution(), "processes": distributed.world(),
                           "plugins": plugin_sources(), "finished": now()},
        }  # fmt: skip
        if distributed.is_leader():
            self._store(result)
        return result

    def _execution(self) -> dict[str, Any]:
        """How it was computed, as far as it moves numbers or speed."""
        return {
            "precision": self.precision.name,
            "bfloat16_speedup": self.precision.speedup,
            "memory_format": name_of(self.memory_format),
            "compile": self.settings.compile,
            "keeps_freed_memory": self.keeps_freed,
        }

    def _store(self, result: dict[str, Any]) -> None:
        """Masks and weights first: the result says that all is there, and by which digest it is known."""
        self.watch.check()
        folder, files = self.folder, {}
        if self.pruner.masks is not None:
            files[folder.masks_path.name] = save_masks(folder.masks_path, dict(self.pruner.masks.items()))
        if self.run.is_dense or self.settings.keep_weights:
            facts = save_weights(folder.model_path, self.model.state_dict())
            files[folder.model_path.name] = facts
            result["provenance"]["weights"]["stored"] = facts["sha256"]
        else:
            folder.model_path.unlink(missing_ok=True)  # of an older result
        # Written whole once more: the lines in the file may have been damaged since they were appended.
        result["provenance"]["history"] = save_history(folder.history_path, self.history)
        if self.history_path != folder.history_path:
            self.history_path.unlink(missing_ok=True)
        write_json(folder.result_path, {**result, "files": files})
        fulfil(folder)
        self.folder.checkpoint_path.unlink(missing_ok=True)

    def _cost(self) -> dict[str, Any]:
        """Epochs, multiply-adds and seconds; those of the shared dense training stand beside, under `parent`."""
        parent = self.parent_cost
        own = training_cost(self.history, sum(self.model_macs.values()), len(self.data.train))
        return {
            **own,
            "parent": {key: parent[key] for key in own} if parent else None,
            "seconds": self.progress.seconds + time.perf_counter() - self.begin,
            "train_seconds": self.clock.train,
            "evaluate_seconds": self.clock.evaluate,
            "prune_seconds": self.clock.prune,
            "mask_seconds": self.clock.masks,
            "peak_memory_bytes": memory.peak(self.device),
            "resumed": self.progress.resumed,
        }
