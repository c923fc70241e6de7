"""What tables say of results that are older than the present code, and which results they do not mix.

A mean is over runs of one code and a table over one data set: what does not belong is set aside and named. Results that
do not record their code are taken as they are.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from ..analysis.frame_type import Frame
from ..studies.age import CHANGES, counted
from .table import Note

SET_ASIDE = "set aside"
"""The state of a stored run that is left out of a table."""

OTHER_CODE = "of other code or weights than the other runs of its cell"
OTHER_DATA = "of other data than most results of the study"

OLDER = "of older code or weights than the present, so not compared for best"
LEFT_OUT = "stored runs are left out, because they are of other code, weights or data than the others"

_KEPT = frozenset(
    ("study", "id", "label", "method", "options", "dataset", "model", "target", "seed", "parent", "state", "reason",
     "code", "outdated", "data")
)  # fmt: skip
"""Columns that a run has whether it is stored or not, and those that say where its result comes from."""


def set_aside(frame: Frame) -> Frame:
    """The frame without the numbers of results that must not be averaged with others; their state says so."""
    data: Any = _is_of_other_data(frame)
    aside: Any = data | _is_of_other_code(frame)
    if not aside.any():
        return frame
    found = frame.copy()
    # The accuracy of the dense training is right where only the method's own code has changed.
    keeps_start = ~data & frame["outdated"].isin(["method"])
    for name in found.columns:
        if name not in _KEPT:
            found[name] = found[name].where(~aside | (keeps_start & (name == "accuracy_before")))
    found["state"] = found["state"].where(~aside, SET_ASIDE)
    found["reason"] = found["reason"].where(~aside, OTHER_CODE).where(~data, OTHER_DATA)
    return found


def _is_of_other_data(frame: Frame) -> Any:
    """Runs whose data are not those of most results of their study."""
    other: Any = frame["state"].isin([])
    for _, rows in frame[frame["state"] == "done"].groupby("study", sort=False):
        usual = Counter(rows["data"].dropna()).most_common(1)
        if usual:
            other |= frame.index.isin(rows.index[rows["data"].notna() & (rows["data"] != usual[0][0])])
    return other


def _is_of_other_code(frame: Frame) -> Any:
    """Runs of older code that share a cell with runs of the present one, or of several older ones."""
    other: Any = frame["state"].isin([])
    for _, rows in frame[frame["state"] == "done"].groupby(["study", "label", "target"], sort=False):
        older = rows[rows["outdated"].notna()]
        has_present = (rows["code"].notna() & rows["outdated"].isna()).any()
        if has_present or older["code"].nunique() > 1:
            other |= frame.index.isin(older.index)
    return other


def done_ids(frame: Frame) -> list[str]:
    """Ids of the runs that are stored and not set aside."""
    return list(frame.loc[frame["state"] == "done", "id"])


def aside_ids(frame: Frame) -> list[str]:
    """Ids of the runs that are stored but set aside."""
    return list(frame.loc[frame["state"] == SET_ASIDE, "id"])


def num_aside(rows: Frame) -> int:
    """How many of some runs are stored but set aside."""
    return int((rows["state"] == SET_ASIDE).sum())


def is_older(rows: Frame) -> bool:
    """Whether a number over these runs is one of older code or weights."""
    return bool(((rows["state"] == "done") & rows["outdated"].notna()).any())


def age_notes(name: str, rows: Frame) -> tuple[Note, ...]:
    """What a reader of a cell has to know about the age of the runs behind it."""
    notes = []
    if is_older(rows):
        notes.append(Note("⊖", OLDER, f"{name} ({_changes(rows[rows['state'] == 'done'])})"))
    if number := num_aside(rows):
        notes.append(Note("⊘", LEFT_OUT, f"{name}: {number} of {len(rows)}"))
    return tuple(notes)


def age_sentences(frame: Frame) -> list[str]:
    """The same for a whole table or figure, row by row; empty where all is of the present code and of the same data."""
    done, aside = frame[frame["state"] == "done"], frame[frame["state"] == SET_ASIDE]
    sentences = []
    older = done[done["outdated"].notna()]
    if len(older):
        rows = (f"{label} ({_changes(group)})" for label, group in older.groupby("label", sort=False))
        sentences.append(
            f"{counted(len(older), 'result')} of older code or weights than the present: {', '.join(rows)}."
        )
    if number := int((aside["reason"] == OTHER_CODE).sum()):
        sentences.append(
            f"{counted(number, 'result')} left out: of older code or weights than others of the same cell."
        )
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


def _changes(older: Frame) -> str:
    keys = {key for age in older["outdated"].dropna() for key in str(age).split()}
    return ", ".join(text for key, text in CHANGES.items() if key in keys)
