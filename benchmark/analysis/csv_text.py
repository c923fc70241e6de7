"""Text in CSV files that a spreadsheet does not run as a formula."""

from __future__ import annotations

import re

_FORMULA = re.compile(r"'*\s*[=+\-@＝＋－＠\t\r]")
"""What spreadsheets run. Some skip white space in front, and read full-width characters as the usual ones."""


def harmless(text: str) -> str:
    """The text, with an apostrophe in front if a spreadsheet would run it; `original` removes it."""
    return f"'{text}" if _FORMULA.match(text) else text


def original(text: str) -> str:
    """The inverse of `harmless`."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text
