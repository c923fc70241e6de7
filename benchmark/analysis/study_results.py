"""Everything that tables and figures of one study are made from, read from the store when first needed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from ...datasets.registry import describe, is_own, is_text
from ..api.errors import UserError
from ..runs.store import Store
from ..studies.load import Study
from .failures import count_failures
from .frame import study_frame
from .frame_type import Frame
from .last_epochs import fill_last_epochs
from .long_frames import epoch_frame, layer_frame
from .older import SET_ASIDE, set_aside
from .pair_frame import pair_frame
from .retrainings import mean_epochs, mean_layers, mean_retrainings


@dataclass(frozen=True)
class StudyResults:
    """The results of a study.

    Attributes:
        runs: a row for each run; those that must not be averaged with the others are set aside.
        frame: a row for each seed, the mean of its retrainings: what tables and figures take as independent values. A
            run that failed by its own fault has the accuracy of chance.
    """

    study: Study
    store: Store
    runs: Frame

    @cached_property
    def frame(self) -> Frame:
        return count_failures(mean_retrainings(self.runs), self.chance, self.bits_of_chance)

    @cached_property
    def filled(self) -> Frame:
        """`frame` with the mean of the last epochs of older results too, which is read from their histories."""
        runs = fill_last_epochs(self.runs, self.study, self.store)
        return count_failures(mean_retrainings(runs), self.chance, self.bits_of_chance)

    @cached_property
    def layers(self) -> Frame:
        """A row for each layer of each run that is shown, of retrainings of one seed their means."""
        every, shown = layer_frame(self.study, self.store), self.runs["state"] == "done"
        return mean_layers(every[every["id"].isin(self.runs.loc[shown, "id"])])

    @cached_property
    def epochs(self) -> Frame:
        """A row for each epoch of each run, finished or not, that is not set aside; means of retrainings."""
        every, aside = epoch_frame(self.study, self.store), self.runs["state"] == SET_ASIDE
        return mean_epochs(every[~every["id"].isin(self.runs.loc[aside, "id"])])

    @cached_property
    def pairs(self) -> Frame:
        """A row for each pair of retrainings that the study measures."""
        return pair_frame(self.study, self.store)

    @cached_property
    def chance(self) -> float:
        """Accuracy of always naming the same class, for classes of equal size."""
        dataset = self.study.file.dataset
        if is_own(dataset.name):
            return self._stored_chance()
        return 1 / describe(dataset.name, **dataset.options).num_classes

    @cached_property
    def bits_of_chance(self) -> float | None:
        """Of a text: bits per byte of guessing with all bytes equally likely. None for other data."""
        return -math.log2(self.chance) if is_text(self.study.file.dataset.name) and self.chance else None

    def _stored_chance(self) -> float:
        """From the first stored result: a user's own data may be on another machine. 0 if nothing is stored."""
        found = next(filter(None, (self.store.result(self.study.name, run) for run in self.study.runs)), None)
        return 0.0 if found is None else 1 / found["data"]["facts"]["num_classes"]


def read_results(study: Study, store: Store, frame: Frame | None = None) -> StudyResults:
    """The results of a study; `frame` is that of `study_frame`, for callers that have it already."""
    return StudyResults(study, store, set_aside(study_frame(study, store) if frame is None else frame))


def measured_pairs(found: StudyResults) -> Frame:
    """The frame of pairs. Raises UserError for a study that measures none."""
    if not found.study.file.measure:
        raise UserError(f"study {found.study.name!r} measures nothing between its runs: it has no key 'measure'")
    return found.pairs
