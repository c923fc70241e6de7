"""What was measured between two runs: a file for each pair, `RESULTS/STUDY/pairs/<id>-<id>.json`. Imports no torch.

It holds the SHA-256 of both weights: of runs that were computed anew since, and to other bits, it is not valid.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NotRequired

from pydantic import Field
from typing_extensions import TypedDict  # pydantic takes no other on Python 3.11

from ..api.errors import Damaged
from .files import FROM_RECORD, SCHEMA, read_typed, write_json
from .run_folder import RunFolder

Error = Annotated[float, Field(ge=0, le=1)]
"""A share of the training split, in [0, 1]; not a NaN."""


class MeasuredPair(TypedDict):
    """The content of the file. `errors` are top-1 training errors along the path, `cka_*` null where it is 0 / 0."""

    schema: int
    runs: list[str]
    weights: list[str]
    data: str
    same_mask: bool
    errors: NotRequired[Annotated[list[Error], Field(min_length=11, max_length=11)]]
    cka_samples: NotRequired[int]
    cka_softmax: NotRequired[float | None]
    cka_logits: NotRequired[float | None]
    provenance: dict[str, Any]


FILLED_BY = {"lmc": "errors", "cka": "cka_softmax"}
"""A key that each measurement fills."""


def pair_path(root: Path, study: str, name: str) -> Path:
    return root / study / "pairs" / f"{name}.json"


def stored_weights(folder: RunFolder) -> str | None:
    """The SHA-256 of a run's weights by its result, wherever the file is. None without a result or weights."""
    result = folder.read_result()
    facts = (result or {}).get("files", {}).get(folder.model_path.name)
    return facts["sha256"] if facts else None


def has_weights(folder: RunFolder) -> bool:
    """Whether the weights of a stored run are here."""
    result = folder.read_result()
    return bool(
        result
        and not result.get(FROM_RECORD)
        and folder.model_path.name in result.get("files", {})
        and folder.model_path.exists()
    )


def read_pair(path: Path, folders: tuple[RunFolder, RunFolder], measure: list[str]) -> Mapping[str, Any] | None:
    """What is stored of a pair. None where nothing is, something is not measured yet, or weights are others now.

    Raises Damaged for a file of another shape.
    """
    try:
        found = read_typed(path, MeasuredPair)
    except FileNotFoundError:
        return None
    if found["runs"] != [folder.path.name for folder in folders]:
        raise Damaged(path, f"it is of runs {' and '.join(found['runs'])}")
    is_whole = all(FILLED_BY[name] in found for name in measure)
    return found if is_whole and found["weights"] == [stored_weights(folder) for folder in folders] else None


def write_pair(path: Path, content: Mapping[str, Any]) -> None:
    write_json(path, {"schema": SCHEMA, **content})
