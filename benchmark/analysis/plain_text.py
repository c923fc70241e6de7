"""Text of users (labels, reasons, logs) without control characters, which could command a terminal."""

from __future__ import annotations

import unicodedata


def one_line(text: str) -> str:
    """One line: white space of any kind becomes a space, other invisible characters their escapes: `\\x1b`."""
    return "".join(_shown(character) for character in text)


def several_lines(text: str) -> str:
    """The same, but line breaks and tabs stay; a carriage return alone is a line break."""
    return "\n".join("\t".join(one_line(part) for part in line.split("\t")) for line in _split(text))


def _split(text: str) -> list[str]:
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    if unicodedata.category(character) == "Zs" or character in "\t\n\v\f\r\x85\u2028\u2029":
        return " "
    return escaped(character)


def escaped(character: str) -> str:
    """`\\x1b`, `\\u202e`, `\\U0001f600`: the way Python writes a character in ASCII."""
    return character.encode("unicode_escape").decode("ascii")
