"""From YAML text to plain data with the line of every value. Only plain types, and bounded in size and depth."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from ..api.errors import UserError

try:
    # libyaml's parser reads the suite's studies ten times as fast; a PyYAML may have been built without it
    from yaml import CSafeLoader as SafeLoader
except ImportError:
    from yaml import SafeLoader

Key = tuple[str | int, ...]

MAX_BYTES = 4_000_000
MAX_DEPTH = 64
MAX_VALUES = 200_000
"""Aliases are expanded, so a few lines of them can make more values than fit into memory."""
LARGEST_INTEGER = 2**63 - 1

_TAG = "tag:yaml.org,2002:"
_PLAIN = tuple(_TAG + name for name in ("null", "bool", "int", "float", "str"))
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+")


class _Loader(SafeLoader):  # pyright: ignore[reportGeneralTypeIssues]
    """Dates are text, and `1e-4` is a number as in YAML 1.2; YAML 1.1 asks for a dot and a sign."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _TAG + "timestamp"]
    for first, resolvers in SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_TAG + "float", re.compile(rf"^(?:{_FLOAT.pattern})$"), list("-+.0123456789"))


@dataclass
class Parsed:
    """A value without shared parts: changing one place changes no other. `places` maps keys to `name:line`."""

    value: Any
    places: dict[Key, str] = field(default_factory=dict)


def parse(text: str, name: str) -> Parsed:
    """Read one YAML document. Raises UserError, with the line where it can, for what is not plain data.

    Refused are broken YAML, tags, keys that stand twice or are no words, numbers that are not finite or beyond 64 bits,
    values that contain themselves, and documents above the bounds of this module.
    """
    try:
        _check_depth(text, name)
        loader = _Loader(text)
        node = loader.get_single_node()
    except (yaml.YAMLError, UnicodeError) as error:
        told = str(error).replace('in "<unicode string>", ', "at ")
        raise UserError(f"{name} is not valid YAML: {' '.join(told.split())}") from error
    parsed = Parsed(None)
    if node is not None:
        parsed.value = _Reader(loader, name, parsed.places).read(node, ())
    return parsed


def _check_depth(text: str, name: str) -> None:
    """Check the depth event by event: the composer recurses in C, where too much depth is a crash."""
    depth = 0
    for event in yaml.parse(text, Loader=SafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise UserError(f"{_place(name, event)}: nested more than {MAX_DEPTH} levels deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


class _Reader:
    """Converts nodes to plain data; the node of an anchor is converted again for each alias."""

    def __init__(self, loader: Any, name: str, places: dict[Key, str]) -> None:
        self.loader, self.name, self.places = loader, name, places
        self.num_values = 0
        self.open: set[int] = set()

    def read(self, node: yaml.Node, key: Key) -> Any:
        self._count(1)
        self.places.setdefault(key, self._place(node))
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if node.tag not in (_TAG + "map", _TAG + "seq"):
            raise UserError(f"{self._place(node)}: tag {_shown_tag(node)} is not allowed; write plain values")
        self._enter(node)
        if isinstance(node, yaml.MappingNode):
            value: Any = {
                name: self._entry(name_node, item, (*key, name)) for name, name_node, item in self._items(node)
            }
        else:
            value = [self.read(item, (*key, index)) for index, item in enumerate(node.value)]
        self.open.remove(id(node))
        return value

    def _count(self, number: int) -> None:
        self.num_values += number
        if self.num_values > MAX_VALUES:
            raise UserError(f"{self.name} holds more than {MAX_VALUES:,} values, aliases written out")

    def _enter(self, node: yaml.Node) -> None:
        """Aliases add depth that the text does not show, so depth is checked here too."""
        if id(node) in self.open:
            raise UserError(f"{self._place(node)}: a value contains itself through an alias")
        if len(self.open) == MAX_DEPTH:
            raise UserError(f"{self._place(node)}: nested more than {MAX_DEPTH} levels deep through aliases")
        self.open.add(id(node))

    def _entry(self, name_node: yaml.Node, item: yaml.Node, key: Key) -> Any:
        self.places[key] = self._place(name_node)
        return self.read(item, key)

    def _items(self, node: yaml.MappingNode) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
        """The keys as written. Keys that `<<` merges come first; the mapping's own keys replace them."""
        own: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        merged: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for name_node, item in node.value:
            if not isinstance(name_node, yaml.ScalarNode):
                raise UserError(f"{self._place(name_node)}: a key must be a word, not a list or a mapping")
            if name_node.tag == _TAG + "merge":
                # of several, the first has precedence
                for source in reversed(item.value if isinstance(item, yaml.SequenceNode) else [item]):
                    merged |= {name: (key, value) for name, key, value in self._merged(source)}
                continue
            if name_node.value in own:
                raise UserError(f"{self._place(name_node)}: key {name_node.value!r} stands twice")
            own[name_node.value] = (name_node, item)
        for name, (name_node, item) in (merged | own).items():
            yield name, name_node, item

    def _merged(self, source: yaml.Node) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
        if not isinstance(source, yaml.MappingNode):
            raise UserError(f"{self._place(source)}: `<<` merges mappings only")
        self._count(len(source.value))
        self._enter(source)
        yield from list(self._items(source))
        self.open.remove(id(source))

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        if node.tag not in _PLAIN:
            raise UserError(f"{self._place(node)}: tag {_shown_tag(node)} is not allowed; write plain values")
        shown = node.value if len(node.value) <= 40 else f"{node.value[:40]}..."
        try:
            # Not `construct_object`: it keeps every value by its node, and aliases must not share one.
            value = self.loader.yaml_constructors[node.tag](self.loader, node)
        except (ValueError, LookupError) as error:
            kind = node.tag.removeprefix(_TAG)
            raise UserError(f"{self._place(node)}: {shown!r} cannot be read as {kind}") from error
        if isinstance(value, int) and abs(value) > LARGEST_INTEGER:
            raise UserError(f"{self._place(node)}: the number {shown} is beyond 64 bits")
        if isinstance(value, float) and not abs(value) < float("inf"):
            raise UserError(f"{self._place(node)}: {shown} is not a finite number")
        return value

    def _place(self, node: yaml.Node) -> str:
        return _place(self.name, node)


def _place(name: str, part: Any) -> str:
    """A value of the command line has one line, so its place needs no line number."""
    return name if name.startswith("--") else f"{name}:{part.start_mark.line + 1}"


def _shown_tag(node: yaml.Node) -> str:
    return node.tag.replace(_TAG, "!!")
