"""What the stored rows of a study spent of its budget."""

from __future__ import annotations

from ..runs.run import DENSE
from ..studies.schema import Budget
from .frame_type import Frame
from .groups import percent


def spent_of(frame: Frame, budget: Budget) -> list[tuple[float, str]]:
    """(Share of the budget, name) of each row and sparsity, ascending; means over stored runs.

    Multiply-adds are those that were counted after each epoch, with zeros skipped. The dense training that others start
    from is no row of its own.
    """
    done = frame[(frame["state"] == "done") & (frame["method"] != DENSE)]
    own = done["epochs"].astype(float)
    if budget.unit == "macs":
        own = own * done["macs_share"].astype(float)
    before = done["epochs_total"].astype(float) - done["epochs"].astype(float)
    spent = (own + (before if budget.dense == "included" else 0)) / budget.total
    means = spent.dropna().groupby([done["label"], done["target"]], sort=False).mean()
    named = (
        (float(share), f"{label} at {percent(target)}" if target else label) for (label, target), share in means.items()
    )
    return sorted(named)
