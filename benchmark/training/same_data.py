"""Refuse to continue from weights of other data: of a dense training or a checkpoint made with another data root."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..api.errors import MachineError


class OtherData(MachineError):
    """The data are not those that the run began with. With the right data root it can go on."""

    exit_code = 2


@dataclass(frozen=True)
class DataOrigin:
    """Identifies data: name, fingerprint of content and splits, and the root it was read from, if known."""

    name: str
    fingerprint: str
    root: str | None

    def __str__(self) -> str:
        where = f" under {self.root}" if self.root else ""
        return f"fingerprint {self.fingerprint[:12]}{where}"


def origin_of(result: Mapping[str, Any]) -> DataOrigin:
    """The data of a stored result."""
    root = result["provenance"].get("data_root")
    return DataOrigin(result["run"]["dataset"], result["data"]["fingerprint"], root)


def check_parent(parent: Mapping[str, Any], path: Path, own: DataOrigin) -> None:
    """Raises OtherData if the dense training was computed on other data; `path` is its folder."""
    theirs = origin_of(parent)
    if theirs.fingerprint != own.fingerprint:
        raise OtherData(
            f"its dense training {path} was computed on other {own.name} data: {theirs} there, {own} here; "
            "give the --data-root of that training, or another --results folder"
        )


def check_checkpoint(state: Mapping[str, Any], path: Path, own: DataOrigin) -> None:
    """Raises OtherData if a checkpoint was computed on other data; those of earlier versions do not record theirs."""
    if "data" in state and state["data"]["fingerprint"] != own.fingerprint:
        theirs = DataOrigin(own.name, **state["data"])
        raise OtherData(
            f"checkpoint {path} was computed on other {own.name} data: {theirs} there, {own} here; "
            "give the --data-root of that training, or remove the checkpoint to begin anew"
        )
