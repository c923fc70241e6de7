"""Reasons to refuse a run are found before anything runs, on networks without values."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from prunebench.benchmark.api.errors import DataMissing, UserError
from prunebench.benchmark.launch import worker
from prunebench.benchmark.models.registry import create_model, sketch_model
from prunebench.benchmark.preflight.rehearsal import rehearse, representatives
from prunebench.benchmark.runs.run import Recipe, Run, frozen_options, to_dict
from prunebench.benchmark.runs.settings import Settings
from prunebench.benchmark.studies.load import load_study
from safetensors.torch import save_file


def a_run(
    method: str = "global_mp",
    sparsity: float = 0.9,
    *,
    model: str = "convnet-small",
    seed: int = 0,
    epochs: int = 1,
    model_options: dict[str, object] | None = None,
    **options: object,
) -> Run:
    return Run(
        dataset="digits", model=model, method=method, seed=seed, sparsity=sparsity, recipe=Recipe(epochs=epochs),
        model_options=frozen_options(model_options or {}), method_options=frozen_options(options),
    )  # fmt: skip


# convnet-small on digits: layers of 144, 4,608, 18,432, 9,216 and 640 weights, 33,040 in all
REFUSED = [
    (a_run(dense=["frist"]), "dense: 'frist' matches no layer"),
    (a_run(dense=["*"]), "leaves no layer to prune"),
    (a_run(minimum_threshold=5.0), "minimum_threshold keeps at least 1652 weights in each of"),
    (a_run(minimum_threshold=5.0, minimum_threshold_mode="protect"), "minimum_threshold keeps at least"),
    (a_run("layerwise_mp", minimum_threshold=5.0), "minimum_threshold keeps at least"),
    (a_run("gmp", 0.999, distribution="extended"), "too high for Uniform+"),
    (a_run("uniform_plus_mp", 0.999), "too high for Uniform+"),
    (a_run("global_mp_flops", 0.1, macs_sparsity=0.99), "macs_sparsity leaves"),
    (a_run("imp", rewind_epoch=3, epochs=2), "rewind_epoch is 3; it must be less than the recipe's 2 epochs"),
    (a_run("imp", rewind_epoch=3, epochs=2, dense=["frist"]), "matches no layer"),
    (a_run("rigl", dense=["frist"]), "matches no layer"),
    (a_run("str", 0.0, dense=["frist"]), "matches no layer"),
    (a_run("edge_popup", dense=["frist"]), "matches no layer"),
    (a_run("filter_l1", dense=["*"]), "leaves no layer to prune"),
    (a_run("filter_l1", 0.9999), "filters can remove at most"),
    (a_run("nm_magnitude", 0.0, n=1, m=31), "no layer fits 1:31"),
    (a_run("global_mp_columns", 0.0), "the network has no low-rank cell"),
    (a_run("small_dense", 0.99999), "leaves 1 weights, and the network of width"),
    (a_run("small_dense", width_option="girth"), "unknown option of model 'convnet-small' 'girth'"),
    (a_run("shuffled", of="global_mp", of_options={"dense": ["frist"]}), "of: dense: 'frist' matches no layer"),
    (a_run("shuffled", of="gmp"), "of: 'gmp' does not set its final mask before training"),
    (a_run("shuffled", of="imp"), "of: 'imp' does not set its final mask before training"),
    (a_run("shuffled", of="str"), "of: 'str' does not set its final mask before training"),
    (a_run("snip", score_samples=0), "score_samples"),
    (a_run(model_options={"width": -1}), "model 'convnet-small': width is -1"),
    (a_run(model_options={"width": "8"}), "model 'convnet-small': width is '8'"),
    (a_run(model_options={"stem_stride": 3}), "model 'convnet-small': stem_stride is 3"),
    (a_run(model_options={"weights": 3}), "model 'convnet-small': weights is 3"),
    (a_run(model="resnet-50"), "model 'resnet-50': "),
]


@pytest.mark.parametrize(("run", "message"), REFUSED, ids=[message[:40] for _, message in REFUSED])
def test_what_a_run_would_be_refused_for_is_found(run: Run, message: str) -> None:
    with pytest.raises(UserError) as caught:
        rehearse([a_run(), run])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "run",
    [
        a_run(minimum_threshold=2.0), a_run("filter_l1", 0.9), a_run("small_dense"), a_run("nm_magnitude", 0.5),
        a_run("global_mp_flops", 0.9, macs_sparsity=0.9), a_run("gmp", distribution="extended"),
        a_run("imp", rewind_epoch=1, epochs=2), a_run("reinit", of="global_mp"), a_run("shuffled", of="force"),
        a_run("shuffled", of="global_mp", of_options={"dense": ["features.0.*"]}), a_run("obd"), a_run("dsr"),
    ],
    ids=lambda run: run.method,
)  # fmt: skip
def test_what_fits_is_not_refused(run: Run) -> None:
    rehearse([run])


def test_weights_are_looked_for_and_compared(tmp_path: Path) -> None:
    path = tmp_path / "dense.safetensors"
    run = a_run(model_options={"weights": str(path)})
    with pytest.raises(DataMissing, match="does not exist"):
        rehearse([run])
    rehearse([run], reads_weights=False)
    network = create_model("convnet-small", num_classes=10, input_shape=(1, 8, 8))
    save_file(network.state_dict(), path)
    rehearse([run])
    narrow = create_model("convnet-small", num_classes=10, input_shape=(1, 8, 8), width=4)
    save_file(narrow.state_dict(), path)
    with pytest.raises(UserError, match="is of another architecture"):
        rehearse([run])


def test_each_combination_is_tried_once_whatever_the_seed() -> None:
    study = load_study("demo")
    kept = representatives(study.runs)
    assert len(study.runs) == 3 * len(kept)
    assert len(representatives([a_run(seed=seed) for seed in range(9)])) == 1
    assert len(representatives([a_run(), a_run(epochs=2), a_run(sparsity=0.8), a_run("snip")])) == 4


def test_a_rehearsal_leaves_the_random_state_alone() -> None:
    before = torch.get_rng_state()
    rehearse([a_run("snip"), a_run("shuffled", of="random"), a_run("small_dense")])
    assert torch.equal(torch.get_rng_state(), before)


def test_a_sketch_has_shapes_and_no_values() -> None:
    sketch = sketch_model("resnet-50", num_classes=1000, input_shape=(3, 224, 224))
    assert all(parameter.is_meta for parameter in sketch.parameters())
    assert sum(parameter.numel() for parameter in sketch.parameters()) == 25_557_032


def test_a_network_that_fails_without_a_message_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **options: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("prunebench.benchmark.training.context.count_macs", fail)
    with pytest.raises(UserError, match=r"^model 'convnet-small' cannot take inputs of \(1, 8, 8\): RuntimeError$"):
        rehearse([a_run()])


def test_an_error_that_is_no_refusal_is_reported_before_the_first_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """The runs are tried nevertheless; that nothing was checked before them is reported."""

    def fail(runs: object) -> None:
        raise ZeroDivisionError("by a fault\nof the suite")

    monkeypatch.setattr(worker, "rehearse", fail)
    answer = worker._look(worker.ReadData(to_dict(a_run())), "s", Settings())
    assert answer.problem is None
    assert answer.warnings == ("not checked before the first run: ZeroDivisionError: by a fault",)
