"""Numbers of things in messages."""

from __future__ import annotations


def number_of(number: int, what: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{number} {what}{'s' * (number != 1)}"
