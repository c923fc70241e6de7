"""Stored runs are measured once, with variants that agree, and again if asked or if their weights change."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from prunebench.benchmark.api.errors import DeviceMissing, UserError
from prunebench.benchmark.cli import app
from prunebench.benchmark.latency import measure_run
from prunebench.benchmark.latency import measure_study as module
from prunebench.benchmark.latency.machine import this_machine
from prunebench.benchmark.latency.measure_run import Asked, Disagrees, check_agreement
from prunebench.benchmark.latency.measure_study import latency_states, measure_csr, measure_study
from prunebench.benchmark.latency.variant import onnx_variant, torch_variant
from prunebench.benchmark.launch.attempt import attempt
from prunebench.benchmark.runs.latency_files import MeasuredLatency, latency_path, read_latency
from prunebench.benchmark.runs.latency_variants import VARIANTS
from prunebench.benchmark.runs.run import Run
from prunebench.benchmark.runs.settings import Settings
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.runs.stored_types import flaw
from prunebench.benchmark.shrink.network import ChangedOutputs
from prunebench.benchmark.shrink.onnx_file import OnnxFile, onnx_file
from prunebench.benchmark.studies.load import Study, load_study
from prunebench.benchmark.studies.plan import with_parents
from torch import nn

CPU = torch.device("cpu")
ASKED = Asked(batches=(1, 8), repeats=100, variants=tuple(VARIANTS))
STUDY = """\
name: tiny
dataset: digits
model: lenet-300-100
seeds: [0]
train: {epochs: 1, batch_size: 100, lr: 0.1}
finetune: {epochs: 1}
runs:
  - method: dense
  - {method: global_mp, sparsity: 95%}
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    path = tmp_path_factory.mktemp("study") / "tiny.yaml"
    path.write_text(STUDY, encoding="utf-8")
    return load_study(str(path))


