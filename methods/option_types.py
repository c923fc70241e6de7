"""Options have the type they are declared with: study files give whatever YAML reads, such as `1e-4` as a string."""

from __future__ import annotations

import math
from dataclasses import Field, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def check_types(instance: DataclassInstance) -> None:
    """Raises ValueError naming the first option whose value is not of its declared type.

    Checked are int, float (finite; an int will do), bool, str, None and unions of them; other annotations pass.
    """
    for option in fields(instance):
        if option.init:
            words = _words(option)
            value = getattr(instance, option.name)
            if words <= _IS_A.keys() and not any(_IS_A[word](value) for word in words):
                kinds = " or ".join(_KINDS[word] for word in sorted(words))
                raise ValueError(f"{option.name} must be {kinds}, not {value!r}")


def _words(option: Field[Any]) -> set[str]:
    """The parts of an annotation, which is a string unless a plug-in leaves out `from __future__`."""
    annotation = option.type if isinstance(option.type, str) else getattr(option.type, "__name__", str(option.type))
    return {word.strip() for word in annotation.split("|")}


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
