"""Copies one result into a results folder, holding the claim of its run.

Files are copied beside their place, then renamed, `result.json` last: if the copying is interrupted, the run has no
result.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..api.errors import Damaged
from ..runs.claim import Claim, describe, holder
from ..runs.damage import set_aside_damage
from ..runs.files import FROM_RECORD, check_file, write_atomically, write_json
from ..runs.history import history_facts, history_text
from ..runs.leftovers import remove_leftovers
from ..runs.run_folder import RunFolder
from .merge import Step
from .sources import Source

CHUNK_BYTES = 1 << 22


class Taken(Exception):
    """Another process has the run, or has stored its result meanwhile."""


def copy_run(step: Step) -> list[str]:
    """Merge one run; returns lines about damaged files of the target that were set aside.

    Raises Taken, and Damaged if files of the source are not those of its result; then nothing was copied.
    """
    claim = Claim.take(step.target.path)
    if claim is None:
        held = holder(step.target.path)
        raise Taken(f"{step.target.path} is computed by {describe(held or {})}")
    try:
        return _copy(step)
    finally:
        claim.release()
        with contextlib.suppress(OSError):
            step.target.path.rmdir()  # only if it is still empty


def _copy(step: Step) -> list[str]:
    source, target = step.source, step.target
    if step.action == "copy" and _has_result(target):
        raise Taken(f"{target.path} has a result meanwhile")
    remove_leftovers(target)
    staged: dict[Path, Path] = {}
    try:
        if source.history is None:
            _check_history(source)
            for path in _files(source, target):
                staged[path] = _staged(source.path / path.name, path, source.files.get(path.name))
        lines = set_aside_damage(target, source.run)
        target.create(source.run)
        for path, temporary in staged.items():
            temporary.replace(path)
    except BaseException:
        for path in staged.values():
            path.unlink(missing_ok=True)
        raise
    _copy_records(source, target)
    target.checkpoint_path.unlink(missing_ok=True)
    return lines


def _check_history(source: Source) -> None:
    """Raises Damaged where the epochs of a run's folder are not those of its result."""
    facts = history_facts(source.result)
    if facts is not None:
        check_file(RunFolder(source.path).history_path, facts)


def _has_result(target: RunFolder) -> bool:
    try:
        return target.read_result() is not None
    except Damaged:
        return False


def _files(source: Source, target: RunFolder) -> list[Path]:
    """Where the large files of the source go."""
    wanted = (target.masks_path, target.model_path) if source.has_files else ()
    return [path for path in wanted if path.name in source.files or (source.path / path.name).exists()]


def _staged(path: Path, target: Path, facts: Mapping[str, Any] | None) -> Path:
    """Copy beside the target, to a temporary name that `remove_leftovers` removes if this process is killed."""
    temporary, digest = target.with_name(f".{target.name}.merging"), hashlib.sha256()
    try:
        with path.open("rb") as reader, temporary.open("wb") as writer:
            while chunk := reader.read(CHUNK_BYTES):
                digest.update(chunk)
                writer.write(chunk)
            writer.flush()
            os.fsync(writer.fileno())
        if facts is not None and digest.hexdigest() != facts["sha256"]:
            raise Damaged(path, "its SHA-256 is not the one in its result")
    except FileNotFoundError as error:
        raise Damaged(path, "it is missing, and its result says that it is there") from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def _copy_records(source: Source, target: RunFolder) -> None:
    """The small files, and the result last."""
    if source.history is not None:
        write_atomically(target.history_path, history_text(source.history))
        write_json(target.result_path, {**source.result, FROM_RECORD: True})
        return
    origin = RunFolder(source.path)
    for path in (origin.history_path, origin.log_path):
        if path.exists():
            write_atomically(target.path / path.name, path.read_bytes())
    if not target.attempts():
        for index, record in enumerate(origin.attempts(), start=1):
            target.write_attempt(index, record)
    write_json(target.result_path, dict(source.result))
