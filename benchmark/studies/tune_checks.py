"""Checks of `tune` in a study file, each with the place of what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from ...methods.registry import check_options, describe, method_names
from ..api.errors import UserError, unknown
from ..runs.run import DENSE
from .budget import SLACK, ledger
from .rows import Row
from .schema import Budget, StudyFile
from .search_space import Choices, Range, Space
from .trials import evaluations, is_whole, named_rows, other_file, searches, shared_space, space_of
from .tune_schema import TuneFile
from .yaml_source import Source


def check_tuning(file: StudyFile, source: Source, rows: Sequence[Row]) -> None:
    """Raises UserError for a seed that evaluation uses, and for spaces of options or values that do not exist."""
    tune = file.tune
    if tune is None:
        return
    if both := sorted(set(tune.seeds) & {row.seed for row in rows if row.run is not None}):
        raise UserError(
            f"{source.place(['tune', 'seeds'])}: tune.seeds has {both[0]}, which evaluation uses; choose others"
        )
    pruned = {row.label: row for row in rows if row.run is not None and row.method != DENSE}
    if not pruned:
        raise UserError(f"{source.place(['tune'])}: tune needs pruned rows; the shared dense training is not tuned")
    taken = {row.label for row in named_rows(file, rows)[len(rows) :]} & {row.label for row in rows}
    if taken:
        raise UserError(f"{source.place(['tune'])}: label {min(taken)!r} is that of a tuned row; choose another")
    _check_spaces(tune, pruned, source)
    for name, space in shared_space(file).items():
        _at(source, ["tune", "train", name], partial(_check_shared, name, space))
    if file.budget is not None:
        _check_costs(file, file.budget, rows, source)
    other = tune.on and other_file(file)
    if other and (other.dataset, other.model) == (file.dataset, file.model):
        raise UserError(f"{source.place(['tune', 'on'])}: tune.on has the study's own data and network; name others")


def _check_costs(file: StudyFile, budget: Budget, rows: Sequence[Row], source: Source) -> None:
    """Raises UserError for a trial that costs more than the budget: it trains as many epochs as the study's row."""
    for search in searches(file, rows):
        for trial in search.trials:
            tried = next(evaluations(search, trial, f"{search.label}, trial {trial.number}"))
            (line,) = ledger(budget, [tried])
            if line.spent > budget.total + SLACK:
                raise UserError(
                    f"{source.place(['tune'])}: {tried.label} at {round(tried.sparsity * 100, 6):g}% with "
                    f"{dict(trial.options)} takes {line.told.rpartition(',')[0]}, and the budget is "
                    f"{budget.total:g}; try other values of options that change the cost"
                )


def _check_spaces(tune: TuneFile, pruned: Mapping[str, Row], source: Source) -> None:
    """Each space of the study, and of each row what its method declares."""
    for name, space in tune.spaces.items():
        methods = {row.method for row in pruned.values() if name in (row.label, row.method)}
        place = source.place(["tune", "spaces", name])
        if not methods and name not in method_names():
            known = [*pruned, *(row.method for row in pruned.values())]
            raise UserError(f"{place}: {unknown('method or row', name, known)}")
        if not methods:
            raise UserError(f"{place}: spaces of {name!r} have no effect: no row of the study is of that method")
        for option, values in space.items():
            fixed = [option in dict(row.options) for row in pruned.values() if name in (row.label, row.method)]
            if all(fixed):
                raise UserError(
                    f"{source.place(['tune', 'spaces', name, option])}: tune.spaces.{name}.{option} has no effect: "
                    "the entry of the row gives this option, so it is not searched for"
                )
            for method in sorted(methods):
                _at(source, ["tune", "spaces", name, option], partial(check_space, method, option, values))
    for row in pruned.values():
        for option, values in space_of(tune, row).items():
            _at(source, ["tune"], partial(check_space, row.method, option, values))


def _at(source: Source, key: list[str], check: Callable[[], None]) -> None:
    try:
        check()
    except (UserError, ValueError) as error:
        raise UserError(f"{source.place(key)}: {'.'.join(key)}: {error}") from error


def check_space(method: str, option: str, space: Space) -> None:
    """Raises UserError or ValueError for an option that a search cannot change, and for values that it does not take.

    How two options go together is checked with the runs, before the first one begins.
    """
    info = describe(method)
    if option not in info.options:
        raise unknown(f"option of method {method!r}", option, info.options)
    if option in ("start", info.borrows, f"{info.borrows}_options"):
        raise ValueError("it says what the method is, which no search changes; write an entry for each value")
    for value in _ends(space):
        check_options(method, {option: value})
    if isinstance(space, Range) and is_whole(method, option) and (space.low % 1 or space.high % 1):
        raise ValueError(f"low is {space.low:g} and high is {space.high:g}; the option takes whole numbers")


def _check_shared(name: str, space: Space) -> None:
    for value in _ends(space):
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or value < 0 or (name == "lr" and value == 0):
            raise ValueError(f"{value!r} is no number {'>' if name == 'lr' else '>='} 0")


def _ends(space: Space) -> tuple[Any, ...]:
    return space.values if isinstance(space, Choices) else (space.low, space.high)
