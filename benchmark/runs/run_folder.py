"""The folder of one run: its files, its result and its state.

    run.json  claim.json  attempts/0001.json  history.jsonl  checkpoint.pt
    result.json  masks.safetensors  model.safetensors
    recompute.json  history.new.jsonl       while a result is to be computed anew (see `recompute`)

`result.json` is written last. Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..api.errors import Damaged, OnlyRecorded
from .files import FROM_RECORD, SCHEMA, names_in, read_json, read_typed, size_of, write_json
from .run import DENSE, Run, canonical_json, from_dict, to_dict

State = Literal["done", "failed", "running", "interrupted", "missing", "damaged"]

WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class Status:
    """Where a run stands. `reason` is empty unless it failed, was interrupted or is damaged."""

    state: State
    reason: str = ""
    retryable: bool = True


@dataclass(frozen=True)
class RunFolder:
    """One run's folder and everything that may be asked of it."""

    path: Path

    @property
    def study(self) -> str:
        """The study that the run belongs to; `dense` for a dense training, which studies share."""
        return self.path.parent.name if self.path.parent.name == "dense" else self.path.parent.parent.name

    @property
    def result_path(self) -> Path:
        return self.path / "result.json"

    @property
    def checkpoint_path(self) -> Path:
        return self.path / "checkpoint.pt"

    @property
    def history_path(self) -> Path:
        return self.path / "history.jsonl"

    @property
    def model_path(self) -> Path:
        return self.path / WEIGHTS

    @property
    def masks_path(self) -> Path:
        return self.path / "masks.safetensors"

    @property
    def log_path(self) -> Path:
        return self.path / "log.txt"

    def create(self, run: Run) -> None:
        """Make the folder and write `run.json`; an existing one must describe the same run."""
        path = self.path / "run.json"
        if not path.exists():
            write_json(path, {"schema": SCHEMA, "id": run.id, "run": to_dict(run)})
            return
        if not self.describes(run):
            raise Damaged(path, f"it describes another run than id {run.id}")

    def describes(self, run: Run) -> bool:
        """Whether `run.json` is of this run. Raises Damaged for one that cannot be read."""
        from .stored_types import Described

        path = self.path / "run.json"
        content = read_typed(path, Described)
        try:
            return canonical_json(from_dict(content["run"])) == canonical_json(run)
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise Damaged(path, f"it describes no run ({error})") from error

    def read_result(self) -> dict[str, Any] | None:
        """The result, or None.

        Raises Damaged for a file that is not this run's result, UserError for one of another version of the format.
        """
        from .stored_types import Result, contradiction

        path = self.result_path
        try:
            result = read_typed(path, Result)
        except FileNotFoundError:
            return None
        if result["id"] != self.path.name:
            raise Damaged(path, f"it is the result of run {result['id']}")
        if reason := contradiction(result):
            raise Damaged(path, reason)
        return result

    def check_stored(self) -> bool:
        """Whether the result is there, with the files that it names. Raises Damaged if one of them is bad.

        Masks and weights are looked at by their size here; whoever loads them compares their digest, and `run` compares
        all (see `stored_files`). Raises OnlyRecorded for a dense training without weights that came from a record.
        """
        result = self.read_result()
        if result is None:
            return False
        is_dense = result["run"].get("method") == DENSE
        if result.get(FROM_RECORD):
            if is_dense:
                raise OnlyRecorded(self.model_path, "it is not here: only the record of the run is")
            return True
        named = result.get("files", {})
        for path in (self.masks_path, self.model_path):
            # Dense trainings of older versions have weights without facts.
            if path.name in named or (is_dense and path == self.model_path):
                size = size_of(path)
                if path.name in named and size != named[path.name]["bytes"]:
                    raise Damaged(path, f"it has {size} bytes, its result says {named[path.name]['bytes']}")
        return True

    def is_stored(self) -> bool:
        """Whether the result and the files that it names are there and undamaged, even if it is to be computed anew."""
        try:
            return self.check_stored()
        except Damaged:
            return False

    def attempts(self) -> list[dict[str, Any]]:
        """All attempts, oldest first; of a damaged record only that it is damaged."""
        return [_read_attempt(path) for path in self._attempt_paths()]

    def _attempt_paths(self) -> list[Path]:
        folder = self.path / "attempts"
        return [folder / name for name in sorted(names_in(folder)) if name[0].isdigit() and name.endswith(".json")]

    def write_attempt(self, index: int, attempt: Mapping[str, Any]) -> None:
        write_json(self.path / "attempts" / f"{index:04d}.json", attempt)

    def history(self) -> list[dict[str, Any]]:
        """The epochs, as `read_history` gives them."""
        from .history import read_history

        return read_history(self.history_path)

    def status(self, *, is_wanted_anew: bool = False) -> Status:
        """Done, failed, running, interrupted or missing, from the files alone.

        `is_wanted_anew`: the result that is there does not count, as if its computation anew had been asked for.
        """
        from .claim import CLAIM, holder
        from .recompute import REQUEST, is_asked

        # one listing instead of a look at each file
        names = names_in(self.path)
        has_result = self.result_path.name in names
        if has_result and not is_wanted_anew and not (REQUEST in names and is_asked(self)):
            return Status("done")
        if CLAIM in names and holder(self.path) is not None:
            return Status("running")
        paths = self._attempt_paths()
        if not paths:
            return Status("missing")
        last = _read_attempt(paths[-1])
        if last.get("outcome") == "failed":
            return Status("failed", last.get("reason", "unknown reason"), last.get("retryable", False))
        if has_result and last.get("outcome") == "done":
            return Status("missing", "its result is to be computed anew")
        return Status("interrupted", last.get("reason") or f"attempt {len(paths)} ended without recording an outcome")

    def allow_retry(self) -> None:
        """Note that a failed run may be tried again."""
        attempts = self.attempts()
        if attempts and attempts[-1].get("outcome") == "failed":
            self.write_attempt(len(attempts), {**attempts[-1], "outcome": "retried"})


def _read_attempt(path: Path) -> dict[str, Any]:
    from .stored_types import Attempt, flaw

    try:
        content = read_json(path)
    except Damaged as error:
        return {"outcome": None, "reason": str(error)}
    reason = flaw(content, Attempt)
    return {"outcome": None, "reason": f"{path} is damaged: {reason}"} if reason else content
