"""The checker of options: type, bounds and choices are the annotation where a method, network or data set declares one.

    prune_rounds: Annotated[int, Field(ge=1)] = 3
    scope: Literal["global", "layerwise"] = "global"

Study files give whatever YAML reads, so types are strict: True is no integer, "3" is no number, and NaN is refused.
An integer will do for a float, a list for a tuple, and a single text for a tuple of texts.
"""

from __future__ import annotations

import functools
import sys
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from .errors import UserError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from pydantic import TypeAdapter

SIGNS: Mapping[str, str] = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
"""The bounds that an option may have, as arguments of pydantic's `Field`."""
_NAMES = {
    int: "an integer",
    float: "a finite number",
    bool: "true or false",
    str: "a text",
    type(None): "null",
}


class WrongOption(UserError, ValueError):
    """An option's value is not of its type, outside its bounds or none of its choices."""


def check_fields(instance: DataclassInstance) -> None:
    """Check the options of a dataclass instance; lists become tuples. Raises WrongOption naming the first wrong one.

    Defaults are taken to be right: data sets are listed without loading what checks values.
    """
    for option in fields(instance):
        if option.init and (value := getattr(instance, option.name)) is not option.default:
            value = checked(option.name, _field_types(type(instance))[option.name], value)
            object.__setattr__(instance, option.name, value)  # the options of data sets are frozen


def check_arguments(function: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
    """Check keyword arguments against the annotations of a function's parameters. Raises WrongOption."""
    hints = typing.get_type_hints(function, include_extras=True)
    for name, value in arguments.items():
        checked(name, hints[name], value)


def checked(name: str, hint: Any, value: Any) -> Any:
    """The value, a tuple in place of a list where the type is one. Raises WrongOption naming what is allowed."""
    found = _as_tuple(hint, value)
    if not _accepts(hint, found):
        raise WrongOption(f"{name} is {value!r}; it must be {allowed(hint)}")
    return found


def allowed(hint: Any) -> str:
    """In words what a type takes: `an integer >= 1`, `one of global, layerwise`, `a finite number > 0 or null`."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return allowed(arguments[0]) + " and".join(f" {SIGNS[key]} {bound}" for key, bound in bounds(hint).items())
    if origin is Literal:
        choices = ", ".join("null" if choice is None else str(choice) for choice in arguments)
        return f"one of {choices}" if len(arguments) > 1 else choices
    if origin is tuple:
        return f"a list, each {allowed(arguments[0])}"
    if origin in (Union, types.UnionType):
        return " or ".join(allowed(each) for each in arguments)
    return _NAMES.get(hint, f"a {getattr(hint, '__name__', hint)}")


def bounds(hint: Any) -> dict[str, Any]:
    """The bounds of an annotated type, by their names in SIGNS."""
    found = [each for extra in get_args(hint)[1:] for each in getattr(extra, "metadata", (extra,))]
    return {key: getattr(each, key) for each in found for key in SIGNS if hasattr(each, key)}


def _accepts(hint: Any, value: Any) -> bool:
    from pydantic import ValidationError

    try:
        found = _adapter(_Key(hint)).validate_python(value)
    except ValidationError:
        return False
    # pydantic takes True for the choice 1
    return isinstance(found, bool) or not isinstance(value, bool)


class _Key:
    """A type as the key of a cache: `Field` makes types that have no hash, but all that they say is in their text."""

    def __init__(self, hint: Any) -> None:
        self.hint, self.text = hint, repr(hint)

    def __hash__(self) -> int:
        return hash(self.text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self.text == other.text


@functools.cache
def _adapter(key: _Key) -> TypeAdapter[Any]:
    from pydantic import ConfigDict, TypeAdapter

    return TypeAdapter(key.hint, config=ConfigDict(strict=True, allow_inf_nan=False, arbitrary_types_allowed=True))


def _as_tuple(hint: Any, value: Any) -> Any:
    kinds = [each for each in (hint, *get_args(hint)) if get_origin(each) is tuple]
    if kinds and isinstance(value, list):
        return tuple(value)
    return (value,) if kinds and isinstance(value, str) else value


@functools.cache
def _field_types(kind: type) -> dict[str, Any]:
    """The types of a dataclass's options, each in the names of the file that declares it.

    Data sets import `Field` for type checkers only, since listing them must not load pydantic. Another type that is
    not known when the program runs is not checked.
    """
    from pydantic import Field

    found: dict[str, Any] = {}
    for owner in reversed(kind.__mro__):
        names = {"Field": Field, **vars(sys.modules[owner.__module__])}
        for name, annotation in vars(owner).get("__annotations__", {}).items():
            try:
                found[name] = eval(annotation, names) if isinstance(annotation, str) else annotation
            except NameError:
                found[name] = Any
    return found
