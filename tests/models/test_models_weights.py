"""Stored weights: read exactly, and refused with one clear line when they do not fit."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from prunebench.benchmark.api.errors import DataMissing, UserError
from prunebench.benchmark.models import weights as weights_module
from prunebench.benchmark.models.registry import create_model
from prunebench.benchmark.models.weights import fetch_weights
from safetensors.torch import save_file
from torch import Tensor, nn


def small(weights: str | None = None, num_classes: int = 10) -> nn.Module:
    return create_model("convnet-small", num_classes=num_classes, input_shape=(1, 8, 8), weights=weights)


@pytest.fixture
def state() -> dict[str, Tensor]:
    torch.manual_seed(3)
    return {name: tensor.clone() for name, tensor in small().state_dict().items()}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """torch's hub cache in an empty folder, without access to the network."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a test must not download")

    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    return tmp_path / "hub" / "checkpoints"


@pytest.mark.parametrize(("suffix", "save"), [(".safetensors", save_file), (".pth", torch.save), (".pt", torch.save)])
def test_files_are_loaded_exactly(
    tmp_path: Path, state: dict[str, Tensor], suffix: str, save: Callable[[Any, str], None]
) -> None:
    path = str(tmp_path / f"dense{suffix}")
    save(state, path)
    torch.manual_seed(4)
    loaded = small(path).state_dict()
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in state.items())


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"state_dict": state, "epoch": 90},
        lambda state: {"model": state, "optimizer": {"state": {}}},
        lambda state: {f"module.{name}": tensor for name, tensor in state.items()},
        lambda state: {"state_dict": {f"_orig_mod.module.{name}": tensor for name, tensor in state.items()}},
        lambda state: {f"module._orig_mod.{name}": tensor for name, tensor in state.items()},
    ],
)
def test_checkpoints_of_training_scripts_are_read(
    tmp_path: Path, state: dict[str, Tensor], wrap: Callable[[Any], Any]
) -> None:
    path = str(tmp_path / "checkpoint.pth")
    torch.save(wrap(state), path)
    loaded = small(path).state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in state.items())


def test_safetensors_with_prefixes_are_read(tmp_path: Path, state: dict[str, Tensor]) -> None:
    path = tmp_path / "checkpoint.safetensors"
    save_file({f"module.{name}": tensor for name, tensor in state.items()}, path)
    loaded = small(str(path)).state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in state.items())


def test_a_prefix_of_some_names_only_is_no_prefix(tmp_path: Path, state: dict[str, Tensor]) -> None:
    path = str(tmp_path / "checkpoint.pth")
    torch.save({**state, "module.extra": torch.zeros(1)}, path)
    with pytest.raises(UserError, match=r"the network has no 'module\.extra'"):
        small(path)


def test_loading_leaves_the_random_state_where_building_does(tmp_path: Path, state: dict[str, Tensor]) -> None:
    save_file(state, tmp_path / "dense.safetensors")
    draws = []
    for weights in (None, str(tmp_path / "dense.safetensors")):
        torch.manual_seed(5)
        small(weights)
        draws.append(torch.rand(3))
    assert torch.equal(*draws)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda state: state.pop("features.3.weight"), "of another architecture: it has no 'features.3.weight'"),
        (
            lambda state: state.update({"classifier.weight": torch.zeros(7, 64)}),
            r"'classifier.weight' is \(7, 64\) in the file, \(10, 64\) in the network",
        ),
        (lambda state: state.update({"head.bias": torch.zeros(2)}), "the network has no 'head.bias'"),
        (
            lambda state: state["features.0.weight"].view(-1)[0].fill_(float("nan")),
            "values that are not finite in 'features.0.weight'",
        ),
    ],
)
def test_files_that_do_not_fit(
    tmp_path: Path, state: dict[str, Tensor], change: Callable[[dict[str, Tensor]], Any], reason: str
) -> None:
    change(state)
    torch.save(state, tmp_path / "other.pth")
    with pytest.raises(UserError, match=reason) as caught:
        small(str(tmp_path / "other.pth"))
    assert "\n" not in str(caught.value)


