"""Digests of what a run is computed with besides its specification: code of the method and network, a weights file.

The code of a method is the file of its class and what this imports from `methods/` and `benchmark/api/`; for a
plug-in also the files beside it. The code of a control includes that of the methods it borrows from. The code of a
network is its file and what this imports from `benchmark/models/`; of a plug-in also the files beside it, and of a
data set of a plug-in what it imports from `datasets/parts/`. Not included: the training code, the suite's own data
sets, torch and other libraries; results record the versions of libraries.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...datasets import registry as datasets
from ...methods.listing.source_files import defining_imports
from ...methods.registry import borrowed_chain, origin
from ..api.offers import Offer
from ..models import registry as models
from ..models.registry import is_weights_file
from .files import digest_of
from .run import Run
from .source_code import SCHEME, Import, Resolve, SourceFiles, imported_files

PACKAGE = "prunebench"
PROJECT = Path(__file__).resolve().parents[2]
METHODS = ("methods", "benchmark/api")
NETWORKS = ("benchmark/models",)
DATASETS = ("datasets/parts", "benchmark/api")
PLUMBING = frozenset(("registry", "listing", "checks", "errors", "__init__"))
"""Files and folders that find, list or check methods and networks; they compute nothing of a run."""

Code = dict[str, Any]
"""`scheme`, digests of `method`, `network`, `weights` (a file's SHA-256) and of the `dataset` of a plug-in, and
versions of `packages` that offer methods."""


@dataclass
class CodeReader:
    """Reads the present code, each file once; every command and every process that computes runs makes its own."""

    _files: SourceFiles = field(default_factory=SourceFiles)
    _methods: dict[tuple[str, ...], tuple[str, dict[str, str]]] = field(default_factory=dict)
    _others: dict[Offer, str] = field(default_factory=dict)
    _chains: dict[tuple[str, Any], tuple[str, ...]] = field(default_factory=dict)
    _weights: dict[tuple[str, int, int], str] = field(default_factory=dict)

    def read(self, run: Run) -> Code:
        """The code of a run, without a weights file that is missing: whoever loads it reports that."""
        method, packages = self._method(run)
        code: Code = {"scheme": SCHEME, "method": method, "network": self._other(models.origin(run.model), NETWORKS)}
        if not datasets.is_of_suite(run.dataset):
            code["dataset"] = self._other(datasets.origin(run.dataset), DATASETS)
        weights = dict(run.model_options).get("weights")
        if isinstance(weights, str) and is_weights_file(weights) and (digest := self._weights_of(Path(weights))):
            code["weights"] = digest
        return {**code, "packages": packages} if packages else code

    def _method(self, run: Run) -> tuple[str, dict[str, str]]:
        key = (run.method, run.method_options)
        if key not in self._chains:
            self._chains[key] = (run.method, *borrowed_chain(run.method, dict(run.method_options)))
        names = self._chains[key]
        if names not in self._methods:
            origins = [origin(name) for name in names]
            digests = [self._files.digest(source, _of_code(source, module, METHODS)) for source, module, _ in origins]
            self._methods[names] = "+".join(digests), dict(package for _, _, package in origins if package)
        return self._methods[names]

    def _other(self, offer: Offer, folders: tuple[str, ...]) -> str:
        """Of a network or a data set; with the version of the package that offers it."""
        if offer not in self._others:
            digest = self._files.digest(offer.source, _of_code(offer.source, offer.module, folders))
            self._others[offer] = " ".join((digest, *(offer.package or ())))
        return self._others[offer]

    def _weights_of(self, path: Path) -> str | None:
        try:
            state = path.expanduser().stat()
            key = (str(path), state.st_size, state.st_mtime_ns)
            if key not in self._weights:
                self._weights[key] = digest_of(path.expanduser())
        except OSError:
            return None
        return self._weights[key]


def _within(folders: tuple[str, ...]) -> Resolve:
    """Imports of the suite's own files in these folders."""
    resolve = imported_files(PROJECT, PACKAGE, PLUMBING)

    def resolve_within(path: Path, node: Import) -> Iterator[Path]:
        return (file for file in resolve(path, node) if any(file.is_relative_to(PROJECT / each) for each in folders))

    return resolve_within


def _of_code(source: Path, module: str | None, folders: tuple[str, ...]) -> Resolve:
    """Imports of the suite's files in these folders, and of the code's own package or files beside it."""
    suite = _within(folders)
    if module is not None and module.startswith(f"{PACKAGE}."):
        return suite
    package = "" if module is None else module.split(".")[0]
    depth = 0 if module is None else module.count(".") + (source.name == "__init__.py")
    own = imported_files(source.resolve().parents[max(0, depth - 1)], package)

    def resolve(path: Path, node: Import) -> Iterator[Path]:
        for each in (node, *defining_imports(node)):
            yield from suite(path, each)
        yield from own(path, node)

    return resolve


def differences(stored: Mapping[str, Any] | None, now: Mapping[str, Any]) -> tuple[str, ...]:
    """Which parts differ: `method`, `network`, `weights`, `dataset`; none if the stored code is not known.

    It is not if it is of another scheme. `changed`: the code changed while the run was computed.
    """
    if not stored or stored.get("scheme") != now["scheme"]:
        return ()
    found = [key for key in ("method", "network", "weights", "dataset") if {key} <= stored.keys() & now.keys()]
    found = [key for key in found if stored[key] != now[key]]
    if "method" not in found and stored.get("packages", {}) != now.get("packages", {}):
        found.insert(0, "method")
    if stored.get("changed"):
        found.append("changed")
    return tuple(found)


def code_digest(code: Mapping[str, Any] | None) -> str | None:
    """Twelve hex digits over all of it, to group results of the same code; None if none was recorded."""
    if not code:
        return None
    return hashlib.sha256(json.dumps(code, sort_keys=True).encode()).hexdigest()[:12]
