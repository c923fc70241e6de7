"""Preparing CIFAR-10 from a tar: damaged ones, locks, nothing half-written."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from prunebench.benchmark.api.errors import UserError
from prunebench.datasets import registry
from prunebench.datasets.cifar10 import Cifar10
from prunebench.datasets.parts.install import MANIFEST
from test_cifar import accept, write_set
from test_prepare_download import Server, left_behind, md5, server

__all__ = ["server"]


def tar_of(folder: Path, names: list[str] | None = None) -> bytes:
    """A tar.gz with the files of the folder under its name, and a member whose path leaves the folder."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for path in sorted(folder.iterdir()):
            if names is None or path.name in names:
                tar.add(path, f"{folder.name}/{path.name}")
        member = tarfile.TarInfo("../climbed")
        member.size = 4
        tar.addfile(member, io.BytesIO(b"evil"))
    return buffer.getvalue()


@pytest.fixture
def cifar_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_set(tmp_path / "source", Cifar10, per_file=40)
    folder = tmp_path / "source" / Cifar10.folder
    accept(Cifar10, folder, monkeypatch, per_file=40)
    return folder


def pass_off(content: bytes, path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write an archive and accept it as the published CIFAR-10."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    monkeypatch.setattr(Cifar10, "archive", replace(Cifar10.archive, checksums=(md5(content),)))
    return path


def test_cifar_by_download(server: Server, cifar_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.files["set.bin"] = tar_of(cifar_folder)
    published = replace(Cifar10.archive, urls=(f"{server.url}set.bin",), checksums=(md5(server.files["set.bin"]),))
    monkeypatch.setattr(Cifar10, "archive", published)
    root = tmp_path / "a" / "data"
    lines: list[str] = []
    assert registry.prepare("cifar10", root=root, report=lines.append) == root / Cifar10.folder
    assert lines
    assert len(registry.load("cifar10", root=root).test) == 40
    assert {path.name for path in (root / Cifar10.folder).iterdir()} == {
        *(path.name for path in cifar_folder.iterdir()),
        MANIFEST,
    }
    assert [*(root / ".downloads").iterdir()] == [], "the archive is not kept"
    assert not [*tmp_path.rglob("climbed")], "a member's path decides nothing"
    registry.prepare("cifar10", root=root)
    assert len(server.requests) == 1
    assert registry.check("cifar10", root=root)[2].endswith("as prepared")


def test_cifar_from_a_file_repairs_a_damaged_copy(
    cifar_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = pass_off(tar_of(cifar_folder), tmp_path / "cifar.tgz", monkeypatch)
    root = tmp_path / "data"
    registry.prepare("cifar10", root=root, archive=archive)
    (root / Cifar10.folder / "data_batch_4").write_bytes(b"half")
    registry.prepare("cifar10", root=root, archive=archive)
    assert len(registry.load("cifar10", root=root, validation=0).train) == 200
    assert archive.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content[: len(content) // 2], "cifar.tgz is truncated or damaged"),
        (lambda content: b"<html>busy</html>", "cifar.tgz is truncated or damaged"),
    ],
)
def test_a_damaged_archive_leaves_nothing(
    cifar_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[bytes], bytes],
    message: str,
) -> None:
    archive = pass_off(change(tar_of(cifar_folder)), tmp_path / "cifar.tgz", monkeypatch)
    with pytest.raises(UserError, match=message):
        registry.prepare("cifar10", root=tmp_path / "data", archive=archive)
    assert [*(tmp_path / "data").iterdir()] == []


def test_an_archive_without_a_file_leaves_nothing(
    cifar_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = pass_off(tar_of(cifar_folder, ["data_batch_1", "test_batch"]), tmp_path / "cifar.tgz", monkeypatch)
    with pytest.raises(UserError, match=r"has no 'cifar-10-batches-py/batches.meta' in it \(5 of 7 files are absent\)"):
        registry.prepare("cifar10", root=tmp_path / "data", archive=archive)
    assert [*(tmp_path / "data").iterdir()] == []


def test_another_archive_is_refused_by_its_checksum(cifar_folder: Path, tmp_path: Path) -> None:
    archive = tmp_path / "cifar.tgz"
    archive.write_bytes(tar_of(cifar_folder))
    with pytest.raises(
        UserError, match=r"is not cifar-10-python.tar.gz, or is truncated: .*c58f30108f718f92721af3b95e74349a"
    ):
        registry.prepare("cifar10", root=tmp_path / "data", archive=archive)


def test_a_second_preparation_at_the_same_time_is_refused(
    cifar_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = pass_off(tar_of(cifar_folder), tmp_path / "cifar.tgz", monkeypatch)
    root = tmp_path / "data"
    messages: list[str] = []

    def prepare_again(*arguments: object) -> None:
        with pytest.raises(UserError) as caught:
            registry.prepare("cifar10", root=root, archive=archive)
        messages.append(str(caught.value))
        raise KeyboardInterrupt

    monkeypatch.setattr("prunebench.datasets.parts.cifar.unpack_tar", prepare_again)
    with pytest.raises(KeyboardInterrupt):
        registry.prepare("cifar10", root=root, archive=archive)
    assert "cifar10 is being prepared by process " in messages[0]
    assert str(root / ".cifar10.lock") in messages[0]
    assert left_behind(root) == [], "an interrupted preparation gives its lock back"


def test_data_that_are_ready_need_no_lock(cifar_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = pass_off(tar_of(cifar_folder), tmp_path / "cifar.tgz", monkeypatch)
    root = tmp_path / "data"
    registry.prepare("cifar10", root=root, archive=archive)
    (root / ".cifar10.lock").mkdir()
    assert registry.prepare("cifar10", root=root) == root / Cifar10.folder


def test_check_notices_data_that_changed_since(
    cifar_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = pass_off(tar_of(cifar_folder), tmp_path / "cifar.tgz", monkeypatch)
    root = tmp_path / "data"
    place = registry.prepare("cifar10", root=root, archive=archive)
    (place / "data_batch_1").write_bytes((place / "data_batch_2").read_bytes())
    accept(Cifar10, place, monkeypatch, per_file=40)
    with pytest.raises(UserError, match="has changed since it was prepared"):
        registry.check("cifar10", root=root)
    (place / MANIFEST).write_text("{")
    with pytest.raises(UserError, match=r"prunebench\.json is damaged"):
        registry.check("cifar10", root=root)
    (place / MANIFEST).unlink()
    assert "no prunebench.json in" in registry.check("cifar10", root=root)[2]
