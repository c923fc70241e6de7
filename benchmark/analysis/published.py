"""Numbers that a paper prints, and which row of a study each stands beside. They never enter a statistic."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from ..api.errors import UserError, unknown
from ..runs.run import DENSE
from ..tables.cell import MAX_MISS, percent
from ..tables.marks import marks_by_value
from ..tables.table import Mark

if TYPE_CHECKING:
    from ..studies.load import Row, Study

PAPER = "arXiv 2209.14624"
SOURCES = ("published",)
"""What `--against` accepts."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """One printed row. Percentages as printed; fractions for sparsities; None where the paper does not say.

    Attributes:
        block: heading of the paper's block that the row stands in.
        target: sparsity of that block; None for table 6, whose blocks are ranks.
        pruned: sparsity of the layers that the method prunes, which is that of a study's row; the printed one counts
            layers left dense as well.
        ours: the suite's method that it stands beside, empty for none.
        condition: option values of that method, or of its network, that the row has.
    """

    table: int
    dataset: str
    model: str
    method: str
    variant: str
    label: str
    block: str
    target: float | None
    sparsity: float | None
    pruned: float | None
    accuracy: float
    accuracy_std: float | None
    macs_pruned: float | None
    note: str
    ours: str
    condition: tuple[tuple[str, Any], ...]

    @property
    def is_off_block(self) -> bool:
        return self.sparsity is not None and self.target is not None and abs(self.sparsity - self.target) > MAX_MISS


def published_tables() -> list[int]:
    return sorted({row.table for row in _all()})


def published_rows(table: int) -> list[Published]:
    """The rows of a table of the paper, in its order. Raises UserError for a table that is not there."""
    rows = [row for row in _all() if row.table == table]
    if not rows:
        raise unknown("published table", str(table), [str(number) for number in published_tables()])
    return rows


def rows_for(study: Study, against: str) -> list[Published]:
    """The printed rows beside a study. Raises UserError where it names no table, or that of another network."""
    if against not in SOURCES:
        raise unknown("value of --against", against, SOURCES)
    if study.file.published is None:
        raise UserError(
            f"study {study.name!r} names no published table; set `published:` to one of "
            f"{', '.join(map(str, published_tables()))} (a table of {PAPER})"
        )
    rows = published_rows(study.file.published)
    if not is_of(rows, study):
        raise UserError(
            f"study {study.name!r}: published table {study.file.published} is of {rows[0].model} on "
            f"{rows[0].dataset}, this study is of {study.file.model.name} on {study.file.dataset.name}"
        )
    return rows


def is_of(rows: list[Published], study: Study) -> bool:
    """Whether a printed table is of the study's network and data; smoke versions of a study are not."""
    return (rows[0].model, rows[0].dataset) == (study.file.model.name, study.file.dataset.name)


def marks(rows: Iterable[Published], measure: str = "accuracy") -> dict[Published, Mark]:
    """Best and second best of each block by the printed numbers; dense rows take no part."""
    blocks: dict[str, dict[Published, float]] = {}
    for row in rows:
        value = getattr(row, measure)
        if row.method != DENSE and value is not None:
            blocks.setdefault(row.block, {})[row] = value
    return {row: mark for values in blocks.values() if len(values) > 1 for row, mark in marks_by_value(values).items()}


def stands_beside(printed: Published, row: Row) -> bool:
    """Whether a printed row is of the same method and options as a row of a study, at its sparsity.

    Half a point of sparsity is near enough; the block in which a row is printed does not count: rows of it may be 7
    points apart. A row that is only listed has no options to compare.
    """
    if printed.ours != row.method or (row.run is None and printed.sparsity is None):
        return False
    if printed.pruned is not None and abs(printed.pruned - row.sparsity) > MAX_MISS + 1e-9:
        return False
    options = _resolved(row)
    return all(_holds(options.get(name), value) for name, value in printed.condition)


def _resolved(row: Row) -> dict[str, Any]:
    from ...methods.registry import describe

    defaults = {name: option.default for name, option in describe(row.method).options.items()}
    network = dict(row.run.model_options) if row.run is not None else {}
    return {**network, **defaults, **dict(row.options)}


def _holds(actual: Any, wanted: Any) -> bool:
    return bool(actual) if wanted == "set" else actual == wanted


@cache
def _all() -> tuple[Published, ...]:
    variants = {(row["method"], row["variant"]): row for row in _read("variants.csv")}
    rows = [_by_sparsity(row, variants) for row in _read("published.csv")]
    return tuple(rows + [_by_rank(row, variants) for row in _read("published_fastgrnn.csv")])


def _read(name: str) -> list[dict[str, str]]:
    text = (resources.files("prunebench.results.published") / name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def _by_sparsity(row: Mapping[str, str], variants: Mapping[tuple[str, str], Mapping[str, str]]) -> Published:
    variant = variants[row["method"], row["variant"]]
    target, sparsity = float(row["block_pct"]) / 100, float(row["sparsity_pct"]) / 100
    return Published(
        table=int(row["table"]),
        dataset=row["dataset"],
        model=row["model"],
        method=row["method"],
        variant=row["variant"],
        label=variant["label"],
        block=percent(target),
        target=target,
        sparsity=sparsity,
        pruned=float(row["study_pct"]) / 100 if row["study_pct"] else sparsity,
        accuracy=float(row["top1_pct"]),
        accuracy_std=_number(row["top1_std"]),
        macs_pruned=_number(row["flops_pruned_pct"]),
        note=row["note"],
        ours=variant["ours"],
        condition=tuple(json.loads(variant["condition"] or "{}").items()),
    )


def _by_rank(row: Mapping[str, str], variants: Mapping[tuple[str, str], Mapping[str, str]]) -> Published:
    variant = variants.get((row["method"], "ranks")) or variants[row["method"], ""]
    ranks = {"rank_w": int(row["rank_w"]), "rank_u": int(row["rank_u"])}
    return Published(
        table=int(row["table"]),
        dataset=row["dataset"],
        model=row["model"],
        method=row["method"],
        variant=variant["variant"],
        label=variant["label"],
        block=f"ranks {ranks['rank_w']} and {ranks['rank_u']}",
        target=None,
        sparsity=None,
        pruned=None,
        accuracy=float(row["top1_pct"]),
        accuracy_std=None,
        macs_pruned=None,
        note="",
        ours=variant["ours"],
        condition=tuple(ranks.items()) if row["method"] != DENSE else (),
    )


def _number(text: str) -> float | None:
    return float(text) if text else None
