"""A line of the report's answer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One line: what it is about, the sentence, and whether it is a warning."""

    about: str
    text: str
    is_warning: bool = False
