"""What a method's source says about itself beyond its attributes: the year it is from, and what of it is uncertain."""

from __future__ import annotations

import inspect
import re

UNCERTAIN = "Uncertain:"
"""A paragraph of a class's docstring that begins so says what of the method could not be checked."""

_YEAR = re.compile(r"\b((?:19|20)\d\d)\b(?!\.\d)")
_ARXIV = re.compile(r"\barXiv:? ?(\d\d)(?:0[1-9]|1[0-2])\.\d{4,5}\b")


def year_of(paper: str) -> int | None:
    """The year of the first publication: the one that is written, or that of the first arXiv number; None without.

    `LeCun et al. 1990 (arXiv 1801.05787)` is of 1990, `arXiv 2010.07611` of 2020.
    """
    if written := _YEAR.search(paper):
        return int(written[1])
    number = _ARXIV.search(paper)
    return 2000 + int(number[1]) if number else None


def uncertain_of(docstring: str) -> str:
    """The text of the paragraphs that begin with UNCERTAIN, each as one line; empty without."""
    paragraphs = [" ".join(part.split()) for part in inspect.cleandoc(docstring).split("\n\n")]
    found = [part.removeprefix(UNCERTAIN).strip() for part in paragraphs if part.startswith(UNCERTAIN)]
    return " ".join(found)
