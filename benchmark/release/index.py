"""The index of a release: every network with its numbers, and the SHA-256 of its files."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict  # pydantic takes no other on Python 3.11

from ..api.errors import DataDamaged, UserError
from ..runs.run_folder import WEIGHTS

INDEX = "index.json"
INDEX_SCHEMA = 1
"""Version of the format of a release."""

RESULT, MASKS, CARD = "result.json", "masks.safetensors", "README.md"
FILES = (RESULT, WEIGHTS, MASKS, CARD)
"""What the folder of a network may hold; a network of a method without masks has no file of masks."""


class File(TypedDict):
    """What the index says of a file."""

    sha256: str
    bytes: int


class Network(TypedDict):
    """An entry of the index. Accuracies and sparsities are fractions, multiply-adds are for one input."""

    name: str
    id: str
    study: str
    label: str
    method: str
    dataset: str
    model: str
    seed: int
    target_sparsity: float
    sparsity: float
    kept: int
    prunable: int
    parameters: int
    accuracy_last: float | None
    accuracy_selected: float | None
    macs_dense: float
    macs_sparse: float
    files: dict[str, File]


class Index(TypedDict):
    """The whole file. `prunebench` is the version that wrote it."""

    schema: int
    prunebench: str
    networks: list[Network]


class _Version(TypedDict):
    schema: int


def index_text(networks: Sequence[Network], version: str) -> str:
    """The content of `index.json`."""
    index = Index(schema=INDEX_SCHEMA, prunebench=version, networks=list(networks))
    return json.dumps(index, indent=1, allow_nan=False) + "\n"


def read_index(content: bytes, place: str) -> Index:
    """The index at `place`. Raises DataDamaged for another content, UserError for another version of the format."""
    try:
        schema = TypeAdapter(_Version).validate_json(content)["schema"]
        if schema != INDEX_SCHEMA:
            raise UserError(f"{place} has format {schema}, this version of prunebench reads {INDEX_SCHEMA}")
        return TypeAdapter(Index).validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))
        raise DataDamaged(f"{place} is not the index of a release: {where}") from error


def find(index: Index, name: str, place: str) -> Network:
    """The network of that name. Raises UserError that suggests the nearest names."""
    networks = {network["name"]: network for network in index["networks"]}
    if name in networks:
        return networks[name]
    near = difflib.get_close_matches(name, networks, n=3, cutoff=0.5)
    hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ";"
    raise UserError(f"no network {name!r}{hint} {place} lists {len(networks)}")
