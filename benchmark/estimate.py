"""What a plan costs: epochs, multiply-adds of training, device-hours. What is not known is '?', never invented."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from .index import summaries
from .plan import Plan
from .run import Run
from .store import Store
from .study import Study

MACS_TABLE = Path(__file__).parent / "models" / "macs.json"
"""Multiply-adds of one input, by model and data set: made by `python -m prunebench.benchmark.models.macs`."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Sums over a plan; None where something is not known.

    `epochs_unshared` is what the same runs would cost if each trained its own dense network.
    """

    study: str
    runs: int
    dense: tuple[int, int]
    pruned: tuple[int, int]
    failed: int
    epochs: int
    epochs_to_do: int
    epochs_unshared: int
    training_macs_to_do: float | None
    images_to_do: int | None
    images_per_second: float | None
    throughput_source: str

    @property
    def device_hours(self) -> float | None:
        if self.images_per_second is None or self.images_to_do is None:
            return None
        return self.images_to_do / self.images_per_second / 3600

    def lines(self) -> list[str]:
        saved = self.epochs_unshared - self.epochs
        share = f" ({saved / self.epochs_unshared:.0%})" if self.epochs_unshared else ""
        macs = f"{self.training_macs_to_do:.3g}" if self.training_macs_to_do is not None else "?"
        hours = f"{self.device_hours:.3g}" if self.device_hours is not None else "?"
        return [
            f"study          {self.study}",
            f"runs           {self.runs}: {self.runs_done} stored, {self.runs - self.runs_done - self.failed} to do"
            + (f", {self.failed} failed before" if self.failed else ""),
            f"dense          {self.dense[0]} trainings, {self.dense[1]} stored, shared by all methods",
            f"pruned         {self.pruned[0]} runs, {self.pruned[1]} stored",
            f"epochs         {self.epochs} in all, {self.epochs_to_do} to do",
            f"sharing saves  {saved} epochs of {self.epochs_unshared}{share}",
            f"training MACs  {macs} to do (forward and backward, 3 per forward MAC)",
            f"device-hours   {hours} to do ({self.throughput_source})",
        ]

    @property
    def runs_done(self) -> int:
        return self.dense[1] + self.pruned[1]

    def as_dict(self) -> dict[str, Any]:
        return {**vars(self), "device_hours": self.device_hours}


def estimate(
    study: Study,
    plan: Plan,
    store: Store,
    images_per_second: float | None = None,
    source: str = "throughput as given",
) -> Estimate:
    """Sum a plan up. Without a throughput, that of the study's stored runs is used, if there are any.

    `source` says where a given throughput comes from.
    """
    from ..datasets.registry import describe

    runs = [job.run for job in plan.jobs]
    to_do = [job.run for job in plan.to_do]
    if images_per_second is None:
        images_per_second = _measured(store, study, plan)
        source = (
            "throughput of the stored runs" if images_per_second else "no throughput known: run a part, or give one"
        )
    samples = _train_samples(study, describe(study.file.dataset.name, **study.file.dataset.options))
    macs = dense_macs(study.file.model.name, study.file.dataset.name)
    epochs_to_do = sum(run.recipe.epochs for run in to_do)
    return Estimate(
        study=study.name,
        runs=len(runs),
        dense=_tally(plan, dense=True),
        pruned=_tally(plan, dense=False),
        failed=sum(job.status.state == "failed" and not job.status.retryable for job in plan.jobs),
        epochs=sum(run.recipe.epochs for run in runs),
        epochs_to_do=epochs_to_do,
        epochs_unshared=sum(run.recipe.epochs for run in runs) + _repeated_epochs(runs),
        training_macs_to_do=3.0 * macs * samples * epochs_to_do if macs and samples else None,
        images_to_do=samples * epochs_to_do if samples else None,
        images_per_second=images_per_second,
        throughput_source=source,
    )


def _tally(plan: Plan, *, dense: bool) -> tuple[int, int]:
    jobs = [job for job in plan.jobs if job.run.is_dense == dense]
    return len(jobs), sum(job.status.state == "done" for job in jobs)


def _repeated_epochs(runs: Iterable[Run]) -> int:
    """Dense epochs that are computed once but would be needed again by every further run that starts from them."""
    children = [run.parent for run in runs if run.parent is not None]
    return sum(parent.recipe.epochs for parent in children) - sum(p.recipe.epochs for p in set(children))


def _train_samples(study: Study, info: Any) -> int | None:
    if info.num_train is None:
        return None
    limit = study.file.dataset.options.get("limit")
    left = round(info.num_train * (1 - study.file.validation))
    return min(left, limit) if limit else left


def _measured(store: Store, study: Study, plan: Plan) -> float | None:
    """Training images a second on one device over the stored runs, evaluation and scoring included."""
    images, seconds = 0.0, 0.0
    with summaries(store, study.name) as read:
        for job in plan.jobs:
            if job.status.state == "done" and job.run.recipe.epochs:
                result = read(job.run)
                if result is not None:
                    images += result["cost"]["epochs"] * result["data"]["train"]
                    seconds += result["cost"]["seconds"] * result["provenance"].get("processes", 1)
    return images / seconds if seconds else None


@cache
def _macs_table() -> dict[str, int]:
    return json.loads(MACS_TABLE.read_text(encoding="utf-8")) if MACS_TABLE.exists() else {}


def dense_macs(model: str, dataset: str) -> int | None:
    """Multiply-adds of one input of a data set, from the shipped table; None if the pair is not in it."""
    return _macs_table().get(f"{model} {dataset}")
