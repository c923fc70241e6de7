"""Plain text as LaTeX source, and how wide it is."""

from __future__ import annotations

from ...analysis.plain_text import one_line

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",
    "]": "{]}",
    "`": r"\textasciigrave{}",
    "'": r"\textquotesingle{}",
    '"': r"\textquotedbl{}",
    "±": r"$\pm$",
    "−": r"$-$",
    "×": r"$\times$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "≈": r"$\approx$",
    "†": r"\dag{}",
    "‡": r"\ddag{}",
    "§": r"\S{}",
    "¶": r"\P{}",
    "‖": r"$\|$",
    "◦": r"$\circ$",
    "⋄": r"$\diamond$",
    "△": r"$\bigtriangleup$",
    "⋆": r"$\star$",
    "⊖": r"$\ominus$",
    "⊕": r"$\oplus$",
    "⊘": r"$\oslash$",
    "⊗": r"$\otimes$",
    "⊙": r"$\odot$",
    "∅": r"$\emptyset$",
    "¹": "1",
    "–": "--",
    "—": "---",
    "…": r"\ldots{}",
}


def escape(text: str) -> str:
    """Text on one line that LaTeX prints as it is: no command, no alignment, no mathematics."""
    flat = " ".join(one_line(text).split())
    # `--` and `?`` are ligatures; an empty group keeps the characters apart
    joined = "".join(_SPECIAL.get(character, character) for character in flat.replace("--", "-\0-"))
    return joined.replace("\0", "{}")


_WIDTHS = {
    2.8: "ijl.,:;!'|",
    3.3: " -`",
    3.9: "frst()[]I",
    4.5: "cez",
    5.0: 'aog0123456789/*–"',
    5.3: "kqvxy?",
    5.6: "bdhnpuJS",
    6.8: "EFLP",
    7.2: "wABCRTXZ#",
    7.8: "DGHKNOQUVY&+−=<>±≈×~^@",
    8.4: "m%",
    10.3: "MW—",
}
"""Points of characters of Computer Modern at 10 pt, rounded up to a class; wide ones for all others."""

_WIDTH = {character: width for width, characters in _WIDTHS.items() for character in characters}


def width_of(text: str) -> float:
    """Points that plain text takes at 10 pt."""
    return sum(_WIDTH.get(character, 7.8) for character in one_line(text))
