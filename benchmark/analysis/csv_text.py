"""Text in CSV files that spreadsheets open: they run what begins with one of a few characters as a formula."""

from __future__ import annotations

import re

_FORMULA = re.compile(r"'*\s*[=+\-@＝＋－＠\t\r]")
"""What spreadsheets run: some leave white space in front out, and read full-width characters as the usual ones."""


def harmless(text: str) -> str:
    """The text with an apostrophe in front where a spreadsheet would run it; `original` takes it away again."""
    return f"'{text}" if _FORMULA.match(text) else text


def original(text: str) -> str:
    """The inverse of `harmless`."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text
