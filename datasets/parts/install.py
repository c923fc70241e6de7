"""Installs data sets atomically, under a lock."""

from __future__ import annotations

import json
import os
import shutil
import socket
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ...benchmark.api.errors import DataDamaged, UserError

MANIFEST = "prunebench.json"
DOWNLOADS = ".downloads"


def is_ready(read: Callable[[], object]) -> bool:
    """Whether `read` finds a whole data set: missing and damaged files are to be fetched."""
    try:
        read()
    except UserError:
        return False
    return True


@contextmanager
def installing(name: str, root: Path) -> Iterator[Path]:
    """A fresh folder under `root` for unpacking, removed at the end; holds the data set's lock meanwhile.

    The lock is a folder, because creating one is atomic on network file systems as well.
    """
    root.mkdir(parents=True, exist_ok=True)
    lock = root / f".{name}.lock"
    try:
        lock.mkdir()
    except FileExistsError:
        raise UserError(f"{name} is being prepared by {_owner(lock)}; if that has died, remove {lock}") from None
    try:
        (lock / "owner").write_text(f"process {os.getpid()} on {socket.gethostname()}")
        with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=root) as staging:
            yield Path(staging)
    finally:
        shutil.rmtree(lock)


def _owner(lock: Path) -> str:
    try:
        return (lock / "owner").read_text()
    except OSError:  # the other process is between making the lock and signing it, or has just left
        return "another process"


def put(files: Mapping[str, Path], folder: Path) -> None:
    """Move files on the same file system to `folder`, each under its name: one rename each."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, path in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        path.replace(folder / name)


def copy_in(path: Path, staging: Path) -> Path:
    """A copy in `staging`, from where `put` can rename it."""
    return Path(shutil.copyfile(path, staging / path.name))


def unpack_tar(archive: Path, names: Mapping[str, str], staging: Path) -> dict[str, Path]:
    """Extract members by name; `names` maps a member to the relative path that it gets.

    Nothing in the archive decides where a file is written, and links are not followed.
    """
    unpacked: dict[str, Path] = {}
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                source = tar.extractfile(member) if member.isfile() and member.name in names else None
                if source is not None:
                    unpacked[names[member.name]] = _write(source, staging / names[member.name])
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise UserError(f"{archive} is truncated or damaged: {error}") from error
    return _all_of(names, unpacked, archive)


def unpack_zip(archive: Path, names: Mapping[str, str], staging: Path) -> dict[str, Path]:
    """Like `unpack_tar`; a zip inside the zip is opened if the outer one lacks the members."""
    try:
        with zipfile.ZipFile(archive) as outer:
            members = outer.namelist()
            inner = [name for name in members if name.endswith(".zip")]
            if not inner or set(names) <= set(members):
                return _all_of(names, _from_zip(outer, names, staging), archive)
            # unpacked first: seeking backwards in a compressed member would read it anew each time
            packed = _write(outer.open(inner[0]), staging / "inner.zip")
        with zipfile.ZipFile(packed) as nested:
            return _all_of(names, _from_zip(nested, names, staging), archive)
    except (zipfile.BadZipFile, EOFError, zlib.error, OSError) as error:
        raise UserError(f"{archive} is truncated or damaged: {error}") from error


def _from_zip(archive: zipfile.ZipFile, names: Mapping[str, str], staging: Path) -> dict[str, Path]:
    present = set(archive.namelist()) & set(names)
    return {names[name]: _write(archive.open(name), staging / names[name]) for name in sorted(present)}


def _write(source: IO[bytes], target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    with source, target.open("wb") as file:
        shutil.copyfileobj(source, file)
    return target


def _all_of(names: Mapping[str, str], unpacked: dict[str, Path], archive: Path) -> dict[str, Path]:
    absent = sorted(name for name, target in names.items() if target not in unpacked)
    if absent:
        raise UserError(f"{archive} has no {absent[0]!r} in it ({len(absent)} of {len(names)} files are absent)")
    return unpacked


def write_manifest(folder: Path, name: str, source: str, fingerprint: str) -> None:
    """Record what was installed here, for `check` to compare."""
    part = folder / f"{MANIFEST}.part"
    content = {"name": name, "source": source, "fingerprint": fingerprint}
    part.write_text(json.dumps(content, indent=2) + "\n")
    part.replace(folder / MANIFEST)


def compare_with_manifest(folder: Path, fingerprint: str) -> str:
    """One line on whether the data are what `prepare` put there; `DataDamaged` if they are not."""
    try:
        noted = json.loads((folder / MANIFEST).read_text())["fingerprint"]
    except FileNotFoundError:
        return f"fingerprint {fingerprint} (no {MANIFEST} in {folder} to compare with)"
    except (ValueError, KeyError, TypeError) as error:
        raise DataDamaged(f"{folder / MANIFEST} is damaged: {error}") from error
    if noted != fingerprint:
        raise DataDamaged(f"{folder} has changed since it was prepared: fingerprint {fingerprint}, was {noted}")
    return f"fingerprint {fingerprint}, as prepared"
