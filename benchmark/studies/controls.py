"""The controls of a row: those that a study requires must be there before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...methods.listing.controls import CONTROLS, ControlKind
from ...methods.registry import describe
from ..api.errors import UserError, unknown
from .claims import label_of
from .rows import Row
from .schema import Controls
from .yaml_source import Source


@dataclass(frozen=True)
class ControlSet:
    """A row and its controls, by their labels.

    Attributes:
        label: the row in question.
        targets: its sparsities, ascending.
        controls: sparsities of each control that are compared; those of a row without sparsities are all.
    """

    label: str
    targets: tuple[float, ...]
    controls: dict[str, tuple[float, ...]]


def check_controls(controls: Controls, source: Source, rows: Sequence[Row]) -> None:
    """Raises UserError naming the first control that is missing, with the entry that adds it."""
    place = source.place(["controls", "of"])
    rows = [row for row in rows if row.run is not None]
    label = label_of(controls.of, rows, place)
    asked = [row for row in rows if row.label == label]
    methods, targets = {row.method for row in asked}, {row.sparsity for row in asked}
    if len(methods) > 1 or targets == {0.0}:
        why = "are of several methods" if len(methods) > 1 else "prune nothing"
        raise UserError(f"{place}: the rows {label!r} {why}; controls are of one method that prunes")
    for index, name in enumerate(controls.require):
        where = source.place(["controls", "require", index])
        if name not in CONTROLS:
            raise UserError(f"{where}: {unknown('control', name, CONTROLS)}")
        _check_kind(name, asked, rows, where)


def _check_kind(name: str, asked: Sequence[Row], rows: Sequence[Row], place: str) -> None:
    kind, method = CONTROLS[name], asked[0].method
    there = {row.sparsity for row in _of_kind(kind, method, rows)}
    wanted = {row.sparsity for row in asked} if kind.has_sparsity else {0.0}
    if missing := sorted(wanted - there):
        options = {key: option.default for key, option in describe(method).options.items()} | dict(asked[0].options)
        entry = kind.example.format(of=method, start=options["start"])
        at = ", ".join(f"{round(target * 100, 6):g}%" for target in missing)
        sparsity = f", sparsity: [{at}]" if kind.has_sparsity else ""
        raise UserError(
            f"{place}: control {name} of {asked[0].label!r} is missing{f' at {at}' * kind.has_sparsity}; "
            f"add {{{entry}{sparsity}}}"
        )


def _of_kind(kind: ControlKind, method: str, rows: Sequence[Row]) -> Iterator[Row]:
    for row in rows:
        if kind.is_row(describe(row.method), dict(row.options), method):
            yield row


def control_set(controls: Controls, rows: Sequence[Row]) -> ControlSet | None:
    """The row in question and all of its controls among the rows, also those that are not required.

    None where `--only` leaves the row or all its controls out.
    """
    rows = [row for row in rows if row.run is not None]
    chosen = [row for row in rows if row.label == controls.of]
    chosen = chosen or [row for row in rows if row.method == controls.of]
    if not chosen:
        return None
    label, method = chosen[0].label, chosen[0].method
    targets = tuple(sorted({row.sparsity for row in chosen if row.label == label}))
    found: dict[str, set[float]] = {}
    for kind in CONTROLS.values():
        for row in _of_kind(kind, method, rows):
            found.setdefault(row.label, set()).update({row.sparsity} if row.sparsity else targets)
    compared = {name: tuple(sorted(known & set(targets))) for name, known in found.items() if name != label}
    compared = {name: known for name, known in compared.items() if known}
    return ControlSet(label, targets, compared) if compared else None
