"""The results folder: one folder for each run, so that jobs never write the same file.

    ROOT/dense/<run id>/            dense trainings, shared by all studies
    ROOT/<study>/runs/<run id>/     all other runs

There is no database and no file that several jobs write: both fail on the shared file systems of clusters. Nothing
here imports torch.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..api.errors import Damaged, UserError
from .files import names_in
from .run import Run
from .run_folder import RunFolder, Status

RESERVED = ("dense", "published", "reference", "contributed")
"""Names in the results folder that no study can have."""

LATENCY_FOLDER = "latency"
"""In a study's folder: what is measured of its runs on each machine (see `latency_files`)."""


@dataclass(frozen=True)
class Store:
    """The results folder.

    `damaged` collects the files that could not be read, with the reason: readers go on without them, and the command
    names them all at its end.
    """

    root: Path
    damaged: dict[Path, str] = field(default_factory=dict, compare=False, repr=False)

    def folder(self, study: str, run: Run) -> RunFolder:
        base = self.root / "dense" if run.is_dense else self.root / study / "runs"
        return RunFolder(base / run.id)

    def result(self, study: str, run: Run) -> dict[str, Any] | None:
        """The stored result of a run; None if there is none, or if it is damaged, which is noted."""
        try:
            return self.folder(study, run).read_result()
        except Damaged as error:
            self.note(error)
            return None

    def note(self, error: Damaged) -> None:
        """Add a file to `damaged`."""
        self.damaged[error.path] = error.reason

    def status(self, study: str, run: Run) -> Status:
        """As `RunFolder.status`; a result that was noted as damaged is not done."""
        folder = self.folder(study, run)
        reason = self.damaged.get(folder.result_path)
        return folder.status() if reason is None else Status("damaged", f"{folder.result_path.name}: {reason}")

    def study_folder(self, study: str) -> Path:
        return self.root / study

    def num_done(self, study: str, runs: Iterable[Run]) -> int:
        """How many of the runs have a result."""
        folders = {is_dense: f"{self.root}/{'dense' if is_dense else f'{study}/runs'}" for is_dense in (True, False)}
        # os.path: building a Path for each of thousands of runs would take longer
        return sum(os.path.exists(f"{folders[run.is_dense]}/{run.id}/result.json") for run in runs)  # noqa: PTH110

    def existing(self, study: str) -> set[str]:
        """Ids of all runs that have a folder: the study's and the shared dense ones."""
        found: set[str] = set()
        for base in (self.root / "dense", self.root / study / "runs"):
            with contextlib.suppress(FileNotFoundError):
                found.update(entry.name for entry in os.scandir(base))
        return found

    def find(self, run_id: str) -> Iterator[RunFolder]:
        """Folders whose id starts with `run_id`, in any study."""
        for base in (self.root / "dense", *sorted(self.root.glob("*/runs"))):
            names_in(base)  # raises PermissionError where glob would find nothing
            for path in sorted(base.glob(f"{run_id}*")):
                if (path / "run.json").exists():
                    yield RunFolder(path)

    def find_one(self, run_id: str) -> RunFolder:
        """The folder of a run, by its id or the beginning of one. Raises UserError for none or several.

        `STUDY/RUN` names a run that two studies have.
        """
        study, _, beginning = run_id.rpartition("/")
        if not re.fullmatch(r"[0-9a-f]{1,12}", beginning):
            raise UserError(f"run {run_id!r} is not a run id: up to twelve of the digits 0-9 and a-f")
        found = [folder for folder in self.find(beginning) if study in ("", folder.study)]
        if len(found) != 1:
            names = ", ".join(f"{folder.study}/{folder.path.name}" for folder in found[:5])
            raise UserError(
                f"run {run_id!r}: {'no such run' if not found else f'several match: {names}'} in {self.root}"
            )
        return found[0]
