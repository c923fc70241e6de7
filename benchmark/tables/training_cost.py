"""What the training of a row costs, as columns of tables of accuracies: two readings of its epochs, multiply-adds."""

from __future__ import annotations

from ..analysis.frame_type import Frame
from .multiply_adds import best_unit
from .table import Cell, Column

SENTENCE = (
    "Cost of a run: epochs of its own training, and with those of the dense training that it starts from; "
    "multiply-adds of both, forward and backward, and of scores, on a machine that does not skip zeros."
)
_EPOCHS = {"own epochs": "epochs", "with dense": "epochs_total"}


class TrainingCost:
    """The columns and the cells of rows; multiply-adds are in one unit for all rows of a frame."""

    def __init__(self, frame: Frame) -> None:
        macs = _macs(frame).dropna()
        self._size, self._unit = best_unit(float(macs.max())) if len(macs) else (1.0, "")

    @property
    def columns(self) -> tuple[Column, ...]:
        unit = f" ({self._unit})" if self._unit else ""
        headings = (*_EPOCHS, f"training MACs{unit}")
        return tuple(Column(heading=heading, measure=heading) for heading in headings)

    def cells(self, rows: Frame) -> tuple[Cell, ...]:
        """Of the stored runs of a label, at all sparsities: a number where they are equal, else from least to most."""
        epochs = (_cell(rows[column].dropna(), digits=0) for column in _EPOCHS.values())
        return (*epochs, _cell(_macs(rows).dropna() / self._size, digits=3))


def _macs(rows: Frame) -> Frame:
    return rows["train_macs"].astype(float) + rows["train_macs_scoring"].astype(float).fillna(0.0)


def _cell(values: Frame, digits: int) -> Cell:
    if values.empty:
        return Cell(text="–")
    low, high = (f"{float(value):.{digits}f}" for value in (values.min(), values.max()))
    return Cell(value=float(values.mean()), digits=digits) if low == high else Cell(text=f"{low} to {high}")
