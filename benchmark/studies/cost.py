"""What a plan costs: epochs, multiply-adds of training, device-hours. What is not known is '?', never invented."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..runs.number_of import number_of
from ..runs.run import Run
from ..runs.store import Store
from .devices import Device
from .load import Study
from .plan import Plan
from .run_cost import CountMacs, RunCost, run_cost


@dataclass(frozen=True)
class Share:
    """A part of the runs to do; None where a number is not known."""

    runs: int
    epochs: int | None
    images: int | None
    training_macs: int | None


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Sums over a plan; None where something is not known.

    `epochs_unshared` is what the same runs would cost if each trained its own dense network; `unknown` are the reasons
    why a number is not known, with the runs to do that each holds for. `macs_per_second` is the speed of a device of
    the shipped table, of which hours are computed if it is given; else of `images_per_second`. `methods` are the runs
    to do by method, `longest` the costliest run to do with the dense training before it, `not_run` the rows that the
    study only lists, with their reasons.
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
    methods: Mapping[str, Share]
    longest: Share
    not_run: Mapping[str, str]
    macs_per_second: float | None = None
    gpus: int = 1

    @property
    def device_hours(self) -> float | None:
        return self.hours_of(Share(len(self.methods), self.epochs_to_do, self.images_to_do, self.training_macs_to_do))

    def hours_of(self, share: Share) -> float | None:
        """Device-hours of a part of the plan."""
        amount, speed = share.images, self.images_per_second
        if self.macs_per_second is not None:
            amount, speed = share.training_macs, self.macs_per_second
        return None if amount is None or speed is None else amount / speed / 3600

    @property
    def wall_hours(self) -> float | None:
        """On `gpus` devices, one run on each: no less than an even share, and than the longest run with its start."""
        total, longest = self.device_hours, self.hours_of(self.longest)
        return None if total is None or longest is None else max(total / self.gpus, longest)

    def lines(self) -> list[str]:
        macs = f"{self.training_macs_to_do:.3g}" if self.training_macs_to_do is not None else "?"
        return [
            f"study          {self.study}",
            f"runs           {self.runs}: {self.runs_done} stored, {self.runs - self.runs_done - self.failed} to do"
            + (f", {self.failed} failed before" if self.failed else ""),
            f"dense          {self.dense[0]} trainings, {self.dense[1]} stored, shared by all methods",
            f"pruned         {self.pruned[0]} runs, {self.pruned[1]} stored",
            f"epochs         {_shown(self.epochs)} in all, {_shown(self.epochs_to_do)} to do",
            f"sharing saves  {self._saved()}",
            f"training MACs  {macs} to do (forward and backward, 3 per forward MAC)",
            f"device-hours   {_hours(self.device_hours)} to do ({self.throughput_source})",
            f"wall time      {self._wall()}",
            *(self._method_line(name, share) for name, share in self.methods.items()),
            *(f"not run        {label}: {reason}" for label, reason in self.not_run.items()),
            *(
                f"not known      {reason} ({number} {'run' if number == 1 else 'runs'})"
                for reason, number in self.unknown.items()
            ),
        ]

    def _wall(self) -> str:
        devices = f"{number_of(self.gpus, 'device')}, one run on each"
        longest = f"the longest run takes {_hours(self.hours_of(self.longest))} h with its dense training"
        return (
            f"at least {_hours(self.wall_hours)} h on {devices}; {longest}"
            if self.wall_hours is not None
            else f"? h on {devices}"
        )

    def _method_line(self, name: str, share: Share) -> str:
        hours = f"{_hours(self.hours_of(share)):>8} device-hours"
        return f"  {name:<18} {share.runs:>5} runs {_shown(share.epochs):>7} epochs {hours}"

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
        methods = {name: {**vars(share), "hours": self.hours_of(share)} for name, share in self.methods.items()}
        own = {"device_hours": self.device_hours, "wall_hours": self.wall_hours, "methods": methods}
        return {**vars(self), **own, "longest": {**vars(self.longest), "hours": self.hours_of(self.longest)}}


def _hours(hours: float | None) -> str:
    return "?" if hours is None else f"{hours:.3g}"


def _shown(number: int | None) -> str:
    return "?" if number is None else str(number)


def estimate(
    study: Study,
    plan: Plan,
    store: Store,
    images_per_second: float | None = None,
    source: str = "throughput as given",
    count: CountMacs | None = None,
    device: Device | None = None,
    gpus: int = 1,
) -> Estimate:
    """Sum a plan up. Without a throughput, that of the study's stored runs is used, if there are any.

    `source` says where a given throughput comes from; `count` counts networks that the shipped table does not hold.
    A `device` of the shipped table takes the place of a throughput. Raises UserError for options with which a run would
    be refused.
    """
    runs = [job.run for job in plan.jobs]
    by_id = {job.run.id: run_cost(job.run, count) for job in plan.to_do}
    to_do = list(by_id.values())
    if device is not None:
        source = f"the speed of {device.source}; small networks are slower"
    elif images_per_second is None:
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
        methods=_by_method(plan, by_id),
        longest=_longest(plan, by_id, in_macs=device is not None),
        not_run={f"{row.label} {row.sparsity:.4g}": row.not_run for row in study.rows if row.run is None},
        macs_per_second=None if device is None else device.macs_per_second,
        gpus=gpus,
    )


def _share(costs: Collection[RunCost]) -> Share:
    return Share(
        runs=len(costs),
        epochs=_total(cost.epochs for cost in costs),
        images=_total(cost.images for cost in costs),
        training_macs=_total(cost.training_macs for cost in costs),
    )


def _by_method(plan: Plan, costs: Mapping[str, RunCost]) -> dict[str, Share]:
    """The runs to do of each method, in the order of the study."""
    found: dict[str, list[RunCost]] = {}
    for job in plan.to_do:
        found.setdefault(job.run.method, []).append(costs[job.run.id])
    return {method: _share(each) for method, each in found.items()}


def _longest(plan: Plan, costs: Mapping[str, RunCost], *, in_macs: bool) -> Share:
    """The run to do, with its dense training if that is to do as well, that takes longest; unknown ones are longest."""
    chains = []
    for job in plan.to_do:
        parent = costs.get(job.run.parent.id) if job.run.parent is not None else None
        chains.append(_share([costs[job.run.id], *([parent] if parent is not None else [])]))

    def length(chain: Share) -> float:
        amount = chain.training_macs if in_macs else chain.images
        return float("inf") if amount is None else amount

    return max(chains, key=length, default=Share(0, 0, 0, 0))


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


HOW_TO_KNOW = "run a part, or give --calibrate, --device-name or --throughput"


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
        return None, f"no throughput known: {HOW_TO_KNOW}"
    if {(job.run.model, job.run.model_options) for job in plan.to_do} - networks:
        return None, f"the stored runs are of other networks: {HOW_TO_KNOW}"
    return images / seconds, "throughput of the stored runs"
