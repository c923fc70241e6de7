"""Results on disk: one folder a run, written atomically, so that a killed job leaves the old state or the new one.

    ROOT/dense/<run id>/            dense trainings, shared by all studies
    ROOT/<study>/runs/<run id>/     everything else
        run.json  claim.json  attempts/0001.json  history.jsonl  checkpoint.pt
        result.json  masks.safetensors  model.safetensors
        recompute.json  history.new.jsonl       while a result is to be computed anew (see `recompute`)

`result.json` is written last and is the only file that tables read. No database and no file that several jobs write:
both break on the shared file systems of clusters. Nothing here imports torch.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..api.errors import Damaged, OnlyRecorded, UserError
from .run import DENSE, Run, canonical_json, from_dict, id_of, to_dict

SCHEMA = 1
RESERVED = ("dense", "published", "reference")
"""Names in the results folder that no study can have."""

FROM_RECORD = "from_record"
"""Key of a result that came from a record (see `records`): the files that it names are on another machine."""

State = Literal["done", "failed", "running", "interrupted", "missing", "damaged"]


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write beside the target, flush to disk, rename: readers see the old file or the new one, never a part."""
    data = content.encode() if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes private files; results are shared as the user's umask says
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)
        Path(temporary).replace(path)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)
        raise


def write_json(path: Path, value: Any) -> None:
    write_atomically(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def read_stored(path: Path) -> bytes:
    """The content of a file of a run. Raises FileNotFoundError, and Damaged where something else than a file is."""
    try:
        return path.read_bytes()
    except IsADirectoryError:
        raise Damaged(path, "it is a folder, not a file") from None
    except NotADirectoryError:
        # What should be the run's folder is a file: nothing of the run is there.
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise Damaged(path, "it is a link that leads back to itself") from None
        raise


def read_json(path: Path) -> Any:
    """Parsed JSON. Raises Damaged for a file that is not JSON: such a file was not written by the suite."""
    # Twice as fast as json.loads, for tables of thousands of results; late, since every command imports this module.
    from pydantic_core import from_json

    try:
        return from_json(read_stored(path))
    except ValueError as error:
        raise Damaged(path, f"not valid JSON ({error})") from error


def read_typed(path: Path, kind: type) -> dict[str, Any]:
    """The content of a file of this format. Raises Damaged for another shape, UserError for another version."""
    from .stored_types import flaw

    content = read_json(path)
    check_schema(content, path)
    if reason := flaw(content, kind):
        raise Damaged(path, reason)
    return content


def size_of(path: Path) -> int:
    """Bytes of a file that a result names. Raises Damaged where it is missing, or something else is in its place."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise Damaged(path, "it is missing, and its result says that it is there") from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise Damaged(path, "it is a link that leads back to itself") from None
        raise
    if not stat.S_ISREG(found.st_mode):
        raise Damaged(path, f"it is {'a folder' if stat.S_ISDIR(found.st_mode) else 'a device or a pipe'}, not a file")
    return found.st_size


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
        return self.path / "model.safetensors"

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
        from .stored_types import Result

        path = self.result_path
        try:
            result = read_typed(path, Result)
        except FileNotFoundError:
            return None
        if result["id"] != self.path.name:
            raise Damaged(path, f"it is the result of run {result['id']}")
        if reason := _contradiction(result):
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

    def attempts(self) -> list[dict[str, Any]]:
        """All attempts, oldest first; of a damaged record only that it is damaged."""
        return [_read_attempt(path) for path in self._attempt_paths()]

    def _attempt_paths(self) -> list[Path]:
        folder = self.path / "attempts"
        return [folder / name for name in sorted(_names(folder)) if name[0].isdigit() and name.endswith(".json")]

    def write_attempt(self, index: int, attempt: Mapping[str, Any]) -> None:
        write_json(self.path / "attempts" / f"{index:04d}.json", attempt)

    def history(self) -> list[dict[str, Any]]:
        """Records of the epochs up to the first that cannot be read: a killed writer leaves a torn last line."""
        from .stored_types import Epoch, flaw

        records = []
        try:
            lines = read_stored(self.history_path).decode(errors="replace").splitlines()
        except (FileNotFoundError, Damaged):
            return []
        for line in lines:
            try:
                record = json.loads(line)
            except ValueError:
                break
            if flaw(record, Epoch):
                break
            records.append(record)
        return records

    def status(self, *, is_wanted_anew: bool = False) -> Status:
        """Done, failed, running, interrupted or missing, from the files alone.

        `is_wanted_anew`: the result that is there does not count, as if its computation anew had been asked for.
        """
        from .claim import CLAIM, holder
        from .recompute import WISH, is_asked

        # one listing instead of a look at each file
        names = _names(self.path)
        has_result = self.result_path.name in names
        if has_result and not is_wanted_anew and not (WISH in names and is_asked(self)):
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


@dataclass(frozen=True)
class Store:
    """The results folder. `keeps_index`: readers of many results may keep an index beside them (see `index`).

    `damaged` collects the files that could not be read, with the reason: readers go on without them, and the command
    names them all at its end.
    """

    root: Path
    keeps_index: bool = True
    damaged: dict[Path, str] = field(default_factory=dict, compare=False, repr=False)

    def runs_folder(self, study: str, run: Run) -> Path:
        """The folder that the run's own folder lies in."""
        return self.root / "dense" if run.is_dense else self.root / study / "runs"

    def folder(self, study: str, run: Run) -> RunFolder:
        return RunFolder(self.runs_folder(study, run) / run.id)

    def result(self, study: str, run: Run) -> dict[str, Any] | None:
        """The stored result of a run; None where there is none or it is damaged, which is noted."""
        try:
            return self.folder(study, run).read_result()
        except Damaged as error:
            self.note(error)
            return None

    def note(self, error: Damaged) -> None:
        """Remember a file that a reader goes on without."""
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
        # os.path: building a Path for each of thousands of runs takes longer than the look
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
            _names(base)  # raises PermissionError where glob would find nothing
            for path in sorted(base.glob(f"{run_id}*")):
                if (path / "run.json").exists():
                    yield RunFolder(path)


def _contradiction(result: Mapping[str, Any]) -> str:
    """What a result says of another run than the one whose id it has; empty if nothing."""
    run, sparsity = result["run"], result["sparsity"]
    try:
        described = id_of(run)
    except ValueError as error:
        return f"it describes no run ({error})"
    if described != result["id"]:
        return f"it describes run {described}"
    target = run.get("sparsity", 0.0)
    if sparsity.get("target", target) != target:
        return f"sparsity.target: {sparsity['target']}, its run says {target}"
    parent = id_of(run["parent"]) if run.get("parent") else None
    if result.get("parent", parent) != parent:
        return f"parent: {result['parent']!r}, its run says {parent!r}"
    return ""


def _read_attempt(path: Path) -> dict[str, Any]:
    from .stored_types import Attempt, flaw

    try:
        content = read_json(path)
    except Damaged as error:
        return {"outcome": None, "reason": str(error)}
    reason = flaw(content, Attempt)
    return {"outcome": None, "reason": f"{path} is damaged: {reason}"} if reason else content


def _names(folder: Path) -> list[str]:
    """Names in a folder, none if there is no folder."""
    try:
        return os.listdir(folder)  # noqa: PTH208  building a Path for each name of thousands of folders takes longer
    except (FileNotFoundError, NotADirectoryError):
        return []


def check_schema(content: Mapping[str, Any], path: Path) -> None:
    """Refuse a file of another version of the format, by name. One without a version is no file of the suite."""
    found = content.get("schema") if isinstance(content, Mapping) else None
    if not isinstance(found, int):
        raise Damaged(path, "it names no version of the format")
    if found != SCHEMA:
        raise UserError(
            f"{path} has result format {found!r}, this version reads {SCHEMA}; use another --results folder"
        )


def now() -> float:
    """Seconds since the epoch, UTC."""
    return time.time()
