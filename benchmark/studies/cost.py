"""What a plan costs: epochs, multiply-adds of training, device-hours. What is not known is '?', never invented."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..runs.run import Run
from ..runs.store import Store
from .load import Study
from .plan import Plan
from .run_cost import CountMacs, run_cost


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Sums over a plan; None where something is not known.

    `epochs_unshared` is what the same runs would cost if each trained its own dense network; `unknown` are the reasons
    why a number is not known, with the runs to do that each holds for.
    """

    study: str
    runs: int
    dense: tuple[int, int]
    pruned: tuple[int, int]
    failed: int
    epochs: int | None
    epochs_to_do: int | None
    epochs_unshared: int | None
    training_macs_to_do: int | None
    images_to_do: int | None
    images_per_second: float | None
    throughput_source: str
    unknown: Mapping[str, int]

    @property
    def device_hours(self) -> float | None:
        if self.images_per_second is None or self.images_to_do is None:
            return None
        return self.images_to_do / self.images_per_second / 3600

    def lines(self) -> list[str]:
        macs = f"{self.training_macs_to_do:.3g}" if self.training_macs_to_do is not None else "?"
        hours = f"{self.device_hours:.3g}" if self.device_hours is not None else "?"
        return [
            f"study          {self.study}",
            f"runs           {self.runs}: {self.runs_done} stored, {self.runs - self.runs_done - self.failed} to do"
            + (f", {self.failed} failed before" if self.failed else ""),
            f"dense          {self.dense[0]} trainings, {self.dense[1]} stored, shared by all methods",
            f"pruned         {self.pruned[0]} runs, {self.pruned[1]} stored",
            f"epochs         {_shown(self.epochs)} in all, {_shown(self.epochs_to_do)} to do",
            f"sharing saves  {self._saved()}",
            f"training MACs  {macs} to do (forward and backward, 3 per forward MAC)",
            f"device-hours   {hours} to do ({self.throughput_source})",
            *(
                f"not known      {reason} ({number} {'run' if number == 1 else 'runs'})"
                for reason, number in self.unknown.items()
            ),
        ]

    def _saved(self) -> str:
        if self.epochs is None or self.epochs_unshared is None:
            return "? epochs"
        saved = self.epochs_unshared - self.epochs
        share = f" ({saved / self.epochs_unshared:.0%})" if self.epochs_unshared else ""
        return f"{saved} epochs of {self.epochs_unshared}{share}"

    @property
    def runs_done(self) -> int:
        return self.dense[1] + self.pruned[1]

    def as_dict(self) -> dict[str, Any]:
        return {**vars(self), "device_hours": self.device_hours}


def _shown(number: int | None) -> str:
    return "?" if number is None else str(number)


def estimate(
    study: Study,
    plan: Plan,
    store: Store,
    images_per_second: float | None = None,
    source: str = "throughput as given",
    count: CountMacs | None = None,
) -> Estimate:
    """Sum a plan up. Without a throughput, that of the study's stored runs is used, if there are any.

    `source` says where a given throughput comes from; `count` counts networks that the shipped table does not hold.
    Raises UserError for options with which a run would be refused.
    """
    runs = [job.run for job in plan.jobs]
    to_do = [run_cost(job.run, count) for job in plan.to_do]
    if images_per_second is None:
        images_per_second, source = _measured(store, study, plan)
    costs = [run_cost(run, count) for run in runs]
    epochs = _total(cost.epochs for cost in costs)
    return Estimate(
        study=study.name,
        runs=len(runs),
        dense=_tally(plan, dense=True),
        pruned=_tally(plan, dense=False),
        failed=sum(job.status.state == "failed" and not job.status.retryable for job in plan.jobs),
        epochs=epochs,
        epochs_to_do=_total(cost.epochs for cost in to_do),
        epochs_unshared=None if epochs is None else epochs + _repeated_epochs(runs),
        training_macs_to_do=_total(cost.training_macs for cost in to_do),
        images_to_do=_total(cost.images for cost in to_do),
        images_per_second=images_per_second,
        throughput_source=source,
        unknown=dict(Counter(reason for cost in to_do for reason in cost.unknown)),
    )


def _total(parts: Iterable[int | None]) -> int | None:
    """The sum; None where a part is not known."""
    known = list(parts)
    return None if None in known else sum(part for part in known if part is not None)


def _tally(plan: Plan, *, dense: bool) -> tuple[int, int]:
    jobs = [job for job in plan.jobs if job.run.is_dense == dense]
    return len(jobs), sum(job.status.state == "done" for job in jobs)


def _repeated_epochs(runs: Sequence[Run]) -> int:
    """Dense epochs that are computed once, or were, but would be needed again by every run that starts from them."""
    parents = [run.parent for run in runs if run.parent is not None]
    planned = {run.id for run in runs}
    counted = {parent.id: parent for parent in parents if parent.id in planned}
    return sum(each.recipe.trained_epochs for each in parents) - sum(
        each.recipe.trained_epochs for each in counted.values()
    )


def _measured(store: Store, study: Study, plan: Plan) -> tuple[float | None, str]:
    """Training images a second on one device over the stored runs, evaluation and scoring included; and its source.

    None where nothing is stored, or where a network that is to be trained is in no stored run: a wider one is slower.
    """
    images, seconds = 0.0, 0.0
    networks: set[tuple[str, Any]] = set()
    for job in plan.jobs:
        if job.status.state == "done" and job.run.recipe.epochs:
            result = store.result(study.name, job.run)
            if result is not None:
                networks.add((job.run.model, job.run.model_options))
                images += result["cost"]["epochs"] * result["data"]["train"]
                seconds += result["cost"]["seconds"] * result["provenance"].get("processes", 1)
    if not seconds:
        return None, "no throughput known: run a part, or give --throughput or --calibrate"
    if {(job.run.model, job.run.model_options) for job in plan.to_do} - networks:
        return None, "the stored runs are of other networks: run a part, or give a throughput"
    return images / seconds, "throughput of the stored runs"