@pytest.fixture(scope="module")
def settings(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """All runs are stored with weights, and measured with every variant."""
    settings = Settings(results=tmp_path_factory.mktemp("results"), keep_weights=True, device="cpu")
    for run in with_parents(study.runs):
        assert attempt(run, study.name, settings).outcome == "done"
    measure_study(study, study.runs, settings, CPU, ASKED, lambda run, found: None)
    return settings


@pytest.fixture
def found(study: Study, settings: Settings) -> dict[str, Mapping[str, Any]]:
    """The files by method."""
    return {run.method: stored(study, settings, run) for run in study.runs}


def stored(study: Study, settings: Settings, run: Run) -> Mapping[str, Any]:
    content = read_latency(file_of(study, settings, run), Store(settings.results).folder(study.name, run))
    assert content is not None
    return content


def file_of(study: Study, settings: Settings, run: Run) -> Path:
    return latency_path(settings.results, study.name, run.id, this_machine(CPU, 1))


def states(study: Study, settings: Settings, asked: Asked = ASKED, **options: bool) -> tuple[list[str], list[str]]:
    """Methods of the runs that are measured, and of those that are to be."""
    known = latency_states(study, Store(settings.results), this_machine(CPU, 1), asked, **options)
    return [run.method for run in known.measured], [run.method for run in known.ready]


def test_each_run_has_its_variants_and_a_reason_for_the_others(found: dict[str, Mapping[str, Any]]) -> None:
    gpu = "float16 and 2:4 kernels are measured on an NVIDIA GPU"
    assert list(found["dense"]["variants"]) == ["dense", "dense-onnx", "int8-onnx"]
    assert list(found["global_mp"]["variants"]) == [
        "dense", "masked", "shrunk", "csr", "dense-onnx", "masked-onnx", "shrunk-onnx",
    ]  # fmt: skip
    assert found["global_mp"]["left_out"] == {
        "dense-half": gpu, "2:4-half": gpu, "int8-onnx": "the network is pruned",
    }  # fmt: skip
    for content in found.values():
        assert {*content["variants"], *content["left_out"]} == set(VARIANTS)
        assert flaw(content, MeasuredLatency) == ""


def test_variants_agree_and_their_quantiles_are_in_order(found: dict[str, Mapping[str, Any]]) -> None:
    variants = [(name, each) for content in found.values() for name, each in content["variants"].items()]
    for name, each in variants:
        assert [times["batch"] for times in each["times"]] == [1, 8]
        assert all(0 < times["p50"] <= times["p95"] for times in each["times"])
        assert all(times["joules"] is None for times in each["times"])
        is_reference = name in ("dense", "masked", "int8-onnx")
        assert (each["difference"] is None) == is_reference
        assert is_reference or each["difference"] < 1e-3


def test_sizes_are_those_of_the_files(found: dict[str, Mapping[str, Any]], study: Study, settings: Settings) -> None:
    dense, pruned = (content["variants"] for content in found.values())
    folder = Store(settings.results).folder(study.name, study.runs[0])
    assert dense["dense"]["file_bytes"] == folder.model_path.stat().st_size
    assert pruned["masked"]["file_bytes"] == dense["dense"]["file_bytes"]
    assert pruned["masked"]["packed_bytes"] < pruned["masked"]["file_bytes"] / 5
    assert pruned["shrunk"]["file_bytes"] < pruned["masked"]["file_bytes"]
    assert pruned["shrunk-onnx"]["file_bytes"] < pruned["masked-onnx"]["file_bytes"]
    assert dense["int8-onnx"]["file_bytes"] < dense["dense-onnx"]["file_bytes"] / 2


def test_int8_reports_an_accuracy_of_its_own(found: dict[str, Mapping[str, Any]], settings: Settings) -> None:
    result = json.loads(next(settings.results.glob("dense/*/result.json")).read_text(encoding="utf-8"))
    int8 = found["dense"]["variants"]["int8-onnx"]["accuracy"]
    assert int8 == pytest.approx(result["accuracy"]["last"], abs=0.05)
    assert found["dense"]["variants"]["dense-onnx"]["accuracy"] is None


def test_what_is_measured_is_not_measured_again(study: Study, settings: Settings) -> None:
    assert states(study, settings) == (["dense", "global_mp"], [])
    assert states(study, settings, remeasure=True) == ([], ["dense", "global_mp"])
    assert states(study, settings, replace(ASKED, variants=("dense",))) == (["dense", "global_mp"], [])
    assert states(study, settings, replace(ASKED, repeats=200)) == ([], ["dense", "global_mp"])
    assert states(study, settings, replace(ASKED, batches=(1, 16))) == ([], ["dense", "global_mp"])
    other = this_machine(CPU, 2)
    assert len(latency_states(study, Store(settings.results), other, ASKED).ready) == 2


def test_a_damaged_file_and_one_of_other_weights_are_measured_again(study: Study, settings: Settings) -> None:
    dense, pruned = (file_of(study, settings, run) for run in study.runs)
    before = [path.read_bytes() for path in (dense, pruned)]
    dense.write_text('{"schema": 1}', encoding="utf-8")
    pruned.write_text(json.dumps({**json.loads(before[1]), "weights": "0" * 64}), encoding="utf-8")
    store = Store(settings.results)
    assert len(latency_states(study, store, this_machine(CPU, 1), ASKED).ready) == 2
    assert store.damaged == {dense: "run: Field required"}
    for path, content in zip((dense, pruned), before, strict=True):
        path.write_bytes(content)


def test_variants_that_are_stored_stay_in_the_file(
    study: Study, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Asked] = []

    def measure(run: Run, study: str, settings: Settings, device: torch.device, wanted: Asked) -> dict[str, Any]:
        asked.append(wanted)
        raise Disagrees("not now")

    monkeypatch.setattr(module, "measure_run", measure)
    failed: list[object] = []
    small = replace(ASKED, variants=("dense", "masked"))
    measure_study(study, study.runs[:1], settings, CPU, small, lambda run, found: failed.append(found))
    assert asked[0].variants == ("dense", "masked", "dense-onnx", "int8-onnx")
    assert isinstance(failed[0], Disagrees)
    assert states(study, settings) == (["dense", "global_mp"], [])  # the old file stays


def test_csr_products_are_measured_for_the_shapes_of_the_networks(study: Study, settings: Settings) -> None:
    found = measure_csr(study, study.runs, settings, replace(ASKED, repeats=2))
    assert found is not None
    shapes = [(tuple(each["shape"]), each["batch"]) for each in found["shapes"]]
    assert shapes == [(shape, batch) for shape in ((100, 300), (300, 64), (10, 100)) for batch in (1, 8)]
    again = measure_csr(study, study.runs, settings, replace(ASKED, repeats=2))
    assert again is not None
    assert again["provenance"] == found["provenance"]  # as it was stored


def test_a_variant_that_computes_something_else_is_an_error() -> None:
    model = nn.Linear(4, 3)
    wrong = nn.Linear(4, 3)
    variants = {
        "masked": torch_variant("masked", model, CPU, file_bytes=1),
        "csr": torch_variant("csr", model, CPU, file_bytes=1, reference="masked"),
        "shrunk": torch_variant("shrunk", wrong, CPU, file_bytes=1, reference="masked"),
    }
    inputs = torch.randn(5, 4)
    with (
        torch.inference_mode(),
        pytest.raises(
            Disagrees,
            match=r"run abc: outputs of variant 'shrunk' differ from those of 'masked' by .* than rounding \(0.001\)",
        ),
    ):
        check_agreement(variants, inputs, "abc")
    del variants["shrunk"]
    with torch.inference_mode():
        assert check_agreement(variants, inputs, "abc") == {"masked": None, "csr": 0.0}


def test_a_network_that_shrinking_would_change_is_a_stated_reason(
    study: Study, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changed(*_: object) -> None:
        raise ChangedOutputs("outputs of up to 2 differ by 1 after channels were removed")

    monkeypatch.setattr(measure_run, "shrink", changed)
    run = next(run for run in study.runs if run.method == "global_mp")
    asked = replace(ASKED, variants=("dense", "masked", "shrunk"))
    found = measure_run.measure_run(run, study.name, settings, CPU, asked)
    assert sorted(found["variants"]) == ["dense", "masked"]
    assert found["left_out"] == {"shrunk": "outputs of up to 2 differ by 1 after channels were removed"}


def test_outputs_that_are_not_finite_disagree() -> None:
    broken = nn.Linear(4, 3)
    with torch.no_grad():
        broken.bias.fill_(float("nan"))
    variants = {
        "masked": torch_variant("masked", nn.Linear(4, 3), CPU, file_bytes=1),
        "shrunk": torch_variant("shrunk", broken, CPU, file_bytes=1, reference="masked"),
    }
    with torch.inference_mode(), pytest.raises(Disagrees, match="by nan of the largest"):
        check_agreement(variants, torch.randn(5, 4), "abc")


def call(*arguments: str) -> Any:
    return CliRunner().invoke(app, arguments, catch_exceptions=False)


def test_the_command_goes_on_where_it_was_and_says_what_pays(
    tmp_path: Path, study: Study, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(STUDY, encoding="utf-8")
    done = call("latency", "tiny.yaml", "--results", str(settings.results), "--batch", "8", "--variant", "csr")
    assert done.exit_code == 0
    lines = done.stderr.splitlines()
    assert lines[0].startswith("tiny: 0 runs to measure, 2 are stored; ")
    assert lines[0].endswith(f"1 thread, torch {torch.__version__}, ONNX Runtime {this_machine(CPU, 1)['onnxruntime']}")
    assert [line.split(" pays ")[0] for line in lines[1:-1]] == [
        f"CSR of a linear layer {shape}" for shape in ("100 x 300", "300 x 64", "10 x 100")
    ]
    assert lines[-1] == "tiny: 2 runs are measured"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--variant", "mask"], "unknown variant 'mask'; did you mean 'masked'? known: 2:4-half, csr, dense, "),
        (["--device", "gpu"], "device 'gpu'"),
    ],
)
def test_bad_options_are_refused_in_one_line(tmp_path: Path, options: list[str], message: str) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(STUDY, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        call("latency", str(path), "--results", str(tmp_path), *options)
    assert str(caught.value).startswith(message) or message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_device_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(STUDY, encoding="utf-8")
    with pytest.raises(DeviceMissing, match="device 'cuda:7' asked for, but torch sees"):
        call("latency", str(path), "--results", str(tmp_path), "--device", "cuda:7")


def test_a_study_without_weights_says_how_to_keep_them_and_the_command_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(STUDY.replace("  - method: dense\n", ""), encoding="utf-8")
    arguments = ("tiny.yaml", "--device", "cpu", "--jobs", "1")
    with pytest.raises(UserError, match="no run of study 'tiny' is stored; `prunebench run tiny --keep-weights` first"):
        call("latency", "tiny.yaml")
    assert call("run", *arguments).exit_code == 0
    with pytest.raises(UserError) as caught:
        call("latency", "tiny.yaml")
    assert str(caught.value) == (
        "no stored run of study 'tiny' has its weights here; "
        "`prunebench run tiny --keep-weights --recompute` computes them anew and keeps their weights"
    )
    done = call("run", *arguments, "--keep-weights", "--recompute")
    assert "tiny: 1 stored result is without weights here, to be computed anew" in done.stderr
    assert len(list(Path("results/tiny/runs").glob("*/model.safetensors"))) == 1
    again = call("run", *arguments, "--keep-weights", "--recompute")
    assert "nothing to compute" in again.stderr


def test_a_network_whose_onnx_file_takes_one_input_is_timed_with_one() -> None:
    """FastGRNN's loop over the steps fixes the batch of the file."""
    model = nn.Linear(4, 3)
    content = onnx_file(model, (4,)).content
    one = onnx_variant("masked-onnx", OnnxFile(content, batch=1), 1, reference="masked")
    many = onnx_variant("masked-onnx", OnnxFile(content, batch=None), 1, reference="masked")
    inputs = torch.randn(5, 4)
    assert [one.takes(1), one.takes(5), many.takes(5)] == [True, False, True]
    assert (one.outputs(inputs).shape, many.outputs(inputs).shape) == ((1, 3), (5, 3))
    with torch.inference_mode():
        masked = torch_variant("masked", model, CPU, file_bytes=1)
        found = check_agreement({"masked": masked, "masked-onnx": one}, inputs, "abc")
    assert found["masked-onnx"] == pytest.approx(0, abs=1e-6)
