"""Checks that a method's class has what is read from its source, so that listings describe what runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from ...benchmark.api.errors import UserError
from .class_body import INFO_FIELDS
from .describe import MethodInfo


def check_agreement(kind: type, info: MethodInfo) -> None:
    """Raises UserError naming the first class attribute or option of `kind` that differs from its description."""
    if problem := next(_differences(kind, info), None):
        raise UserError(f"method {info.name!r}: its class is not what its file {info.origin} says: {problem}")


def _differences(kind: type, info: MethodInfo) -> Iterator[str]:
    if not is_dataclass(kind):
        yield f"{kind.__name__} is no dataclass; write @dataclass(kw_only=True) above it"
        return
    for name in INFO_FIELDS:
        if name == "epochs_rule" and info.epochs_rule is None:
            # the rule of a base class, which does not hold for the rounds of this one
            continue
        if not _is_same(getattr(kind, name), getattr(info, name)):
            yield f"{name} is {getattr(kind, name)!r} in the class and {getattr(info, name)!r} in the file"
    real = {field.name: field.default for field in fields(kind) if field.init and _is_option(field.name)}
    read = {name: option.default for name, option in info.options.items()}
    for name in sorted(real.keys() - read.keys()):
        yield f"the class has an option {name!r} that the file does not show"
    for name in sorted(read.keys() - real.keys()):
        yield f"{name!r} is no option of the class (is @dataclass(kw_only=True) missing above it?)"
    for name in sorted(real.keys() & read.keys()):
        if not _is_same(real[name], read[name]):
            yield f"the default of option {name!r} is {real[name]!r} in the class and {read[name]!r} in the file"


def _is_option(name: str) -> bool:
    return not name.startswith("_") and name not in ("sparsity", "context")


def _is_same(one: Any, other: Any) -> bool:
    """Equal and of one type: True == 1 == 1.0 would pass for one default."""
    if isinstance(one, tuple | list) and type(one) is type(other):
        return len(one) == len(other) and all(_is_same(a, b) for a, b in zip(one, other, strict=True))
    return type(one) is type(other) and one == other
