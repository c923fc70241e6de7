"""Labels in figures as plain text, without what matplotlib would interpret in them.

matplotlib reads `$...$` as mathematics (switched off in `style.style`), leaves artists out of legends whose label is
empty or begins with an underscore, and draws an empty box, with a warning, for a character that its font lacks.
"""

from __future__ import annotations

import textwrap
from functools import cache

from ..analysis.plain_text import escaped, one_line

FONT = "DejaVu Sans"
"""Shipped with matplotlib, so that figures are the same on every machine."""

MAX_LABEL = 28
"""Most characters of a line in a legend; longer names are wrapped."""

MAX_LINES = 4
"""Most lines of a name in a legend."""

BLANK = "(blank)"
"""Shown for a label of white space."""

_NAMED = "\N{WORD JOINER}"


def plain(text: str) -> str:
    """One line that the font can draw; characters without a glyph become escapes, so that labels stay distinct."""
    known = _characters()
    shown = "".join(each if ord(each) in known else escaped(each) for each in one_line(text))
    return shown if shown.strip() else BLANK


def wrapped(text: str, width: int = MAX_LABEL, num_lines: int = MAX_LINES) -> str:
    """Plain text in at most `num_lines` lines of `width`; longer text loses its middle."""
    shown = plain(text)
    folded, kept = textwrap.wrap(shown, width), width * num_lines
    while len(folded) > num_lines:
        folded = textwrap.wrap(without_middle(shown, kept), width)
        kept -= 1
    return "\n".join(folded)


def without_middle(name: str, width: int) -> str:
    """A long name without its middle, as labels of one method differ at the end."""
    return name if len(name) <= width else f"{name[: width // 2 - 1]}…{name[-(width - width // 2) :]}"


def artist_label(label: str) -> str:
    """A label that matplotlib lists in its legend, even if it begins with an underscore; see `legend_text`."""
    return label if label.strip() and not label.startswith("_") else _NAMED + label


def legend_text(artist_label: str) -> str:
    """The text of a legend for an artist's label."""
    return wrapped(artist_label.removeprefix(_NAMED))


def width_of(text: str, size: float) -> float:
    """Width in inches of the longest line of a text, at a font size in points."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextToPath

    font = FontProperties(family=FONT, size=size)
    widths = [TextToPath().get_text_width_height_descent(line, font, False)[0] for line in text.split("\n")]
    return float(max(widths)) / 72


@cache
def _characters() -> frozenset[int]:
    """Code points that the font has a glyph for."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return frozenset(get_font(findfont(FontProperties(family=FONT))).get_charmap())
