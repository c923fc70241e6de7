"""What the launcher's files must contain; see `stored_types` of `benchmark/runs` for the files of a run."""

from __future__ import annotations

from typing import Any, NotRequired

from typing_extensions import TypedDict  # pydantic takes no other on Python 3.11; it brings the package


class _Array(TypedDict):
    name: str
    folder: str
    after: str | None
    elements: list[list[str]]
    job: NotRequired[str | None]


class StoredManifest(TypedDict):
    """`manifest.json`."""

    study: str
    begin: float
    profile: dict[str, Any]
    command: list[str]
    revision: str | None
    code: str
    arrays: list[_Array]
    cancelled: NotRequired[float | None]
    order: NotRequired[int]


class _Start(TypedDict):
    host: str
    code_changed: NotRequired[bool]
    raw: NotRequired[str]


class _Outcome(TypedDict):
    outcome: str
    reason: str


class StoredTaskRecord(TypedDict):
    """`tasks/NNN-NNNN.json`."""

    starts: list[_Start]
    outcomes: dict[str, _Outcome]
    end: float | None
    ending: str


class _Queued(TypedDict):
    state: str
    reason: str
    name: str


class _Ended(TypedDict):
    state: str
    exit_code: str
    node: str
    name: str


class StoredSnapshot(TypedDict):
    """`.queue-UID.json`."""

    time: float
    queue: dict[str, _Queued]
    ended: dict[str, _Ended]
    asked: list[str]
    queue_error: str
    accounting_error: str
