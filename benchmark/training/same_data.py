"""Refuse to go on from weights of other data: a dense training or a checkpoint that another data root made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..api.errors import MachineError


class OtherData(MachineError):
    """The data are not those that a run began with. Given the right ones, it goes on."""

    exit_code = 2


@dataclass(frozen=True)
class DataOrigin:
    """Which data: name, fingerprint of content and splits, and the root that it was read from, if that is known."""

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
    """Raises OtherData where the dense training was not of this data; `path` is its folder."""
    theirs = origin_of(parent)
    if theirs.fingerprint != own.fingerprint:
        raise OtherData(
            f"its dense training {path} was computed on other {own.name} data: {theirs} there, {own} here; "
            "give the --data-root of that training, or another --results folder"
        )


def check_checkpoint(state: Mapping[str, Any], path: Path, own: DataOrigin) -> None:
    """Raises OtherData where a checkpoint was written on other data; those of earlier versions do not tell."""
    if "data" in state and state["data"]["fingerprint"] != own.fingerprint:
        theirs = DataOrigin(own.name, **state["data"])
        raise OtherData(
            f"checkpoint {path} was computed on other {own.name} data: {theirs} there, {own} here; "
            "give the --data-root of that training, or remove the checkpoint to begin anew"
        )
