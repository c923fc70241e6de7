"""Results that are older than the present code, and results that must not be averaged with others.

A mean is over runs of the same code, and a table over the same data: other results are set aside and named. Results
that do not record their code are used as they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from ..runs.number_of import number_of
from ..studies.age import CHANGES, counted
from .frame_type import Frame

SET_ASIDE = "set aside"
"""State of a stored run that tables leave out."""

OTHER_CODE = "of other code or weights than the other runs of its cell"
OTHER_DATA = "of other data than most results of the study"

_KEPT = frozenset(
    ("study", "id", "label", "method", "options", "dataset", "model", "target", "seed", "retrain_seed", "parent",
     "state", "reason", "fault", "start_weights", "code", "outdated", "data", "changed_since_submission")
)  # fmt: skip
"""Columns that do not depend on the result, and those about its origin."""


def set_aside(frame: Frame) -> Frame:
    """The frame without the numbers of results that must not be averaged with others; their state is SET_ASIDE."""
    data: Any = _is_of_other_data(frame)
    aside: Any = data | _is_of_other_code(frame)
    if not aside.any():
        return frame
    found = frame.copy()
    # A change of the pruning method's code does not affect the accuracy of the dense training.
    keeps_start = ~data & frame["outdated"].isin(["method"])
    for name in found.columns:
        if name not in _KEPT:
            found[name] = found[name].where(~aside | (keeps_start & (name == "accuracy_before")))
    found["state"] = found["state"].where(~aside, SET_ASIDE)
    found["reason"] = found["reason"].where(~aside, OTHER_CODE).where(~data, OTHER_DATA)
    return found


def _is_of_other_data(frame: Frame) -> Any:
    """Runs of other data than most results of their study."""
    other: Any = frame["state"].isin([])
    for _, rows in frame[frame["state"] == "done"].groupby("study", sort=False):
        usual = Counter(rows["data"].dropna()).most_common(1)
        if usual:
            other |= frame.index.isin(rows.index[rows["data"].notna() & (rows["data"] != usual[0][0])])
    return other


def _is_of_other_code(frame: Frame) -> Any:
    """Runs of older code that share a cell with runs of the present code, or with runs of another older code."""
    other: Any = frame["state"].isin([])
    for _, rows in frame[frame["state"] == "done"].groupby(["study", "label", "target"], sort=False):
        older = rows[rows["outdated"].notna()]
        has_present = (rows["code"].notna() & rows["outdated"].isna()).any()
        if has_present or older["code"].nunique() > 1:
            other |= frame.index.isin(older.index)
    return other


def num_aside(rows: Frame) -> int:
    """Number of these runs that are set aside."""
    return int((rows["state"] == SET_ASIDE).sum())


def is_older(rows: Frame) -> bool:
    """Whether a mean over these runs is of older code or weights."""
    return bool(((rows["state"] == "done") & rows["outdated"].notna()).any())


def num_changed(rows: Frame) -> int:
    """Number of these runs whose job found other code when it started than at its submission."""
    return int(((rows["state"] == "done") & rows["changed_since_submission"].eq(1)).sum())


MAX_NAMED = 8
"""Most rows that are named with what has changed; more are counted."""


def _named(rows: Sequence[tuple[str, str]]) -> list[str]:
    """`SNIP (code of the method)` for each row, or the number of rows for each change."""
    if len(rows) <= MAX_NAMED:
        return [f"{label} ({changed})" for label, changed in rows]
    counts = Counter(changed for _, changed in rows)
    return [f"{changed} ({number_of(number, 'row')})" for changed, number in counts.items()]


def age_sentences(frame: Frame) -> list[str]:
    """What a caption says of older results and of those set aside; empty if there are none."""
    done, aside = frame[frame["state"] == "done"], frame[frame["state"] == SET_ASIDE]
    sentences = []
    older = done[done["outdated"].notna()]
    if len(older):
        rows = _named([(str(label), changes(group)) for label, group in older.groupby("label", sort=False)])
        sentences.append(
            f"{counted(len(older), 'result')} of older code or weights than the present: {'; '.join(rows)}."
        )
    if number := int((aside["reason"] == OTHER_CODE).sum()):
        sentences.append(
            f"{counted(number, 'result')} left out: of older code or weights than others of the same cell."
        )
    if number := num_changed(frame):
        sentences.append(f"{counted(number, 'result')} of jobs whose code had changed since they were submitted.")
    foreign = aside[aside["reason"] == OTHER_DATA]
    if len(foreign):
        sentences.append(_data_sentence(done, foreign))
    unknown = sum(int(group["code"].isna().sum()) for group in _of_unknown_and_known_code(done))
    if unknown:
        sentences.append(
            f"{counted(unknown, 'result')} averaged with others without knowing the code: it is not recorded."
        )
    return sentences


def _data_sentence(done: Frame, foreign: Frame) -> str:
    shown = ", ".join(f"{count} of {str(data)[:12]}" for data, count in Counter(foreign["data"]).items())
    usual = ", ".join(str(data)[:12] for data in dict.fromkeys(done["data"].dropna()))
    return (
        f"Results are of different data, by the fingerprint of the data set: only those of {usual} are shown, "
        f"{counted(len(foreign), 'result')} left out ({shown})."
    )


def _of_unknown_and_known_code(done: Frame) -> list[Frame]:
    groups = [group for _, group in done.groupby(["study", "label", "target"], sort=False)]
    return [group for group in groups if group["code"].isna().any() and group["code"].notna().any()]


def changes(older: Frame) -> str:
    """What has changed since these runs: `code of the method, weights file`."""
    keys = {key for age in older["outdated"].dropna() for key in str(age).split()}
    return ", ".join(text for key, text in CHANGES.items() if key in keys)
