"""Studies and profiles: YAML files that keep file:line of every value for error messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from ..api.errors import UserError, unknown
from .yaml_nodes import MAX_BYTES, MAX_DEPTH, Key, parse

Model = TypeVar("Model", bound=BaseModel)


@dataclass
class Source:
    """Plain data with the place of each part: `file:line`, or the `--set` that changed it."""

    name: str
    data: dict[str, Any]
    places: dict[Key, str] = field(default_factory=dict)

    def place(self, key: Sequence[str | int]) -> str:
        """The place of a value, or of the nearest part around it."""
        path = tuple(key)
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, self.name)


def read_yaml(path: Path, name: str | None = None) -> Source:
    """A mapping from a YAML file. Raises UserError with the line for what is not plain data; see `yaml_nodes`."""
    shown = name or str(path)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UserError(f"cannot read {shown}: {error.strerror}") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UserError(f"{shown}:{line}: not UTF-8 text; save the file in that encoding") from error
    if len(content) > MAX_BYTES:
        raise UserError(f"{shown} is larger than {MAX_BYTES // 1_000_000} MB")
    parsed = parse(text, shown)
    if not isinstance(parsed.value, dict):
        raise UserError(f"{shown} must hold a mapping of keys to values")
    return Source(shown, parsed.value, parsed.places)


def override(source: Source, assignment: str) -> None:
    """Apply one `key.path=value` of the command line; the value is read as YAML, a list index as a number."""
    path, separator, text = assignment.partition("=")
    one_line = " ".join(assignment.split())
    shown = f"--set {one_line if len(one_line) <= 80 else one_line[:80] + '...'}"
    if not separator or not path:
        raise UserError(f"{shown} must look like key=value")
    parts = path.split(".")
    if len(parts) > MAX_DEPTH:
        raise UserError(f"{shown}: nested more than {MAX_DEPTH} levels deep")
    value = parse(text, shown).value
    target: Any = source.data
    key: Key = ()
    for index, part in enumerate(parts):
        is_index = isinstance(target, list) and part.isdecimal() and len(part) < 10
        step: Any = int(part) if is_index else part
        key = (*key, step)
        try:
            if index == len(parts) - 1:
                target[step] = value
            else:
                target = target.setdefault(step, {}) if isinstance(target, dict) else target[step]
        except (IndexError, TypeError) as error:
            raise UserError(f"{shown}: there is no {'.'.join(map(str, key))}") from error
    source.places[key] = shown


def validate(model: type[Model], source: Source) -> Model:
    """Plain data through a typed model. Raises UserError naming place, field, value and what is allowed."""
    try:
        return model.model_validate(source.data)
    except ValidationError as error:
        # One line: the first problem, and how many there are; a misspelt key goes before what it leaves missing.
        problems = error.errors()
        first = min(problems, key=lambda problem: problem["type"] == "missing")
        key = tuple(part for part in first["loc"] if not str(part).startswith("function-"))
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise UserError(f"{source.place(key)}: {_explain(model, first, key)}{more}") from error


def _explain(model: type[BaseModel], problem: Mapping[str, Any], key: Key) -> str:
    name = ".".join(str(part) for part in key)
    if problem["type"] == "extra_forbidden":
        within = f" in {'.'.join(str(part) for part in key[:-1])}" if len(key) > 1 else ""
        return f"{unknown('key', str(key[len(key) - 1]), _known_fields(model, key[:-1]))}{within}"
    if problem["type"] == "missing":
        return f"{name!r} is missing"
    if problem["type"] == "value_error":
        return f"{name + ': ' if name else ''}{problem['ctx']['error']}"
    if problem["type"] in ("model_type", "dict_type"):
        # pydantic names the classes of the suite here
        return f"{name!r} is {problem['input']!r}: it should be a mapping of keys to values"
    return f"{name!r} is {problem['input']!r}: {problem['msg'][0].lower()}{problem['msg'][1:]}"


def _known_fields(model: type[BaseModel], key: Key) -> list[str]:
    """The fields of the (nested) model at a key."""
    current: Any = model
    for part in key:
        if isinstance(part, int):
            continue
        field_info = getattr(current, "model_fields", {}).get(part)
        if field_info is None:
            break
        current = next((arg for arg in _arguments(field_info.annotation) if hasattr(arg, "model_fields")), current)
    return list(getattr(current, "model_fields", {}))


def _arguments(annotation: Any) -> list[Any]:
    from typing import get_args

    found = [annotation]
    for argument in get_args(annotation):
        found.extend(_arguments(argument))
    return found
