"""Finds merged results that were computed on other data, or by other code, under the same name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

Origins = dict[tuple[str, str], Counter[tuple[str, Path]]]
"""By kind and name: the number of results for each digest and folder."""


def origin_lines(results: Iterable[tuple[Path, Mapping[str, Any]]]) -> list[str]:
    """A line for each data set, method and network that is not the same in all results (each given with its folder)."""
    found: Origins = {}
    for root, result in results:
        for kind, name, digest in _digests(result):
            found.setdefault((kind, name), Counter())[digest, root] += 1
    return [
        f"other {kind} under one name: {name}: {_spelled(counts)}"
        for (kind, name), counts in found.items()
        if len({digest for digest, _ in counts}) > 1
    ]


def _digests(result: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(Kind, name, digest). The name includes what may change the digest: options of data, versions of methods."""
    run = result["run"]
    options = "".join(f" {key}={value}" for key, value in sorted(run.get("dataset_options", {}).items()))
    held_out = f" validation={run['validation']}" if "validation" in run else ""
    yield "data", f"{run['dataset']}{options}{held_out}", result["data"]["fingerprint"]
    code = result["provenance"].get("code") or {}
    if "method" in code:
        # The digests of a control are its own, then those of the methods it borrows from.
        version = f" (version {run['method_version']})" if "method_version" in run else ""
        yield "code", f"method {run['method']}{version}", f"{code['scheme']}:{code['method'].split('+')[0]}"
    if "network" in code:
        yield "code", f"network {run['model']}", f"{code['scheme']}:{code['network']}"


def _spelled(counts: Counter[tuple[str, Path]]) -> str:
    return ", ".join(
        f"{digest.split(':')[-1][:12]} in {root} ({number} {'run' if number == 1 else 'runs'})"
        for (digest, root), number in counts.items()
    )