class Trap:
    """Unpickling this would run code."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (exec, ("raise SystemExit('unpickled')",))


@pytest.mark.parametrize(
    "content",
    [Trap(), {"epoch": 3, "state_dict": {"a": 1}}, [torch.zeros(2)], b"not a checkpoint"],
    ids=["code", "nested", "list", "bytes"],
)
def test_files_that_are_no_state_dict(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "odd.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(UserError, match=r"odd.pth (cannot be read as|is not) a state dict") as caught:
        small(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("size", [0, 3, 1000])
def test_cut_files(tmp_path: Path, state: dict[str, Tensor], suffix: str, size: int) -> None:
    path = tmp_path / f"cut{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(state, path)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(UserError, match="cannot be read as a state dict"):
        small(str(path))


def test_a_file_that_is_absent(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match=r"weights file '.*none.pth' of model 'convnet-small' does not exist"):
        small(str(tmp_path / "none.pth"))


def resnet(weights: str) -> nn.Module:
    with torch.device("meta"):
        return create_model("resnet-50", num_classes=1000, input_shape=(3, 224, 224), weights=weights)


def test_published_weights_are_never_downloaded_by_a_run(hub: Path) -> None:
    with pytest.raises(DataMissing, match=r"resnet50-0676ba61.pth: run `prunebench prepare`"):
        resnet("IMAGENET1K_V1")
    assert not hub.exists()


def test_default_weights_are_refused(hub: Path) -> None:
    with pytest.raises(UserError, match=r"'DEFAULT' .*80.86 % .*77.0 %.*pin one of IMAGENET1K_V1, IMAGENET1K_V2"):
        resnet("DEFAULT")


def test_unknown_weights_are_listed(hub: Path) -> None:
    with pytest.raises(
        UserError, match="unknown weights of model 'resnet-50' 'IMAGENET1K'; did you mean 'IMAGENET1K_V"
    ):
        resnet("IMAGENET1K")


def test_networks_without_published_weights_say_so(hub: Path) -> None:
    with pytest.raises(UserError, match=r"'convnet-small' has no published weights 'IMAGENET1K_V1'; .*resnet-50"):
        small("IMAGENET1K_V1")


def test_a_damaged_cache_is_refused(hub: Path) -> None:
    hub.mkdir(parents=True)
    (hub / "resnet50-0676ba61.pth").write_bytes(b"half a file")
    for use in (lambda: resnet("IMAGENET1K_V1"), lambda: fetch_weights("resnet-50", "IMAGENET1K_V1")):
        with pytest.raises(UserError, match=r"is damaged: its SHA-256 starts \w{8}, not 0676ba61; delete it"):
            use()


def test_fetch_downloads_once_with_the_hash(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The content replaces the download; its name carries its hash, as the publisher's files do."""
    content = b"weights"
    prefix = hashlib.sha256(content).hexdigest()[:8]
    url = f"https://example.org/models/small-{prefix}.pth"
    monkeypatch.setattr(weights_module, "_published_url", lambda *_: url)
    calls: list[tuple[str, str | None]] = []

    def download(source: str, target: str, hash_prefix: str | None = None) -> None:
        calls.append((source, hash_prefix))
        Path(target).write_bytes(content)

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    path = fetch_weights("resnet-50", "IMAGENET1K_V1")
    assert path == fetch_weights("resnet-50", "IMAGENET1K_V1") == hub / f"small-{prefix}.pth"
    assert calls == [(url, prefix)]


def test_cached_published_weights_are_loaded(
    hub: Path, state: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.mkdir(parents=True)
    torch.save(state, hub / "new.pth")
    prefix = hashlib.sha256((hub / "new.pth").read_bytes()).hexdigest()[:8]
    (hub / "new.pth").rename(hub / f"small-{prefix}.pth")
    monkeypatch.setattr(weights_module, "_published_url", lambda *_: f"https://example.org/small-{prefix}.pth")
    loaded = small("IMAGENET1K_V1").state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in state.items())
