"""What each option means, from the section of a docstring that says so, and what the docstring says beside it."""

from __future__ import annotations

import inspect
import re

_HEADING = re.compile(r"(Options|Args)\b.*:$")
_ENTRY = re.compile(r"(\w+(?:, \w+)*): (.*)")


def meanings(docstring: str | None) -> dict[str, str]:
    """The meaning of each name in the section `Options:` or `Args:`; an entry may be of several names.

    Options:
        begin, end: first and last event,
            as fractions of the training.
    """
    found: dict[str, str] = {}
    names, inside = list[str](), False
    for line in inspect.cleandoc(docstring or "").splitlines():
        if not line.startswith(" "):
            # an empty line ends no section
            inside = bool(_HEADING.match(line)) if line else inside
            continue
        if not inside:
            continue
        entry = _ENTRY.fullmatch(line[4:])
        if entry:
            names = entry[1].split(", ")
        for name in names:
            found[name] = entry[2] if entry else f"{found[name]} {line.strip()}"
    return found


def prose(docstring: str | None) -> str:
    """The paragraphs after the first line that belong to no section."""
    kept, inside = list[str](), False
    for line in inspect.cleandoc(docstring or "").splitlines()[1:]:
        if line and not line.startswith(" "):
            inside = bool(_HEADING.match(line))
        if not inside:
            kept.append(line)
    return "\n".join(kept).strip()
