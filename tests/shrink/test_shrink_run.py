"""From the folder of a run to a folder that is read without it: safetensors, JSON, ONNX, and errors in one line."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from prunebench.benchmark.api.errors import Damaged, UserError
from prunebench.benchmark.cli import app
from prunebench.benchmark.models.registry import create_model
from prunebench.benchmark.runs.artifacts import load_weights, save_weights
from prunebench.benchmark.runs.files import write_json
from prunebench.benchmark.runs.run_folder import RunFolder
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.shrink import Architecture, load, save, shrink
from prunebench.benchmark.shrink.architecture import changed_layers
from prunebench.benchmark.shrink.onnx_file import INPUTS, onnx_file
from synthetic_results import STUDY, store_result, write_study
from test_shrunk import FAMILIES, drawn_inputs, filter_masks, num_parameters, trained
from torch import Tensor, nn

Change = Callable[[nn.Module], None]


def stored_run(folder: Path, change: Change, *, keeps_weights: bool = True) -> RunFolder:
    """A run of the small study whose network was changed so."""
    study = write_study(folder, STUDY)
    run = next(run for run in study.runs if run.method == "snip")
    stored = store_result(Store(folder / "results"), study.name, run, 0.9)
    torch.manual_seed(0)
    model = create_model("convnet-small", num_classes=10, input_shape=(1, 8, 8))
    change(model)
    if keeps_weights:
        result = json.loads(stored.result_path.read_text(encoding="utf-8"))
        facts = save_weights(stored.model_path, model.state_dict())
        write_json(stored.result_path, {**result, "files": {stored.model_path.name: facts}})
    return stored


@torch.no_grad()
def remove_filters(model: Any) -> None:
    model.features[3].weight[::2] = 0
    model.features[4].bias[::2] = -1  # which ReLU makes zero


def shrink_command(*arguments: str) -> tuple[int, str, str]:
    """Exit code as `main` gives it, output, and what it says or complains."""
    done = CliRunner().invoke(app, ["shrink", *arguments])
    if isinstance(done.exception, UserError):
        return done.exception.exit_code, done.stdout, str(done.exception)
    return done.exit_code, done.stdout, done.stderr


def test_a_run_becomes_a_folder_of_its_own(tmp_path: Path) -> None:
    stored = stored_run(tmp_path, remove_filters)
    code, out, said = shrink_command(stored.path.name[:8], "--results", str(tmp_path / "results"), "--onnx")
    folder = tmp_path / "results" / "small" / "shrunk" / stored.path.name
    assert (code, said) == (0, f"wrote {folder}\n")
    # of 32 filters 16 go: each has 16 * 9 weights, 2 of its batch norm, and 32 * 9 of the layer behind it
    assert f"parameters             33,338 -> {33_338 - 16 * (144 + 2 + 288):>14,}" in out
    assert "removed        16 channels, heads or ranks of 1 layers" in out
    small = load(folder)
    model = create_model("convnet-small", num_classes=10, input_shape=(1, 8, 8))
    model.load_state_dict(load_weights(stored.model_path, None))
    images = torch.randn(5, 1, 8, 8)
    assert torch.allclose(small(images), model.eval()(images), atol=1e-5)
    content = json.loads((folder / "architecture.json").read_text(encoding="utf-8"))
    assert content["layers"]["features.3"] == {"in_channels": 16, "out_channels": 16, "groups": 1, "bias": False}
    assert sorted(content["layers"]) == ["features.3", "features.4", "features.6"]
    assert content["facts"]["removed"] == {"features.3": 16}
    assert (folder / "network.onnx").stat().st_size > 4 * num_parameters(small)
    # again, by the run's folder
    assert json.loads(shrink_command(str(stored.path), "--json")[1])["after"]["parameters"] == num_parameters(small)


def nothing(model: nn.Module) -> None:
    pass


@torch.no_grad()
def single_weights(model: Any) -> None:
    model.features[3].weight[:, :, 0] = 0


@pytest.mark.parametrize(("change", "keeps", "message"), [
    (nothing, False, "kept no weights: compute it with `prunebench run --keep-weights --recompute`"),
    (single_weights, True, "nothing can be removed, so nothing is written: no filter, neuron, head or rank is zero"),
])  # fmt: skip
def test_what_cannot_be_made_smaller_is_refused(tmp_path: Path, change: Change, keeps: bool, message: str) -> None:
    stored = stored_run(tmp_path, change, keeps_weights=keeps)
    code, out, said = shrink_command(str(stored.path), "-o", str(tmp_path / "out"))
    assert (code, out) == (2, "")
    assert message in said
    assert not (tmp_path / "out").exists()


def test_unfinished_and_unknown_runs(tmp_path: Path) -> None:
    stored = stored_run(tmp_path, remove_filters)
    stored.result_path.unlink()
    assert "is not finished" in shrink_command(str(stored.path))[2]
    assert "no such run" in shrink_command("0000", "--results", str(tmp_path / "results"))[2]


def small_network(name: str) -> tuple[nn.Module, Architecture]:
    """In float32, made smaller, with what describes it."""
    shape, options = FAMILIES[name]
    model = trained(name).float()
    done = shrink(model, filter_masks(model, 0.4), torch.zeros(2, *shape))
    architecture = Architecture(
        model=name, num_classes=5, input_shape=shape, options=options, layers=changed_layers(model, done.network)
    )
    return done.network, architecture


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_is_rebuilt_from_its_files(name: str, tmp_path: Path) -> None:
    network, architecture = small_network(name)
    save(tmp_path / "small", network, architecture)
    again = load(tmp_path / "small")
    inputs = drawn_inputs(name, 2).float()
    assert torch.equal(again(inputs), network(inputs))
    assert repr(again) == repr(network)


def damage_json(folder: Path) -> None:
    content = json.loads((folder / "architecture.json").read_text(encoding="utf-8"))
    content["layers"]["conv2"]["out_channels"] += 1
    write_json(folder / "architecture.json", content)


def damage_weights(folder: Path) -> None:
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")


@pytest.mark.parametrize(("damage", "error", "message"), [
    (damage_json, Damaged, "it does not fit architecture.json: .*conv2"),
    (damage_weights, Damaged, "its SHA-256 is not the one"),
    (lambda folder: (folder / "architecture.json").unlink(), UserError, "prunebench shrink RUN. writes it"),
])  # fmt: skip
def test_damaged_folders_are_named(
    damage: Callable[[Path], None], error: type[Exception], message: str, tmp_path: Path
) -> None:
    save(tmp_path, *small_network("lenet-5"))
    damage(tmp_path)
    with pytest.raises(error, match=message):
        load(tmp_path)


def by_onnx_runtime(content: bytes, inputs: Tensor) -> Tensor:
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (out,) = session.run(None, {INPUTS: inputs.numpy()})
    return torch.from_numpy(out)


@pytest.mark.parametrize(("name", "batches"), [("mobilenet-small", (1, 3)), ("fastgrnn", (1,))])
def test_onnx_runtime_computes_the_same(name: str, batches: tuple[int, ...]) -> None:
    network, architecture = small_network(name)
    made = onnx_file(network, architecture.input_shape)
    assert made.batch == (1 if name == "fastgrnn" else None)
    for batch in batches:
        inputs = torch.randn(batch, *architecture.input_shape)
        with torch.no_grad():
            expected = network(inputs)
        assert torch.allclose(by_onnx_runtime(made.content, inputs), expected, rtol=1e-4, atol=1e-4)


def test_missing_packages_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    stored = stored_run(tmp_path, remove_filters)
    code, _, said = shrink_command(str(stored.path), "-o", str(tmp_path / "out"), "--onnx")
    assert (code, said) == (2, "onnxscript is not installed: pip install 'prunebench[shrink]'")
    assert not (tmp_path / "out").exists()
