"""Text of users (labels, reasons, logs) as one line or several that say what is in it and command no terminal."""

from __future__ import annotations

import unicodedata


def one_line(text: str) -> str:
    """White space of any kind as a space, and every other control or invisible character as its escape: `\\x1b`."""
    return "".join(_shown(character) for character in text)


def several_lines(text: str) -> str:
    """The same for text of several lines, whose line breaks and tabs stay; a lone carriage return is a line break."""
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
