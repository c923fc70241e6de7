"""A method whose file a test changes between submission and start. Used as a plug-in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from prunebench.methods.magnitude import GlobalMagnitude

METHODS = {"edited_mp": "EditedMagnitude"}


@dataclass(kw_only=True)
class EditedMagnitude(GlobalMagnitude):
    """Nothing but another name."""

    label: ClassVar[str] = "Edited MP"
