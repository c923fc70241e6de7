"""Claims about the rows of a study, as text: `Global MP >= SNIP at 90%, 95% within 0.5`.

    "A > B"              A has the higher mean test accuracy
    "A >= B within 0.5"  A is at most half a point of accuracy worse
    "A < B", "A <= B"    the same with A and B exchanged

A and B are labels of the study, in quotes if they hold such signs, or names of methods that have one row. `at` names
sparsities; without it a claim is about all that both have. A row without sparsities, such as a dense one, stands at
each of the other's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..api.errors import UserError, unknown
from .rows import Row

FORM = "a claim reads 'A >= B at 90%, 95% within 0.5', with >, >=, < or <=; 'at' and 'within' may be left out"
NAME = r"""(?:"[^"]+"|'[^']+'|[^"'<>=]+?)"""
TEXT = re.compile(
    rf"\s*(?P<first>{NAME})\s*(?P<relation>>=|<=|>|<)\s*(?P<second>{NAME})"
    r"(?:\s+at\s+(?P<at>[\d.%,\s]+?))?(?:\s+within\s+(?P<within>\S+))?\s*"
)


@dataclass(frozen=True)
class Claim:
    """`better` is claimed to be at most `margin` (points of accuracy) worse than `worse`, or better if that is None.

    `targets` are the sparsities that it is about, ascending, and 0 alone where neither row has any; `text` is the claim
    as it was written.
    """

    text: str
    better: str
    worse: str
    margin: float | None
    targets: tuple[float, ...]


def read_claim(text: str, rows: Sequence[Row]) -> Claim:
    """A claim about rows of a study. Raises UserError for another form, and for what the study does not have."""
    rows = [row for row in rows if row.run is not None]
    found = TEXT.fullmatch(text)
    if found is None:
        raise UserError(f"claim {text!r} is not understood: {FORM}")
    first, second = (label_of(_unquoted(found[side]), rows, f"claim {text!r}") for side in ("first", "second"))
    if first == second:
        raise UserError(f"claim {text!r} compares {first!r} with itself")
    if found["within"] is not None and "=" not in found["relation"]:
        raise UserError(f"claim {text!r}: 'within' goes with >= or <=, not with {found['relation']}")
    better, worse = (first, second) if found["relation"].startswith(">") else (second, first)
    targets = _targets(found["at"], better, worse, rows, text)
    return Claim(text.strip(), better, worse, _margin(found["within"], text), targets)


def _unquoted(name: str) -> str:
    name = name.strip()
    return name[1:-1] if name.startswith(("'", '"')) else name


def label_of(name: str, rows: Sequence[Row], place: str) -> str:
    """The label that is meant among rows that are run: the label itself, or the one label of a method.

    Raises UserError, which begins with `place`.
    """
    labels = list(dict.fromkeys(row.label for row in rows))
    if name in labels:
        return name
    of_method = list(dict.fromkeys(row.label for row in rows if row.method == name))
    if len(of_method) > 1:
        raise UserError(f"{place}: method {name!r} has several rows; name one of them: {', '.join(of_method)}")
    if not of_method:
        raise UserError(f"{place}: {unknown('row', name, labels)}")
    return of_method[0]


def _margin(within: str | None, text: str) -> float | None:
    if within is None:
        return None
    if not re.fullmatch(r"\d+(\.\d*)?|\.\d+", within, re.ASCII):
        raise UserError(f"claim {text!r}: 'within' takes points of accuracy such as 0.5, not {within!r}")
    return float(within)


def _targets(at: str | None, better: str, worse: str, rows: Sequence[Row], text: str) -> tuple[float, ...]:
    first, second = _known(better, rows), _known(worse, rows)
    shared = (first or second) & (second or first)
    if not first and not second:
        shared = {0.0}
    if at is None:
        if not shared:
            raise UserError(f"claim {text!r}: {better!r} and {worse!r} have no sparsity in common")
        return tuple(sorted(shared))
    wanted = {_fraction(part, text) for part in at.split(",")}
    for target in sorted(wanted - shared):
        shown = ", ".join(_percent(each) for each in sorted(shared)) or "none"
        raise UserError(f"claim {text!r}: the study does not run both rows at {_percent(target)}; known: {shown}")
    return tuple(sorted(wanted))


def _known(label: str, rows: Iterable[Row]) -> set[float]:
    """The sparsities at which a label is run."""
    return {row.sparsity for row in rows if row.label == label and row.sparsity > 0}


def _fraction(part: str, text: str) -> float:
    """`90%` and `0.9` are the same sparsity."""
    part = part.strip()
    try:
        value = float(part.removesuffix("%"))
    except ValueError:
        raise UserError(f"claim {text!r}: {part!r} is not a sparsity such as 90% or 0.9") from None
    value = round(value / 100, 12) if part.endswith("%") else value
    if value >= 1:
        raise UserError(f"claim {text!r}: {part!r} is not a sparsity such as 90% or 0.9")
    return value


def _percent(fraction: float) -> str:
    return f"{round(fraction * 100, 6):g}%"
