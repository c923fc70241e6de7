"""The mean of the last epochs of results that were stored before it was part of a result: from their histories."""

from __future__ import annotations

from ..runs.eligible import at_final_sparsity, mean_of_last
from ..runs.store import Store
from ..studies.load import Study
from .frame_type import Frame
from .long_frames import epochs_of


def fill_last_epochs(frame: Frame, study: Study, store: Store) -> Frame:
    """The frame of the study's runs with `accuracy_last5` of every stored run whose history can be read."""
    lacking = frame.index[(frame["state"] == "done") & frame["accuracy_last5"].isna()]
    if lacking.empty:
        return frame
    runs, filled = {run.id: run for run in study.runs}, frame.copy()
    filled["accuracy_last5"] = filled["accuracy_last5"].astype(float)
    for index in lacking:
        run = runs[str(frame.loc[index, "id"])]
        history = epochs_of(store, store.folder(study.name, run), store.result(study.name, run))
        mean = mean_of_last([epoch["test_accuracy"] for epoch in at_final_sparsity(history)])
        filled.loc[index, "accuracy_last5"] = float("nan") if mean is None else mean
    return filled
