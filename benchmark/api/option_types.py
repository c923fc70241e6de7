"""Options have the type they are declared with: study files give whatever YAML reads."""

from __future__ import annotations

import math
from dataclasses import Field, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def check_types(instance: DataclassInstance) -> None:
    """Raises ValueError naming the first option whose value is not of its declared type; see `wrong_type`."""
    for option in fields(instance):
        if option.init:
            value = getattr(instance, option.name)
            if wanted := wrong_type(_annotation(option), value):
                raise ValueError(f"{option.name} must be {wanted}, not {value!r}")


def wrong_type(annotation: str, value: object) -> str:
    """What a value should be if it is not of the annotated type; else, and for annotations not known here, nothing.

    Checked are int, float (finite; an int will do), bool, str, None, unions of them, and tuples of one of them, for
    which a list will do, and a single word for words.
    """
    if annotation.startswith("tuple[") and annotation.endswith(", ...]"):
        word = annotation.removeprefix("tuple[").removesuffix(", ...]")
        items = [value] if isinstance(value, str) else value
        if word in _IS_A and not (isinstance(items, list | tuple) and all(_IS_A[word](item) for item in items)):
            return f"a list of which each is {_KINDS[word]}"
        return ""
    words = {word.strip() for word in annotation.split("|")}
    if words <= _IS_A.keys() and not any(_IS_A[word](value) for word in words):
        return " or ".join(_KINDS[word] for word in sorted(words))
    return ""


def _annotation(option: Field[Any]) -> str:
    """As text, which it is unless a plug-in leaves out `from __future__`."""
    if isinstance(option.type, str):
        return option.type
    return option.type.__name__ if isinstance(option.type, type) else str(option.type)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


_IS_A = {
    "int": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "float": _is_number,
    "bool": lambda value: isinstance(value, bool),
    "str": lambda value: isinstance(value, str),
    "None": lambda value: value is None,
}
_KINDS = {"int": "a whole number", "float": "a finite number", "bool": "true or false", "str": "a word", "None": "null"}
