"""What differs between the provenance of two results of the same run: versions, devices, code, weights files, data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

FACTS = ("prunebench", "revision", "python", "device_name", "instructions", "tf32", "threads", "deterministic")
"""What may change a number of the same run; versions of packages are compared as well."""

DATA = "data fingerprint"

Result = Mapping[str, Any]
Difference = tuple[str, str, str]
"""(Name, first value, second value)."""


def provenance_differences(pairs: Iterable[tuple[Result, Result]]) -> list[tuple[str, str, str, int]]:
    """Each difference, with the number of pairs that have it."""
    counts = Counter(difference for pair in pairs for difference in (*_of_facts(*pair), *_of_origins(*pair)))
    return [(*difference, count) for difference, count in counts.items()]


def _of_facts(first: Result, second: Result) -> Iterator[Difference]:
    one, other = _facts(first["provenance"]), _facts(second["provenance"])
    for name in one:
        if one[name] != other.get(name):
            yield name, str(one[name]), str(other.get(name))


def _facts(provenance: Mapping[str, Any]) -> dict[str, Any]:
    return {**{name: provenance.get(name) for name in FACTS}, **provenance["packages"]}


def _of_origins(first: Result, second: Result) -> Iterator[Difference]:
    """Code, weights file and data that differ, if both results record them in the same way."""
    schemes = {(result["provenance"].get("code") or {}).get("scheme") for result in (first, second)}
    one, other = _origins(first), _origins(second)
    for name, value in one.items():
        is_comparable = len(schemes) == 1 or name == DATA
        if name in other and value != other[name] and is_comparable:
            yield name, value, other[name]


def _origins(result: Result) -> dict[str, str]:
    code, run = result["provenance"].get("code") or {}, result["run"]
    names = {
        "method": f"code of method {run['method']}",
        "network": f"code of network {run['model']}",
        "weights": "weights file",
    }
    known = {name: code[key] for key, name in names.items() if key in code}
    packages = {f"package {name}": version for name, version in code.get("packages", {}).items()}
    data = {DATA: result["data"]["fingerprint"]}
    return {name: value[:12] for name, value in {**known, **data}.items()} | packages
