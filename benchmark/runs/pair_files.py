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
from .files import FROM_RECORD, SCHEMA, check_schema, read_json, write_json
from .run_folder import WEIGHTS, RunFolder

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
    return weights_in(folder.read_result() or {})


def weights_in(result: Mapping[str, Any]) -> str | None:
    """The SHA-256 of the weights that a result names."""
    facts = result.get("files", {}).get(WEIGHTS)
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
        found = check_pair(read_json(path), path)
    except FileNotFoundError:
        return None
    is_whole = all(FILLED_BY[name] in found for name in measure)
    return found if is_whole and found["weights"] == [stored_weights(folder) for folder in folders] else None


def check_pair(content: Any, path: Path) -> dict[str, Any]:
    """The content of a pair's file. Raises Damaged for another shape, UserError for another version."""
    from .stored_types import flaw

    check_schema(content, path)
    if reason := flaw(content, MeasuredPair):
        raise Damaged(path, reason)
    if content["runs"] != path.stem.split("-"):
        raise Damaged(path, f"it is of runs {' and '.join(content['runs'])}")
    return content


def write_pair(path: Path, content: Mapping[str, Any]) -> None:
    write_json(path, {"schema": SCHEMA, **content})
