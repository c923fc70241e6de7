"""What must hold for the options of every pruning method."""

from __future__ import annotations

import math
from typing import Any

from ...benchmark.api.errors import UserError
from ..listing.describe import Option
from .subject import Subject


def check_options(subject: Subject) -> str:
    """Unknown options, unlisted values, wrong types, NaN and -1 are refused with the name of the option."""
    _assert_refused(subject, "no_such_option", 1)
    for name, option in subject.info.options.items():
        for value in _bad_values(option):
            _assert_refused(subject, name, value)
    return f"{len(subject.info.options)} options"


def _bad_values(option: Option) -> list[Any]:
    if option.choices:
        return ["no such choice"]
    words = {word.strip() for word in option.annotation.split("|")}
    if "float" in words:
        return [math.nan, "many"]
    if "int" in words:
        return [1.5, "many"] if option.default == -1 else [1.5, "many", -1]
    return ["perhaps"] if "bool" in words else []


def _assert_refused(subject: Subject, name: str, value: Any) -> None:
    try:
        subject.make(**{name: value})
    except UserError as error:
        message = str(error)
    else:
        raise AssertionError(f"{name} = {value!r} is accepted")
    assert name in message, f"{name} = {value!r} is refused without naming it: {message}"
