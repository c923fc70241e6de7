"""A cache of SHA-256 digests of the files of one folder of runs, so that unchanged files are not read again.

    ROOT/.dense.digests             of ROOT/dense/
    ROOT/<study>/.runs.digests      of ROOT/<study>/runs/

A digest counts while the file has the size, times and inode that were stored with it. A cache that is damaged, missing
or cannot be written only costs time.
"""

from __future__ import annotations

import contextlib
import os
import time
import zlib
from pathlib import Path

from .files import digest_of, size_of, write_atomically

SETTLED_NS = 2_000_000_000
"""Younger files are not cached: changed again within one tick of the file system's clock, they would look the same."""

Entries = dict[str, tuple[bytes, bytes]]
"""(Signature, SHA-256) by run and name of the file."""


class KnownDigests:
    """The SHA-256 of files: `read` returns the cached one or reads the file, `save` stores what was read."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._path = folder, digests_path(folder)
        self._entries = _load(self._path)
        self._has_changed = False

    def read(self, path: Path) -> str:
        """Raises Damaged if the file is missing or not a file."""
        size_of(path)
        state, key = path.stat(), f"{path.parent.name}/{path.name}"
        known = self._entries.get(key)
        if known is not None and known[0] == _signature(state):
            return known[1].decode()
        digest = digest_of(path)
        if _is_settled(state):
            self._entries[key] = _signature(state), digest.encode()
            self._has_changed = True
        return digest

    def save(self) -> None:
        """Write the cache if it has changed, without entries of removed runs."""
        if not self._has_changed:
            return
        with contextlib.suppress(OSError):
            there = set(os.listdir(self._folder))  # noqa: PTH208
            kept = {key: entry for key, entry in self._entries.items() if key.partition("/")[0] in there}
            body = b"".join(b"%s\t%s\t%s\n" % (key.encode(), *entry) for key, entry in kept.items())
            write_atomically(self._path, _header(zlib.crc32(body)) + body)


def digests_path(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.digests")


def _signature(state: os.stat_result) -> bytes:
    """Changes with every change of a file."""
    return b"%d %d %d %d" % (state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)


def _is_settled(state: os.stat_result) -> bool:
    """Whether the file is so old that its next change gives another signature."""
    return max(state.st_mtime_ns, state.st_ctime_ns) < time.time_ns() - SETTLED_NS


def _header(checksum: int) -> bytes:
    return b"prunebench digests 1, crc32 %08x\n" % checksum


def _load(path: Path) -> Entries:
    """Empty if there is no cache, or not a whole one of this version."""
    entries: Entries = {}
    checksum = 0
    try:
        with path.open("rb") as file:
            header = file.readline()
            for line in file:
                checksum = zlib.crc32(line, checksum)
                key, signature, digest = line.split(b"\t", 2)
                entries[key.decode()] = signature, digest.rstrip(b"\n")
    except (OSError, ValueError):
        return {}
    return entries if header == _header(checksum) else {}
