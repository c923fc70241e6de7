"""Milliseconds, bytes and memory of stored networks by variant, each machine by itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ..analysis.frame_type import Frame
from ..analysis.groups import Group, heading, subject
from ..analysis.latency_frame import csr_by_machine, latency_frame, left_out
from ..analysis.latency_text import csr_lines
from ..analysis.spread import Stat
from ..analysis.study_results import StudyResults
from ..runs.latency_variants import VARIANTS
from ..runs.run import DENSE
from .caption import common_caption, sentences
from .cell import mean_cell, measured_cell
from .table import Cell, Column, Note, Roles, Table, TableRow

NOT_MEASURED = "runs are not measured on this machine; (measured/runs)"
AS_SMALL = "packed, it takes at most the bytes of the dense network in INT8"
OF_DENSE = ("dense", "dense-half", "dense-onnx")
INT8 = "int8-onnx"


def latency_table(found: StudyResults, stat: Stat = "std") -> Table:
    """A block for each row and sparsity, and for each machine if there are several; a row for each variant.

    Raises UserError if nothing is measured.
    """
    frame = latency_frame(found)
    batches = sorted({int(batch) for batch in frame["batch"]})
    machines = list(dict.fromkeys(frame["machine"]))
    has_joules = bool(frame["joules"].notna().any())
    here = [_Machine(name, frame[frame["machine"] == name], batches, stat, has_joules) for name in machines]
    rows = [row for machine in here for row in _rows(found, machine, names_machine=len(here) > 1)]
    timed = ("p50 (ms)", "p95 (ms)", "x dense", *(("joules",) * has_joules))
    return Table(
        name="latency",
        title=f"Latency of {subject(found.frame)}",
        corner="Network",
        columns=(
            *(Column(heading=name) for name in ("accuracy (%)", "file (kB)", "packed (kB)", "memory (MB)")),
            *(Column(heading=name, group=f"batch {batch}") for batch in batches for name in timed),
        ),
        rows=tuple(rows),
        roles=Roles(row="row", block="setting", heading="measure"),
        caption=sentences(*_caption(found, frame, machines, has_joules=has_joules), *common_caption(found.frame, stat)),
        facts={"stat": stat, "machines": machines},
    )


@dataclass(frozen=True)
class _Machine:
    """What is measured on one machine; `int8_bytes` are those of the dense network in INT8, None without one."""

    name: str
    rows: Frame
    batches: list[int]
    stat: Stat
    has_joules: bool

    @property
    def has_dense(self) -> bool:
        return bool((self.rows["method"] == DENSE).any())

    @property
    def int8_bytes(self) -> float | None:
        sizes = self.rows.loc[self.rows["variant"] == INT8, "file_bytes"]
        return float(sizes.min()) if len(sizes) else None


def _rows(found: StudyResults, machine: _Machine, *, names_machine: bool) -> Iterator[TableRow]:
    """Dense variants are in the blocks of dense trainings, or of each pruned row where none of these is measured."""
    for (label, target), rows in machine.rows.groupby(["label", "target"], sort=False):
        runs = found.frame[(found.frame["label"] == label) & (found.frame["target"] == target)]
        group = Group(str(label), float(target), runs)
        is_dense = bool((rows["method"] == DENSE).any())
        block = group.label if is_dense else f"{group.label}, {heading(group.target)}"
        for variant in VARIANTS:
            each = rows[rows["variant"] == variant]
            if len(each) and (variant not in OF_DENSE or is_dense or not machine.has_dense):
                cells = _cells(group, variant, each, machine, _num_planned(found, group), is_dense=is_dense)
                name = f"{block}; {machine.name}" if names_machine else block
                yield TableRow(label=VARIANTS[variant], block=name, cells=tuple(cells))


def _cells(
    group: Group, variant: str, rows: Frame, machine: _Machine, expected: int, *, is_dense: bool
) -> Iterator[Cell]:  # fmt: skip
    yield _accuracy(group, variant, rows, machine.stat, is_dense=is_dense)
    yield from _sizes(rows, None if is_dense else machine.int8_bytes)
    for batch in machine.batches:
        yield from _times(rows[rows["batch"] == batch], machine, expected)


def _num_planned(found: StudyResults, group: Group) -> int:
    """Runs of the study behind a block, retrainings each by itself."""
    rows = (row for row in found.study.rows if (row.label, row.sparsity) == (group.label, group.target))
    return len({row.run.id for row in rows if row.run is not None})


def _accuracy(group: Group, variant: str, rows: Frame, stat: Stat, *, is_dense: bool) -> Cell:
    """That of the run for variants with its outputs; its own where they are other ones."""
    if variant == INT8:
        values = [float(value) for value in rows.drop_duplicates("id")["accuracy"].dropna()]
        return mean_cell(values, stat, expected=len(values)) if values else Cell(text="–")
    if variant.endswith("-half") or (variant in OF_DENSE and not is_dense):
        return Cell(text="–")
    return measured_cell(group, "accuracy_last", stat, None)


def _sizes(rows: Frame, limit: float | None) -> list[Cell]:
    once = rows.drop_duplicates("id")
    packed = _mean(once, "packed_bytes", 1e-3, 1)
    if limit is not None and packed.value is not None and packed.value * 1e3 <= limit:
        packed = _mean(once, "packed_bytes", 1e-3, 1, (Note("◇", AS_SMALL),))
    return [_mean(once, "file_bytes", 1e-3, 1), packed, _mean(once, "peak_memory_bytes", 1e-6, 1)]


def _mean(rows: Frame, column: str, scale: float, digits: int, notes: tuple[Note, ...] = ()) -> Cell:
    values = [float(value) for value in rows[column].dropna()]
    if not values:
        return Cell(text="–")
    return Cell(value=scale * sum(values) / len(values), digits=digits, notes=notes)


def _times(rows: Frame, machine: _Machine, expected: int) -> list[Cell]:
    """Median, 95th percentile, how many times as fast as dense, and joules where any were counted."""
    if rows.empty:
        return [Cell(text="–")] * (4 if machine.has_joules else 3)
    notes = (Note("‡", NOT_MEASURED),) if len(rows) < expected else ()
    stat = machine.stat
    cells = [
        mean_cell([float(value) for value in rows[name]], stat, expected=expected, scale=1e3, digits=3, notes=notes)
        for name in ("p50", "p95")
    ]
    ratios = [float(value) for value in (rows["dense_p50"] / rows["p50"]).dropna()]
    cells.append(mean_cell(ratios, stat, expected=len(ratios), scale=1.0, digits=2) if ratios else Cell(text="–"))
    return [*cells, _mean(rows, "joules", 1.0, 4)] if machine.has_joules else cells


def _caption(found: StudyResults, frame: Frame, machines: list[str], *, has_joules: bool) -> Iterator[str]:
    yield (
        "Median and 95th percentile of the milliseconds of a call, variants of a network timed in turns; x dense: how "
        "many times as fast as the dense network by torch in the same turns. Float32 where nothing else is said, "
        "without TF32. Accuracy of the last epoch, whose weights these are; all variants of a network but INT8 and "
        "float16 give the same outputs within rounding."
    )
    yield (
        "File: as safetensors or ONNX, zeros stored; packed: a bit for each weight and the values that are not zero. "
        "Memory: what weights and one call with the largest batch add at their peak."
    )
    if has_joules:
        yield "Joules of one input by the card's counter, idle power included."
    days = sorted({datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d") for value in frame["finished"].dropna()})
    yield f"Measured on {'; '.join(machines)} ({' to '.join(dict.fromkeys([days[0], days[-1]]))})." if days else ""
    products: Mapping[str, Mapping[str, Any]] = csr_by_machine(found.study, found.store)
    for machine, content in products.items():
        where = f" ({machine})" if len(machines) > 1 else ""
        yield f"{'; '.join(csr_lines(content))}{where}."
    for reason, variants in left_out(found).items():
        yield f"Left out ({reason}): {'; '.join(VARIANTS[name] for name in variants)}."
