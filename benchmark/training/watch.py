"""How a launcher follows a run and stops it. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..runs.damage import print_note


class Interrupted(Exception):
    """A stop was asked for; the checkpoint is written."""


@dataclass(kw_only=True)
class Watch:
    """Callbacks of a launcher.

    Attributes:
        check: called before anything is written; it raises ClaimLost where another process has taken the run over.
        on_epoch: is given the record of each epoch.
        on_note: is given one line about each file that was set aside as damaged.
        stop: asked after every epoch; True stops the run.
    """

    check: Callable[[], None] = lambda: None
    on_epoch: Callable[[dict[str, Any]], None] = lambda record: None
    on_note: Callable[[str], None] = print_note
    stop: Callable[[], bool] = lambda: False
