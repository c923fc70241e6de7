"""Networks of a release are loaded by name, from its folder and from a URL."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import prunebench
import pytest
import torch
from prunebench.benchmark.api.errors import Damaged, DataDamaged, DataMissing, UserError
from prunebench.benchmark.runs.artifacts import load_weights
from released import BASE, NAME, PRUNED, Mirror


def test_a_network_of_a_folder_is_the_stored_one(release: Path, computed: Path) -> None:
    model, masks, result = prunebench.load_pruned(NAME, release=release)
    stored = prunebench.load_pruned(PRUNED.id, results=computed / "results")
    assert not model.training
    assert result == stored.result
    assert model.state_dict().keys() == stored.model.state_dict().keys()
    assert all(torch.equal(tensor, stored.model.state_dict()[name]) for name, tensor in model.state_dict().items())
    assert masks.keys() == stored.masks.keys()
    assert all(torch.equal(mask, stored.masks[name]) for name, mask in masks.items())
    assert sum(int(mask.sum()) for mask in masks.values()) == result["sparsity"]["kept"]


def test_a_mirror_is_asked_once_for_each_file(mirror: Mirror, release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = load_weights(release / NAME / "model.safetensors", None)
    monkeypatch.setenv("PRUNEBENCH_RELEASE", f"{mirror.url}/")
    files = {"/index.json", *(f"/{NAME}/{file}" for file in ("result.json", "model.safetensors", "masks.safetensors"))}
    for _ in range(2):
        model = prunebench.load_pruned(NAME).model
        assert all(torch.equal(tensor, expected[name]) for name, tensor in model.state_dict().items())
        assert (len(mirror.fetched), set(mirror.fetched)) == (4, files)
    prunebench.load_pruned(f"{BASE}/dense/0/3")
    assert mirror.fetched[4:] == [f"/{BASE}/dense/0/3/{file}" for file in ("result.json", "model.safetensors")]


def test_what_was_fetched_is_read_without_the_mirror(mirror: Mirror) -> None:
    prunebench.load_pruned(NAME, release=mirror.url)
    mirror.shutdown()
    mirror.server_close()
    prunebench.load_pruned(NAME, release=mirror.url)
    with pytest.raises(
        DataMissing, match=rf"^cannot fetch {mirror.url}/{BASE}/dense/0/3/result.json: .*refused"
    ) as told:
        prunebench.load_pruned(f"{BASE}/dense/0/3", release=mirror.url)
    assert "\n" not in str(told.value)


def test_another_file_than_that_of_the_index_is_refused_and_not_kept(mirror: Mirror, tmp_path: Path) -> None:
    weights = tmp_path / "served" / NAME / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + b"?")
    with pytest.raises(DataDamaged, match=r"model.safetensors is not the file of the index: \d+ bytes with SHA-256"):
        prunebench.load_pruned(NAME, release=mirror.url)
    assert not list((tmp_path / "cache").rglob("model.safetensors"))
    weights.write_bytes(content)
    prunebench.load_pruned(NAME, release=mirror.url)
    cached = next((tmp_path / "cache").rglob("model.safetensors"))
    cached.write_bytes(b"cut off")  # is fetched again
    prunebench.load_pruned(NAME, release=mirror.url)
    assert cached.read_bytes() == content


def test_a_network_that_was_added_to_a_mirror_is_found(mirror: Mirror, tmp_path: Path) -> None:
    place = tmp_path / "served" / "index.json"
    whole = place.read_text(encoding="utf-8")
    index = json.loads(whole)
    place.write_text(json.dumps({**index, "networks": index["networks"][:1]}), encoding="utf-8")
    with pytest.raises(UserError, match=rf"no network '{NAME}'; did you mean .*{mirror.url} lists 1$"):
        prunebench.load_pruned(NAME, release=mirror.url)
    place.write_text(whole, encoding="utf-8")
    assert prunebench.load_pruned(NAME, release=mirror.url).result["id"] == PRUNED.id


@pytest.mark.parametrize(
    ("name", "where", "message"),
    [
        (NAME, None, r"no release is named; give release= or set \$PRUNEBENCH_RELEASE$"),
        (NAME, "{tmp}/nowhere", "is neither a folder nor an address"),
        (NAME, "ftp://host/networks", "is neither a folder nor an address"),
        (NAME, "{tmp}", "has no index.json; `prunebench export-zoo` writes one"),
        ("digits/convnet-small/global-mp/90/3", "{release}", rf"did you mean '{NAME}'"),
        ("global_mp", "{release}", "is not a name of the form DATASET/NETWORK/METHOD/SPARSITY/SEED"),
        ("../../../../etc", "{release}", "is not a name of the form"),
        (NAME, "{mirror}/other", r"cannot fetch .*/other/index.json: the server answers 404"),
    ],
)
def test_what_cannot_be_loaded_is_told_in_one_line(
    name: str, where: str | None, message: str, mirror: Mirror, release: Path, tmp_path: Path
) -> None:
    named = where and where.format(tmp=tmp_path, release=release, mirror=mirror.url)
    with pytest.raises(UserError, match=message) as told:
        prunebench.load_pruned(name, release=named)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "is not the index of a release"),
        ('{"schema": 2}', "has format 2, this version of prunebench reads 1"),
        ('{"schema": 1, "prunebench": "0", "networks": [{"name": "a"}]}', r"networks\.0\.id: Field required"),
        ("<html>", "is not the index of a release: Invalid JSON"),
    ],
)
def test_an_index_of_another_kind_is_refused(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        prunebench.load_pruned(NAME, release=tmp_path)


def test_a_changed_or_missing_file_of_a_folder_is_damaged(release: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(release, copy)
    (copy / NAME / "result.json").write_text("{}", encoding="utf-8")
    with pytest.raises(Damaged, match=r"result.json is damaged: its SHA-256 is not the one in index.json"):
        prunebench.load_pruned(NAME, release=copy)
    (copy / NAME / "result.json").unlink()
    with pytest.raises(Damaged, match="it is missing"):
        prunebench.load_pruned(NAME, release=copy)
