"""A part of the check: its rows are written down one by one, so that a part that dies keeps those that it has."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from ..side_by_side import median_seconds, settle


@dataclass(frozen=True)
class Row:
    """What was looked at, what was found and what is wanted. `is_right` is None for a number without a goal.

    A hard row that is not right makes the check fail.
    """

    what: str
    found: str
    wanted: str = ""
    is_right: bool | None = None
    is_hard: bool = False

    @property
    def fails(self) -> bool:
        return self.is_hard and self.is_right is False

    @property
    def cells(self) -> list[str]:
        verdict = {None: "", True: "yes", False: "NO" if self.is_hard else "no"}[self.is_right]
        return [self.what, self.found.replace("|", "/"), self.wanted, verdict]


@dataclass(frozen=True)
class Part:
    """Where a part runs, and where its rows go. `is_tiny`: a few steps of everything, to try the code itself."""

    path: Path
    device: torch.device
    is_tiny: bool

    def row(
        self, what: str, found: str, wanted: str = "", is_right: bool | None = None, *, is_hard: bool = False
    ) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(Row(what, found, wanted, is_right, is_hard))) + "\n")

    def gpu_row(self, what: str, found: str, wanted: str, is_right: bool, *, is_hard: bool = True) -> None:
        """A row that says nothing on a CPU."""
        if self.device.type == "cuda":
            self.row(what, found, wanted, is_right, is_hard=is_hard)
        else:
            self.row(what, f"not measured: needs a GPU (on the CPU: {found})", wanted)

    @contextmanager
    def guarded(self, what: str) -> Iterator[None]:
        """An error is a row that is not right, and the part goes on."""
        try:
            yield
        except Exception as error:
            traceback.print_exc()
            line = (str(error).splitlines() or [""])[0]
            self.row(what, f"{type(error).__name__}: {line[:200]}", "no error", False, is_hard=True)

    def seconds(self, work: Callable[[], object], repeats: int = 3) -> float:
        """Median wall seconds with the device idle before and after; a first time is left out."""

        def whole() -> None:
            work()
            settle(self.device)

        settle(self.device)
        return median_seconds({"work": whole}, repeats)["work"]


def read_rows(path: Path) -> list[Row]:
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    # the last line is cut short where the part was killed while it wrote
    return [Row(**json.loads(line)) for line in lines if line.endswith("}")]
