"""No method needs more than three times the model's memory beyond a dense training, but for three that cannot."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar

import pytest
import torch
from live_bytes import LiveBytes
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.api.masks import keep_largest_of
from prunebench.benchmark.api.pruner import Batch, Context
from prunebench.benchmark.api.sites import find_sites
from prunebench.benchmark.models.registry import create_model
from prunebench.methods.checks.run_checks import quick_options
from prunebench.methods.checks.trial import ToyTask, Trial
from prunebench.methods.registry import create, describe, method_names
from torch import Tensor, nn

SHAPE = (3, 32, 32)
TIMES_THE_MODEL = 3
MORE = {"sign_in": 4, "ntk_sap": 4, "prospr": 8, "safe": 4}
"""Sign-In trains two numbers a weight, NTK-SAP compares two networks, ProsPr holds those of three steps, and SAFE has
a second gradient and two more numbers a weight, and a few kilobytes."""
GRADIENTS_MB = 1
"""The gradients that some methods store are bounded by their option `memory_mb` and are added to this."""
MOST_INPUTS = 144
"""Products of all pairs of a layer's inputs are larger than this network where outputs have more: 576 take 2.7 MB."""


class SmallBatches(ToyTask):
    """Batches so small that weights, not activations, make up the memory."""

    input_shape: ClassVar[tuple[int, ...]] = SHAPE
    num_classes: ClassVar[int] = 10

    def context(self, model: nn.Module) -> Context:
        context = super().context(model)

        def samples(num_samples: int, batch_size: int, *, balanced: bool = False, draw: int = 0) -> Iterator[Batch]:
            yield from context.samples(min(num_samples, 8), min(batch_size, self.batch_size), draw=draw)

        return replace(context, samples=samples)

    def rebuild(self, model: nn.Module, **options: Any) -> nn.Module:
        return network(**options)


def network(**options: Any) -> nn.Module:
    """Seventeen layers, none with more than an eighth of the weights: work layer by layer takes little memory."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return create_model("vgg-19-bn", num_classes=10, input_shape=SHAPE, **{"width": 0.125, **options})


def peak(method: str) -> int:
    """Peak bytes of all tensors except the first network's, over a whole training with SGD and momentum."""
    options: dict[str, Any] = dict(quick_options(describe(method)))
    if stores_gradients(method):
        options |= {"memory_mb": GRADIENTS_MB}
    if method == "ntk_sap":
        # its inputs are drawn, and are no fewer for small batches of samples
        options |= {"samples_per_class": 1, "score_batch": 2}
    if method in ("cap", "chita"):
        options |= {"block_size": 16}  # wide blocks take many small steps, each of which is counted
    if method == "chita":
        options |= {"solver": "blocks"}  # the other one holds all gradients, and says so before anything runs
    if describe(method).needs == "layer inputs":
        wide = [site.name for site in find_sites(network()) if site.weight[0].numel() > MOST_INPUTS]
        options |= {"dense": wide}
    task = SmallBatches(epochs=2, steps_per_epoch=4, batch_size=2)
    for sparsity in (0.9, 0.5, 0.0):
        try:
            pruner = create(method, sparsity, options)
            Trial(pruner, network(), task)
        except (UserError, ValueError):
            continue
        model = network()
        with LiveBytes() as counted:
            Trial(create(method, sparsity, options), model, task).train()
        return counted.peak
    raise AssertionError(f"{method} takes no sparsity")


def stores_gradients(method: str) -> bool:
    return "memory_mb" in describe(method).options


@functools.cache
def dense_peak() -> int:
    return peak("dense")


def test_live_bytes_are_those_of_tensors_that_are_held() -> None:
    before = torch.ones(100)
    with LiveBytes() as counted:
        first = before + 1
        view: Tensor | None = first[:10]
        before.add_(1)
        assert counted.live == 400
        torch.cat([first, first])
        assert (counted.live, counted.peak) == (400, 1200)
        del first
        assert counted.live == 400, "the view holds it"
        view = None
    assert (view, counted.live) == (None, 0)


def test_dense_training_takes_gradients_and_momentum() -> None:
    size = sum(parameter.numel() * 4 for parameter in network().parameters())
    assert 2 * size <= dense_peak() < 3 * size


def test_scores_beyond_float32_take_no_more_than_a_copy() -> None:
    """All scores are infinite in float32: one tie as large as the network."""
    scores = [torch.rand(1000, dtype=torch.float64) * 1e300 for _ in range(10)]
    with LiveBytes() as counted:
        keep_largest_of(scores, 100)
    assert counted.peak <= 1.5 * 10 * scores[0].nbytes


@pytest.mark.parametrize("method", [name for name in method_names() if not name.endswith("_columns")])
def test_within_the_bound(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Measured over the whole training. Methods that prune columns are left out: recurrent cells are small."""
    monkeypatch.setattr("prunebench.methods.obc.CHUNK_BYTES", {"cpu": 2**18})
    monkeypatch.setattr("prunebench.methods.parts.least_squares.CHUNK_BYTES", 2**18)
    monkeypatch.setattr("prunebench.methods.cap.CHUNK_BYTES", {"cpu": 2**18})
    monkeypatch.setattr("prunebench.methods.parts.fisher_spans.SPAN_BYTES", 2**18)
    size = sum(parameter.numel() * 4 for parameter in network().parameters())
    bound = MORE.get(method, TIMES_THE_MODEL) * size + (GRADIENTS_MB * 2**20 if stores_gradients(method) else 0)
    assert peak(method) - dense_peak() <= bound
