"""The three accuracies of a run, and the columns of the frame that hold them."""

from __future__ import annotations

from ..api.errors import unknown

ACCURACIES: dict[str, str] = {
    "last": "test accuracy of the last epoch",
    "selected": "test accuracy of the epoch chosen on the validation split",
    "best_test": "best TEST epoch (paper's protocol, selected on test), an optimistic number",
}

UNRANKED = ("best_test",)
"""Accuracies that rank nothing."""

NEVER_RANKED = "It is chosen on the test set, so rows are not ranked by it: nothing is marked."

SHORT_NAMES: dict[str, str] = {
    "last": "last epoch",
    "selected": "epoch that validation picks",
    "best_test": "best test epoch (the paper's)",
}
"""For legends, which have no room for a sentence."""


def accuracy_column(accuracy: str) -> str:
    """The frame's column of an accuracy. Raises UserError for an unknown name."""
    if accuracy not in ACCURACIES:
        raise unknown("accuracy", accuracy, ACCURACIES)
    return f"accuracy_{accuracy}"
