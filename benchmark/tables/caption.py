"""The sentences under a table: prunable set, seeds, what is missing."""

from __future__ import annotations

from ..analysis.frame_type import Frame
from ..analysis.groups import has_pruned
from ..analysis.older import SET_ASIDE, age_sentences
from ..analysis.spread import STATS, Stat
from ..runs.run import DENSE
from .networks import counts_phrase, outside_phrase


def spread_sentence(frame: Frame, stat: Stat) -> str:
    """What the number after the plus-minus is, and over how many seeds."""
    counts = _planned_counts(frame)
    if not counts:
        return "No runs."
    if counts[-1] == 1:
        return "Single runs (n = 1): no spread is known."
    number = f"n = {counts[0]}" if len(counts) == 1 else f"n = {counts[0]} to {counts[-1]}, given with each"
    return f"Mean ± {STATS[stat]} over seeds ({number})."


def seeds_sentence(frame: Frame) -> str:
    """The number of seeds, for tables that show no spread."""
    counts = _planned_counts(frame)
    if not counts:
        return "No runs."
    number = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"{number} {'seed' if counts[-1] == 1 else 'seeds'} for each method and sparsity."


def _planned_counts(frame: Frame) -> list[int]:
    """Distinct numbers of runs a cell, ascending; of dense rows if the study has no others."""
    counted = frame[frame["method"] != DENSE] if has_pruned(frame) else frame
    planned = counted[counted["state"] != "not run"]
    return sorted({len(group) for _, group in planned.groupby(["label", "target"], sort=False)})


def has_uneven_counts(frame: Frame) -> bool:
    """Whether cells have different numbers of runs, so that each has to show its own."""
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


def sentences(*found: str) -> tuple[str, ...]:
    """Those that are not empty."""
    return tuple(sentence for sentence in found if sentence)


def common_caption(frame: Frame, stat: Stat) -> tuple[str, ...]:
    """What tables of means say under their own sentences."""
    return sentences(spread_sentence(frame, stat), prunable_sentence(frame), missing_sentence(frame))
