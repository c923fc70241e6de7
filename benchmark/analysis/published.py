"""The numbers that the paper prints. They never enter a statistic."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from ..api.errors import UserError, unknown
from ..runs.run import DENSE
from .groups import percent

if TYPE_CHECKING:
    from ..studies.load import Study

PAPER = "arXiv 2209.14624"
SOURCES = ("published",)
"""What `--against` accepts."""

BLOCK_MISS = 0.005
"""Largest distance at which a sparsity belongs to a block of a printed table: the paper compares 95.3 with 95 %."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """One printed row. Percentages as printed, sparsities as fractions, None where the paper does not say.

    Attributes:
        block: heading of the paper's block that has the row.
        target: sparsity of that block; None for table 6, whose blocks are ranks.
        pruned: sparsity of the layers that the method prunes, as in a study's row; the printed sparsity counts
            layers left dense as well.
        ours: the suite's method to compare it with, empty for none.
        condition: option values of that method, or of its network, that the row has.
        is_own: whether it is a row of the method that the paper proposes.
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
    is_own: bool

    @property
    def is_off_block(self) -> bool:
        """Whether its printed sparsity is not that of its block."""
        return self.sparsity is not None and self.target is not None and abs(self.sparsity - self.target) > BLOCK_MISS


def published_tables() -> list[int]:
    return sorted({row.table for row in _all()})


def published_rows(table: int) -> list[Published]:
    """The rows of a table of the paper, in its order. Raises UserError for a number that is no table of it."""
    rows = [row for row in _all() if row.table == table]
    if not rows:
        raise unknown("published table", str(table), [str(number) for number in published_tables()])
    return rows


def rows_for(study: Study, against: str) -> list[Published]:
    """The printed rows for a study. Raises UserError if it names no table, or one of another network."""
    if against not in SOURCES:
        raise unknown("value of --against", against, SOURCES)
    if study.file.published is None:
        raise UserError(
            f"study {study.name!r} names no published table; set `published:` to one of "
            f"{', '.join(map(str, published_tables()))} (a table of {PAPER})"
        )
    rows = published_rows(study.file.published)
    if not _is_of(rows, study):
        raise UserError(
            f"study {study.name!r}: published table {study.file.published} is of {rows[0].model} on "
            f"{rows[0].dataset}, this study is of {study.file.model.name} on {study.file.dataset.name}"
        )
    return rows


def has_published(study: Study) -> bool:
    """Whether a study names a table of its own network and data; smoke versions name that of the whole study."""
    return study.file.published is not None and _is_of(published_rows(study.file.published), study)


def _is_of(rows: list[Published], study: Study) -> bool:
    return (rows[0].model, rows[0].dataset) == (study.file.model.name, study.file.dataset.name)


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
        is_own=variant["own"] == "yes",
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
        is_own=variant["own"] == "yes",
    )


def _number(text: str) -> float | None:
    return float(text) if text else None
