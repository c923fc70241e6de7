"""YAML with a memory of lines: every value of a study or a profile can be blamed with its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from .errors import UserError, unknown

try:
    # libyaml's parser reads the suite's studies ten times as fast; a PyYAML may have been built without it
    from yaml import CSafeLoader as SafeLoader
except ImportError:
    from yaml import SafeLoader

Model = TypeVar("Model", bound=BaseModel)
Key = tuple[str | int, ...]


@dataclass
class Source:
    """Plain data and where each part of it came from: `file:line`, or the `--set` that gave it."""

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
    """A mapping from a YAML file. Raises UserError with the line for broken YAML or a key that stands twice."""
    shown = name or str(path)
    try:
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=SafeLoader)
    except OSError as error:
        raise UserError(f"cannot read {shown}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{shown} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(node, yaml.MappingNode):
        raise UserError(f"{shown} must hold a mapping of keys to values")
    source = Source(shown, {})
    _remember(node, (), source)
    source.data = yaml.load(text, Loader=SafeLoader)
    return source


def _remember(node: yaml.Node, key: Key, source: Source) -> None:
    source.places[key] = f"{source.name}:{node.start_mark.line + 1}"
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key_node, value_node in node.value:
            name = str(key_node.value)
            line = key_node.start_mark.line + 1
            if name in seen:
                raise UserError(f"{source.name}:{line}: key {name!r} stands twice")
            seen.add(name)
            _remember(value_node, (*key, name), source)
            source.places[(*key, name)] = f"{source.name}:{line}"
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _remember(item, (*key, index), source)


def override(source: Source, assignment: str) -> None:
    """Apply one `key.path=value` of the command line; the value is read as YAML, a list index as a number."""
    path, separator, text = assignment.partition("=")
    if not separator or not path:
        raise UserError(f"--set {assignment!r} must look like key=value")
    key: list[str | int] = [int(part) if part.isdigit() else part for part in path.split(".")]
    try:
        value = yaml.load(text, Loader=SafeLoader)
    except yaml.YAMLError as error:
        raise UserError(f"--set {assignment!r}: the value is not valid YAML") from error
    target: Any = source.data
    for index, part in enumerate(key[:-1]):
        try:
            target = target.setdefault(part, {}) if isinstance(target, dict) else target[part]
        except (IndexError, TypeError) as error:
            raise UserError(f"--set {assignment!r}: there is no {'.'.join(map(str, key[: index + 1]))}") from error
    try:
        target[key[-1]] = value
    except (IndexError, TypeError) as error:
        raise UserError(f"--set {assignment!r}: there is no {path}") from error
    source.places[tuple(key)] = f"--set {assignment}"


def validate(model: type[Model], source: Source) -> Model:
    """Plain data through a typed model. Raises UserError naming place, field, value and what is allowed."""
    try:
        return model.model_validate(source.data)
    except ValidationError as error:
        # One line: the first problem, and how many there are.
        problems = error.errors()
        first = problems[0]
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
