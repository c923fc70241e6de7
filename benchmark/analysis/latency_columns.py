"""Measured latency as columns of the export, beside the accuracy and the multiply-adds of the same run."""

from __future__ import annotations

from ..runs.latency_variants import VARIANTS
from .frame_type import Frame
from .latency_frame import is_measured, latency_frame
from .study_results import StudyResults

COLUMN_OF = {variant: f"p50_{variant.replace('-', '_').replace(':', '_')}" for variant in VARIANTS}
RUN_LATENCY: dict[str, str] = {
    "latency_machine": "machine of the times below: of several the one that measured most runs, then the last one",
    "latency_batch": "inputs of a call, the smallest number that was measured",
    **{column: f"median seconds of a call: {VARIANTS[variant]}" for variant, column in COLUMN_OF.items()},
}
"""Name and meaning of the columns that an export has where latencies of the study were measured."""


def with_latency(runs: Frame, found: StudyResults) -> Frame:
    """The runs of a study with the columns of RUN_LATENCY; as they are where nothing is measured."""
    if not is_measured(found):
        return runs
    measured = latency_frame(found)
    by_machine = measured.groupby("machine").agg(count=("id", "nunique"), last=("finished", "max"))
    machine = by_machine.sort_values(["count", "last"]).index[-1]
    here = measured[measured["machine"] == machine]
    here = here[here["batch"] == here["batch"].min()]
    times = here.pivot_table(index="id", columns="variant", values="p50").rename(columns=COLUMN_OF)
    times["latency_machine"], times["latency_batch"] = machine, here["batch"].min()
    return runs.join(times.reindex(columns=list(RUN_LATENCY)), on="id")
