"""Failed runs count: a run that failed by its own fault has the accuracy of guessing a class in every mean and test.

A method that diverges on one seed of three would otherwise be judged by the two that went well. A failure of the
machine says nothing about the method: that run is missing, and `run` computes it again.
"""

from __future__ import annotations

from typing import Any

from .frame_type import Frame

OWN_FAULT = "run"
"""In the frame's column `fault`: the run failed by its own fault."""

MACHINE_FAULT = "machine"
"""The machine failed."""

COUNTED = ("accuracy_last", "accuracy_last5", "accuracy_selected", "accuracy_best_test")
"""The accuracies that a failed run has; nothing else of it is known."""
COUNTED_BITS = ("bits_last", "bits_selected")
"""Of texts also these."""


def count_failures(frame: Frame, chance: float, bits: float | None = None) -> Frame:
    """The frame with the accuracy of chance, of texts also its `bits`, for each run that failed by its own fault."""
    failed = has_failed(frame)
    if not failed.any():
        return frame
    counted = frame.copy()
    for names, value in ((COUNTED, chance), (COUNTED_BITS, bits)):
        for name in names if value is not None else ():
            counted[name] = counted[name].astype(float).where(~failed, value)
    return counted


def has_failed(rows: Frame) -> Any:
    """Which rows failed by their own fault."""
    return (rows["state"] == "failed") & (rows["fault"] == OWN_FAULT)


def num_failed(rows: Frame) -> int:
    """How many of these runs failed by their own fault."""
    return int(has_failed(rows).sum())


def is_counted(rows: Frame) -> Any:
    """Which rows have an accuracy that counts: stored runs, and those that failed by their own fault."""
    return (rows["state"] == "done") | has_failed(rows)
