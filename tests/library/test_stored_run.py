"""A stored run of the suite, computed again by a plain loop with the two lines of prunebench: the same bits."""

from __future__ import annotations

import math
from pathlib import Path

import prunebench
import pytest
import torch
from prunebench.benchmark.models.registry import create_model
from prunebench.benchmark.runs.run import derive_seed
from prunebench.datasets.registry import load
from torch import nn
from torch.nn.functional import cross_entropy

EPOCHS, BATCH, LIMIT, SEED = 2, 50, 200, 3
STUDY = """\
name: again
dataset: {name: digits, options: {limit: 200}}
model: {name: convnet-small, options: {width: 4}}
seeds: [3]
train: {epochs: 2, batch_size: 50, lr: 0.1, weight_decay: 1e-3}
runs:
  - method: dense
  - method: [global_mp, snip, rigl, gmp, dpf, str]
    sparsity: [80%]
"""
CPU = torch.device("cpu")
DATA = load("digits", limit=LIMIT)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("again")
    (folder / "again.yaml").write_text(STUDY, encoding="utf-8")
    frame = prunebench.run(
        folder / "again.yaml", results=folder / "r", keep_weights=True, memory_format="contiguous", jobs=1, quiet=True
    )
    assert set(frame["state"]) == {"done"}
    return folder / "r"


def stored(results: Path, method: str) -> prunebench.Loaded:
    frame = prunebench.load_results(results)
    return prunebench.load_pruned(frame[frame["method"] == method]["id"].item(), results=results)


def new_network() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(SEED, "init"))
        return create_model("convnet-small", num_classes=10, input_shape=(1, 8, 8), width=4)


@pytest.mark.parametrize("method", ["global_mp", "snip", "rigl", "gmp", "dpf", "str"])
def test_a_plain_loop_gives_the_stored_network(method: str, results: Path) -> None:
    expected = stored(results, method)
    starts_trained = method == "global_mp"
    model = new_network()
    if starts_trained:
        model.load_state_dict(stored(results, "dense").model.state_dict())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3, fused=True)
    steps = LIMIT // BATCH
    samples = DATA.train.sample(torch.arange(LIMIT), device=CPU)
    pruning = prunebench.wrap(
        model, optimizer, method, sparsity=0.8, steps=EPOCHS * steps, steps_per_epoch=steps, data=samples, seed=SEED
    )
    own = derive_seed(SEED, "pruned" if starts_trained else "dense")
    for epoch in range(EPOCHS):
        for group in optimizer.param_groups:
            group["lr"] = 0.1 * 0.5 * (1.0 + math.cos(math.pi * epoch / EPOCHS))
        model.train()
        order = torch.Generator().manual_seed(derive_seed(own, "order", 0, epoch))
        for inputs, targets in DATA.train.batches(BATCH, device=CPU, order=order, augment=True):
            optimizer.zero_grad()
            cross_entropy(model(inputs), targets).backward()
            optimizer.step()
    pruning.finish()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, expected.model.state_dict()[name]), name
    assert all(torch.equal(mask, expected.masks[name]) for name, mask in pruning.masks.items())
