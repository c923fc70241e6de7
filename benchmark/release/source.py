"""Where released networks are read from: a folder, or a URL whose files are kept in a cache folder once fetched."""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from ..api.errors import Damaged, DataDamaged, DataMissing, UserError
from ..runs.files import read_typed, write_atomically
from ..runs.run_folder import RunFolder
from ..runs.stored_types import Result, contradiction
from .index import CARD, FILES, INDEX, RESULT, Network, find, read_index
from .names import SHAPE, is_name

RELEASE_VARIABLE = "PRUNEBENCH_RELEASE"
"""Environment variable: the folder or URL of the release, where no argument names one."""

CACHE_VARIABLE = "PRUNEBENCH_CACHE"
DEFAULT_CACHE = Path("~/.cache/prunebench")
TIMEOUT = 60.0  # seconds without a byte


def open_network(name: str, release: str | Path | None = None) -> tuple[RunFolder, dict[str, Any]]:
    """The folder with the files of a released network, and its result. All files are compared with their SHA-256.

    Args:
        name: DATASET/NETWORK/METHOD/SPARSITY/SEED.
        release: its folder, or the URL at which the files of that folder are; else $PRUNEBENCH_RELEASE.

    Raises:
        UserError: no release, no such network, files that are not those of the index, or no connection.
    """
    if not is_name(name):
        raise UserError(f"network {name!r} is not a name of the form {SHAPE}")
    where = str(release or os.environ.get(RELEASE_VARIABLE) or "")
    if not where:
        raise UserError(f"network {name!r}: no release is named; give release= or set ${RELEASE_VARIABLE}")
    folder = _fetched(name, where.rstrip("/")) if where.startswith(("http://", "https://")) else _local(name, where)
    result = read_typed(folder / RESULT, Result)
    if reason := contradiction(result):
        raise DataDamaged(f"{folder / RESULT} is damaged: {reason}")
    return RunFolder(folder), result


def _local(name: str, where: str) -> Path:
    release = Path(where).expanduser()
    place = release / INDEX
    if not place.is_file():
        what = "has no index.json" if release.is_dir() else "is neither a folder nor an address (http:// or https://)"
        raise UserError(f"release {where!r} {what}; `prunebench export-zoo` writes one")
    network = find(read_index(place.read_bytes(), str(place)), name, str(place))
    for file in _files(network):
        path = release / name / file
        if not path.is_file() or _digest(path.read_bytes()) != network["files"][file]["sha256"]:
            raise Damaged(path, f"its SHA-256 is not the one in {INDEX}" if path.is_file() else "it is missing")
    return release / name


def _fetched(name: str, base: str) -> Path:
    cache = _cache() / hashlib.sha256(base.encode()).hexdigest()[:12]
    network = _listed(name, base, cache)
    for file in _files(network):
        path, facts = cache / name / file, network["files"][file]
        if path.is_file() and _digest(path.read_bytes()) == facts["sha256"]:
            continue
        content = _get(f"{base}/{name}/{file}")
        if _digest(content) != facts["sha256"]:
            raise DataDamaged(
                f"{base}/{name}/{file} is not the file of the index: {len(content)} bytes with SHA-256 "
                f"{_digest(content)[:12]}, not {facts['bytes']} with {facts['sha256'][:12]}; if the release has "
                f"changed, remove {cache}"
            )
        write_atomically(path, content)
    return cache / name


def _listed(name: str, base: str, cache: Path) -> Network:
    """The entry in the cached index; the index is fetched where it is not there or does not have the network."""
    place = cache / INDEX
    if place.is_file():
        known = read_index(place.read_bytes(), str(place))
        if any(network["name"] == name for network in known["networks"]):
            return find(known, name, base)
    content = _get(f"{base}/{INDEX}")
    index = read_index(content, f"{base}/{INDEX}")
    write_atomically(place, content)
    return find(index, name, base)


def _files(network: Network) -> list[str]:
    """Names of the files that are needed: only known ones, so that an index cannot name a path elsewhere."""
    return [file for file in FILES if file in network["files"] and file != CARD]


def _cache() -> Path:
    named = Path(os.environ.get(CACHE_VARIABLE) or DEFAULT_CACHE)
    try:
        return named.expanduser().absolute() / "networks"
    except RuntimeError as error:
        raise DataMissing(f"cache {named}: this user has no home folder here; set ${CACHE_VARIABLE}") from error


def _get(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
            return response.read()
    except urllib.error.HTTPError as error:
        raise DataMissing(f"cannot fetch {url}: the server answers {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise DataMissing(
            f"cannot fetch {url}: {reason}; without a network give the folder of a release that is here"
        ) from error


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
