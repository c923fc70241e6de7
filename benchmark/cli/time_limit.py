"""The option --time-limit, and the message about the runs that it left."""

from __future__ import annotations

import click

from ..launch.time_limit import TimeLimit, parse_duration
from ..runs.store import Store
from ..studies.plan import Plan, make_plan
from .options import say


def _duration(_context: click.Context, _parameter: click.Parameter, text: str | None) -> int | None:
    return None if text is None else parse_duration(text)


time_limit_option = click.option(
    "--time-limit", metavar="TIME", callback=_duration,
    help="Start no run that cannot finish in this time, and stop at its end: 150m, 2h30m, 45s.",
)  # fmt: skip


def open_limit(seconds: int, begin: float, plan: Plan, store: Store) -> TimeLimit:
    """A limit from `begin` on (of the monotonic clock) that knows the stored runs of the plan."""
    limit = TimeLimit(study=plan.study, store=store, seconds=seconds, begin=begin)
    limit.learn_stored([job.run for job in plan.jobs])
    return limit


def say_left(limit: TimeLimit, plan: Plan, store: Store) -> bool:
    """Say which runs are left to compute, without those that failed for good; False if there are none."""
    left = [job.run for job in make_plan(plan.study, [job.run for job in plan.to_do], store).to_do]
    if left:
        say(f"{plan.study}: {limit.left_line(left)}; the same command continues from here")
    return bool(left)
