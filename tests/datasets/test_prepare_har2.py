"""Preparing HAR-2 from a zip, or from a zip in a zip."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from prunebench.benchmark.api.errors import UserError
from prunebench.datasets import registry
from prunebench.datasets.har2 import FOLDER, Har2
from test_har2 import TEST, TRAIN, write_set
from test_prepare_download import md5


def zip_of(folder: Path, *, nested: bool) -> bytes:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, f"{FOLDER}/{path.relative_to(folder)}")
        archive.writestr("__MACOSX/._junk", b"junk")
        archive.writestr("../climbed", b"evil")
    if not nested:
        return inner.getvalue()
    outer = io.BytesIO()
    with zipfile.ZipFile(outer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("UCI HAR Dataset.names", b"description")
        archive.writestr("UCI HAR Dataset.zip", inner.getvalue())
    return outer.getvalue()


@pytest.fixture
def har_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_set(tmp_path / "source")
    monkeypatch.setattr(Har2, "facts", replace(Har2.facts, num_train=TRAIN, num_test=TEST))
    return tmp_path / "source"


@pytest.mark.parametrize("nested", [True, False])
def test_har_from_either_zip(har_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nested: bool) -> None:
    archive = tmp_path / "har.zip"
    archive.write_bytes(zip_of(har_folder, nested=nested))
    monkeypatch.setattr(Har2, "archive", replace(Har2.archive, checksums=(md5(archive.read_bytes()),)))
    lines: list[str] = []
    root = tmp_path / "data"
    registry.prepare("har2", root=root, archive=archive, report=lines.append)
    assert "CC BY 4.0" in lines[0]
    assert "commercial use is prohibited" in lines[0]
    assert len(registry.load("har2", root=root, validation=0).train) == TRAIN
    assert (root / FOLDER / "README.txt").exists()
    assert {path.name for path in root.iterdir()} == {FOLDER}
    assert not [*tmp_path.rglob("climbed")]


@pytest.mark.parametrize("nested", [True, False])
def test_a_truncated_zip_leaves_nothing(
    har_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nested: bool
) -> None:
    archive = tmp_path / "har.zip"
    archive.write_bytes(zip_of(har_folder, nested=nested)[:-2000])
    monkeypatch.setattr(Har2, "archive", replace(Har2.archive, checksums=(md5(archive.read_bytes()),)))
    with pytest.raises(UserError, match=r"har\.zip is truncated or damaged"):
        registry.prepare("har2", root=tmp_path / "data", archive=archive)
    assert [*(tmp_path / "data").iterdir()] == []


def test_another_zip_is_refused_by_its_checksum(har_folder: Path, tmp_path: Path) -> None:
    archive = tmp_path / "har.zip"
    archive.write_bytes(zip_of(har_folder, nested=True))
    with pytest.raises(UserError, match=r"published: sha256:c00b803.* or sha256:2045e43"):
        registry.prepare("har2", root=tmp_path / "data", archive=archive)
