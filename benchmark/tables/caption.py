"""The sentences under a table: protocol, prunable set, seeds, what is missing. Nothing a reader has to guess."""

from __future__ import annotations

from typing import Literal

from ..analysis.frame_type import Frame
from ..api.errors import unknown
from ..runs.run import DENSE
from .cell import SPREAD_NAMES, Stat, has_pruned
from .networks import counts_phrase, outside_phrase
from .older import SET_ASIDE, age_sentences

Accuracy = Literal["last", "selected", "best_test"]
ACCURACIES: dict[Accuracy, str] = {
    "last": "test accuracy of the last epoch",
    "selected": "test accuracy of the epoch chosen on the validation split",
    "best_test": "best TEST epoch (paper's protocol, selected on test), an optimistic number",
}


def accuracy_column(accuracy: str) -> str:
    """The frame's column of an accuracy. Raises UserError for another name."""
    if accuracy not in ACCURACIES:
        raise unknown("accuracy", accuracy, ACCURACIES)
    return f"accuracy_{accuracy}"


def subject(frame: Frame) -> str:
    """`convnet-small on digits`."""
    pairs = frame[["model", "dataset"]].drop_duplicates()
    return ", ".join(f"{model} on {dataset}" for model, dataset in pairs.itertuples(index=False))


def spread_sentence(frame: Frame, stat: Stat) -> str:
    """What stands behind the plus-minus, and over how many seeds."""
    counts = _planned_counts(frame)
    if not counts:
        return "No runs."
    if counts[-1] == 1:
        return "Single runs (n = 1): no spread is known."
    number = f"n = {counts[0]}" if len(counts) == 1 else f"n = {counts[0]} to {counts[-1]}, in brackets"
    return f"Mean ± {SPREAD_NAMES[stat]} over seeds ({number})."


def seeds_sentence(frame: Frame) -> str:
    """How many seeds stand behind a number, for tables that give no spread over them."""
    counts = _planned_counts(frame)
    if not counts:
        return "No runs."
    number = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"{number} {'seed' if counts[-1] == 1 else 'seeds'} for each method and sparsity."


def _planned_counts(frame: Frame) -> list[int]:
    """Different numbers of runs of a pruned label at a sparsity, ascending; of dense ones where none is pruned."""
    counted = frame[frame["method"] != DENSE] if has_pruned(frame) else frame
    planned = counted[counted["state"] != "not run"]
    return sorted({len(group) for _, group in planned.groupby(["label", "target"], sort=False)})


def has_uneven_counts(frame: Frame) -> bool:
    """Whether cells stand on different numbers of runs, so that each has to say its own."""
    return len(_planned_counts(frame)) > 1


def prunable_sentence(frame: Frame) -> str:
    """Which weights a sparsity counts, and what stays dense."""
    counts, outside = counts_phrase(frame), outside_phrase(frame)
    return (
        "Sparsity counts the weights of all convolution, linear, recurrent and attention layers, first and last "
        f"included{f' ({counts})' if counts else ''}; biases and normalisation stay dense"
        f"{f', and so do the parameters outside the count: {outside}' if outside else ''}."
    )


def missing_sentence(frame: Frame) -> str:
    """How many runs are not stored, by state, and which are of other code or data; empty where none is."""
    states = frame.loc[~frame["state"].isin(["done", "not run", SET_ASIDE]), "state"].value_counts()
    shown = ", ".join(f"{count} {state}" for state, count in states.items())
    total = int((frame["state"] != "not run").sum())
    missing = [f"Incomplete: {int(states.sum())} of {total} runs are not stored ({shown})."] if len(states) else []
    return " ".join([*missing, *age_sentences(frame)])


def common_caption(frame: Frame, stat: Stat) -> list[str]:
    sentences = [spread_sentence(frame, stat), prunable_sentence(frame), missing_sentence(frame)]
    return [sentence for sentence in sentences if sentence]
