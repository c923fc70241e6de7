"""The rows of a study: refuse two different runs for one cell of a table, and select rows by `--only`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

from ...methods.registry import describe
from ..api.errors import UserError
from ..runs.run import DENSE, Recipe, Run


@dataclass(frozen=True)
class Row:
    """A run with its label in the study. `not_run` is the reason why the study only lists it.

    `is_tuned`: a search has chosen its values (see `trials`), or tries them.
    """

    label: str
    method: str
    options: tuple[tuple[str, Any], ...]
    sparsity: float
    seed: int
    run: Run | None
    not_run: str = ""
    is_tuned: bool = False

    @property
    def retrain_seed(self) -> int:
        return 0 if self.run is None else self.run.retrain_seed


def distinct(rows: Iterable[tuple[str, Row]]) -> list[Row]:
    """The rows, each with its place in the study file, without repetitions.

    Raises UserError, with the place of the second, for two different runs of one label, sparsity and seed: tables would
    average two methods or settings as if they were seeds of one. Also for a pruned row with the label of a dense one:
    tables show dense rows at every sparsity, so readers could not tell the two apart.
    """
    placed = list(rows)
    _refuse_dense_labels(placed)
    seen: dict[tuple[str, float, int, int, str], tuple[str, Row]] = {}
    for place, row in placed:
        # rows that are only listed have no numbers to average
        key = (row.label, row.sparsity, row.seed, row.retrain_seed, row.method if row.run is None else "")
        first_place, first = seen.setdefault(key, (place, row))
        if first.run is not None and row.run is not None and first.run.id != row.run.id:
            way = _WITHIN_ENTRY if place == first_place else "give one entry a label of its own"
            raise UserError(
                f"{place}: label {row.label!r} at sparsity {row.sparsity:g}, seed {row.seed}, stands for two different "
                f"runs ({', '.join(_differences(first.run, row.run))}); {way}"
            )
    return [row for _, row in seen.values()]


_WITHIN_ENTRY = "leave the label out, so that rows are named by method and options, or write one entry for each"


def _refuse_dense_labels(placed: Sequence[tuple[str, Row]]) -> None:
    # where none is listed, tables name the shared dense training by its method
    dense = {row.label for _, row in placed if row.method == DENSE} or {describe(DENSE).label}
    for place, row in placed:
        if row.method != DENSE and row.label in dense:
            raise UserError(
                f"{place}: label {row.label!r} of method {row.method!r} is that of the dense row; give one a label of "
                "its own"
            )


def _differences(one: Run | Recipe, other: Run | Recipe, prefix: str = "") -> Iterator[str]:
    """What differs, as `name: value and value`."""
    for field in fields(one):
        first, second = getattr(one, field.name), getattr(other, field.name)
        if first == second or field.name == "parent":
            continue
        if isinstance(first, Recipe):
            yield from _differences(first, second, prefix=f"{field.name}.")
        else:
            yield f"{prefix}{field.name}: {_shown_value(first)} and {_shown_value(second)}"


def _shown_value(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(f"{key}={item}" for key, item in value) or "none"
    return str(value)


def choose(rows: Sequence[Row], only: Sequence[str]) -> list[Row]:
    """`--only key=value[,value]`: a key of _VALUES; several must all hold, and each value must match."""
    chosen = list(rows)
    for condition in only:
        key, separator, text = condition.partition("=")
        if not separator or key not in _VALUES:
            raise UserError(
                f"--only {condition!r} must be method=, sparsity=, seed=, retrain_seed= or label= with a value"
            )
        known: dict[Any, list[Row]] = {}
        for row in chosen:
            known.setdefault(getattr(row, key), []).append(row)
        wanted = list(_split(text, known, _VALUES[key]))
        missing = [part for part, value in wanted if value not in known]
        if missing:
            there = ", ".join(sorted({_shown(value, key) for value in known}))
            what = "" if len(wanted) == 1 else f": {missing[0]!r}"
            raise UserError(f"--only {condition!r} matches no run{what}; {key} is one of {there}")
        taken = {value for _, value in wanted}
        chosen = [row for row in chosen if getattr(row, key) in taken]
    return chosen


def _split(text: str, known: Iterable[Any], read: Callable[[str], Any]) -> Iterator[tuple[str, Any]]:
    """The values between commas. Labels may contain commas, so the longest known value is taken first."""
    known, parts = set(known), text.split(",")
    while parts:
        lengths = [n for n in range(len(parts), 0, -1) if read(",".join(parts[:n]).strip()) in known]
        length = lengths[0] if lengths else 1
        part = ",".join(parts[:length]).strip()
        yield part, read(part)
        parts = parts[length:]


def _number(text: str) -> float | str:
    """`0.9`, `0.90` and `90%` are the same sparsity; text that is no number is returned and matches nothing."""
    try:
        return round(float(text.removesuffix("%")) / 100, 12) if text.endswith("%") else float(text)
    except ValueError:
        return text


def _whole(text: str) -> int | str:
    return int(text) if text.isdecimal() and len(text) < 20 else text


_VALUES: dict[str, Callable[[str], Any]] = {"method": str, "label": str, "sparsity": _number, "seed": _whole,
                                              "retrain_seed": _whole}  # fmt: skip


def _shown(value: Any, key: str) -> str:
    return f"{value * 100:g}%" if key == "sparsity" else str(value)
