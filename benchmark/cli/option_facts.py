"""The options of methods, networks and data sets: type, default, bounds, choices and meaning, without loading torch."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from ..api.option_docs import meanings
from ..api.options import allowed, bounds

Facts = dict[str, Any]
"""`default`, `type` in words, `bounds` by ge, gt, le and lt, `choices` (empty if any value of the type will do) and
`meaning`; of methods also `searched`, the values that a study with `tune` tries (empty if it tries none)."""


def method_options(name: str) -> dict[str, Facts]:
    """As the sources of the class and its bases declare them."""
    from ...methods.registry import describe
    from ..studies.search_space import read_space

    info = describe(name)
    searched = {option: str(read_space(values)) for option, values in info.search_space.items()}
    return {
        option: {
            **_facts(each.default, each.allowed, each.bounds, each.choices, each.meaning),
            "searched": searched.get(option, ""),
        }
        for option, each in info.options.items()
    }


def dataset_options(name: str) -> dict[str, Facts]:
    """The fields of its class."""
    from ...datasets.registry import dataset_class, field_types

    kind = dataset_class(name)
    means: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        means |= meanings(vars(base).get("__doc__"))
    hints = field_types(name)
    return {
        each.name: _of_hint(each.default, hints[each.name], means.get(each.name, ""))
        for each in fields(kind)
        if each.init
    }


def model_options(name: str) -> dict[str, Facts]:
    """As the function that builds it declares them, and `weights`."""
    from ..models.registry import OPTION_MEANINGS
    from ..studies.model_options import declared_options

    return {
        option: _of_hint(default, hint, OPTION_MEANINGS[option])
        for option, (default, hint) in declared_options(name).items()
    }


KINDS_WITH_OPTIONS: dict[str, Callable[[str], dict[str, Facts]]] = {
    "methods": method_options,
    "models": model_options,
    "datasets": dataset_options,
}


def _of_hint(default: Any, hint: Any, meaning: str) -> Facts:
    limits: dict[str, Any] = {}
    choices: list[Any] = []
    for part in _parts(hint):
        limits |= bounds(part) if get_origin(part) is Annotated else {}
        choices += get_args(part) if get_origin(part) is Literal else ()
    return _facts(default, allowed(hint), limits, choices, meaning)


def _parts(hint: Any) -> Iterator[Any]:
    """A type and the types that it is made of."""
    yield hint
    if get_origin(hint) in (Annotated, Union, types.UnionType, tuple):
        for part in get_args(hint)[:1] if get_origin(hint) is Annotated else get_args(hint):
            yield from _parts(part)


def _facts(default: Any, words: str, limits: Mapping[str, Any], choices: Any, meaning: str) -> Facts:
    words = "any value" if words == allowed(Any) else words
    return {"default": default, "type": words, "bounds": dict(limits), "choices": list(choices), "meaning": meaning}
