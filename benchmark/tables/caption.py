"""The sentences under a table: prunable set, seeds, what is missing."""

from __future__ import annotations

from ..analysis.failures import is_counted, num_failed
from ..analysis.frame_type import Frame
from ..analysis.groups import has_pruned
from ..analysis.older import SET_ASIDE, age_sentences
from ..analysis.retrainings import is_averaged, mean_retrainings
from ..analysis.spread import STATS, Stat
from ..runs.run import DENSE
from .networks import counts_phrase, outside_phrase


def spread_sentence(frame: Frame, stat: Stat) -> str:
    """What the number after the plus-minus is, and over how many seeds."""
    counts = _planned_counts(frame)
    if not counts:
        return "No runs."
    if counts[-1] == 1:
        what = "seeds" if is_averaged(frame) else "runs"
        return f"Single {what} (n = 1): no spread is known.{_RETRAININGS * is_averaged(frame)}"
    number = f"n = {counts[0]}" if len(counts) == 1 else f"n = {counts[0]} to {counts[-1]}, given with each"
    return f"Mean ± {STATS[stat]} over seeds ({number}).{_RETRAININGS * is_averaged(frame)}"


_RETRAININGS = " Retrainings of one seed are averaged first; a seed counts once all of them are stored."


def seeds_sentence(frame: Frame) -> str:
    """The number of seeds, for tables that show no spread."""
    counts = _planned_counts(frame)
    if not counts:
        return "No runs."
    number = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"{number} {'seed' if counts[-1] == 1 else 'seeds'} for each method and sparsity."


def _planned_counts(frame: Frame) -> list[int]:
    """Distinct numbers of runs a cell, ascending; of dense rows if the study has no others."""
    frame = mean_retrainings(frame)
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
    states = frame.loc[~is_counted(frame) & ~frame["state"].isin(["not run", SET_ASIDE]), "state"].value_counts()
    shown = ", ".join(f"{count} {state}" for state, count in states.items())
    total = int((frame["state"] != "not run").sum())
    what = "means over retrainings are not complete" if is_averaged(frame) else "runs are not stored"
    missing = [f"Incomplete: {int(states.sum())} of {total} {what} ({shown})."] if len(states) else []
    failed = num_failed(frame)
    missing += [f"Failed: {failed} of {total} runs, which count with the accuracy of chance."] if failed else []
    return " ".join([*missing, *age_sentences(frame)])


def external_sentence(frame: Frame) -> str:
    """Of networks whose weights are from a file; empty if there are none."""
    labels = list(dict.fromkeys(frame.loc[frame["start_weights"] == "external", "label"]))
    if not labels:
        return ""
    whose = "all rows" if len(labels) == frame["label"].nunique() else ", ".join(map(str, labels))
    return (
        f"dense=external: the weights of {whose} begin from a file. What it was trained on is not known here; it may "
        "have seen the validation split, so an epoch that validation picks is picked on seen data."
    )


def sentences(*found: str) -> tuple[str, ...]:
    """Those that are not empty."""
    return tuple(sentence for sentence in found if sentence)


def common_caption(frame: Frame, stat: Stat) -> tuple[str, ...]:
    """What tables of means say under their own sentences."""
    return sentences(spread_sentence(frame, stat), prunable_sentence(frame), missing_sentence(frame))
