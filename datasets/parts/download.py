"""Published files: fetched with resume and checksum, or taken from where a user has put them."""

from __future__ import annotations

import hashlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...benchmark.api.errors import DataMissing, UserError
from .info import Report

TIMEOUT = 60.0  # seconds without a byte
CHUNK = 1 << 20
REPORT_EVERY = 16 << 20
RANGE_NOT_SATISFIABLE = 416


@dataclass(frozen=True, kw_only=True)
class Remote:
    """A published file. Any of `checksums` ("md5:..." or "sha256:...", equally good copies) makes it genuine."""

    name: str
    urls: tuple[str, ...]
    checksums: tuple[str, ...]


def mismatch(path: Path, remote: Remote) -> str | None:
    """None if `path` holds the published bytes; else what was found and expected, for an error's text."""
    found = []
    for algorithm in dict.fromkeys(checksum.partition(":")[0] for checksum in remote.checksums):
        with path.open("rb") as file:
            found.append(f"{algorithm}:{hashlib.file_digest(file, algorithm).hexdigest()}")
    if set(found) & set(remote.checksums):
        return None
    return f"it has {', '.join(found)}; published: {' or '.join(remote.checksums)}"


def take(path: Path, remote: Remote) -> Path:
    """`path`, if it holds the published bytes of `remote`."""
    if not path.is_file():
        raise UserError(f"{path} is not a file; expected a copy of {remote.name}")
    difference = mismatch(path, remote)
    if difference:
        raise UserError(f"{path} is not {remote.name}, or is truncated: {difference}")
    return path


def download(name: str, remote: Remote, folder: Path, report: Report, *, by_hand: str = "FILE") -> Path:
    """Fetch `remote` into `folder`, from the first of its addresses that answers.

    After a lost connection the next call continues <name>.part. `by_hand` is what `--from` would take.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target, part = folder / remote.name, folder / f"{remote.name}.part"
    if target.is_file() and not mismatch(target, remote):
        return target
    failures = []
    for url in remote.urls:
        try:
            _fetch(url, part, report)
            break
        except (OSError, http.client.HTTPException) as error:
            failures.append(f"{url}: {error}")
    else:
        raise DataMissing(
            f"{name}: cannot download {remote.name} ({'; '.join(failures)}); fetch it on another machine and run "
            f"`prunebench prepare {name} --from {by_hand}`"
        )
    difference = mismatch(part, remote)
    if difference:
        part.unlink()
        raise UserError(f"{name}: the download of {remote.name} is not the published file, removed: {difference}")
    return part.replace(target)


def _fetch(url: str, part: Path, report: Report) -> None:
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if have and error.code == RANGE_NOT_SATISFIABLE:
            part.unlink()
            return _fetch(url, part, report)
        raise
    with response:
        continues = response.status == http.HTTPStatus.PARTIAL_CONTENT
        have = have if continues else 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        report(f"{'continuing' if have else 'fetching'} {url} ({_size(total)})")
        with part.open("ab" if continues else "wb") as file:
            for chunk in _chunks(response):
                file.write(chunk)
                if (have + len(chunk)) // REPORT_EVERY > have // REPORT_EVERY:
                    report(f"{_size(have + len(chunk))} of {_size(total)}")
                have += len(chunk)
    if total is not None and have != total:
        raise OSError(f"connection lost after {have} of {total} bytes; the next call continues")
    return None


def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    while chunk := response.read(CHUNK):
        yield chunk


def _size(count: int | None) -> str:
    return "unknown size" if count is None else f"{count / 1e6:.1f} MB"
