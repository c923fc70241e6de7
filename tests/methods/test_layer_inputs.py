"""Layers as products of a matrix with vectors: every kind, statistics of the inputs, order, memory, ranks, refusals."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from layer_kinds import (
    Attention,
    Cell,
    CrossAttention,
    Recurrent,
    TiedToEmbedding,
    Transformer,
    Transposed,
    network_kind,
)
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.api.pruner import Context
from prunebench.benchmark.api.sites import find_sites
from prunebench.methods.bases.toy_task import ToyRecurrentNetwork, toy_network
from prunebench.methods.bases.toy_task import toy_context as task_context
from prunebench.methods.parts import calibration, layer_matrix
from prunebench.methods.parts.calibration import call_order, groups_by_memory, input_statistics
from prunebench.methods.parts.layer_matrix import called_uses, matrix_of, vectors_of, weight_of
from prunebench.methods.registry import create
from prunebench.methods.sparsegpt import SparseGPT
from prunebench.methods.wanda import Wanda
from torch import Tensor, nn
from toys import TinyConvNet, prune_now, tiny_net, toy_context, train_on_two_ranks


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


CONVOLUTIONS = {
    "plain": nn.Conv2d(3, 4, 3, bias=False),
    "stride, padding, dilation": nn.Conv2d(3, 4, (3, 2), stride=(2, 1), padding=(2, 1), dilation=(2, 1), bias=False),
    "groups": nn.Conv2d(4, 6, 3, padding=1, groups=2, bias=False),
    "depthwise": nn.Conv2d(4, 8, 3, stride=2, padding=1, groups=4, bias=False),
    "same": nn.Conv2d(3, 4, (3, 5), padding="same", bias=False),
    "reflect": nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect", bias=False),
    "circular": nn.Conv1d(3, 4, 3, padding=1, padding_mode="circular", bias=False),
    "one dimension": nn.Conv1d(4, 4, 3, stride=2, groups=2, bias=False),
    "three dimensions": nn.Conv3d(2, 4, (2, 3, 1), padding=1, bias=False),
}


@pytest.mark.parametrize("chunk", [layer_matrix.CHUNK_BYTES, 100])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_the_matrix_times_the_vectors_is_the_convolution(
    name: str, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the vectors come in one part or in many."""
    monkeypatch.setattr(layer_matrix, "CHUNK_BYTES", chunk)
    layer = CONVOLUTIONS[name].double()
    (site,) = find_sites(layer)
    images = random(2, layer.in_channels, *(6, 5, 4)[: layer.weight.ndim - 2])
    parts = [vectors for _, vectors in vectors_of((layer, "weight"), (images,), {})]
    assert (len(parts) > 1) == (chunk == 100)
    product = matrix_of(site, layer.weight) @ torch.cat(parts, dim=1).mT  # groups, outputs, samples x positions
    expected = layer(images).detach().movedim(1, 0).flatten(1)
    torch.testing.assert_close(product.detach().flatten(0, 1), expected)


def test_a_convolution_of_one_image_without_a_batch() -> None:
    layer = nn.Conv2d(3, 4, 3).double()
    ((_, vectors),) = vectors_of((layer, "weight"), (random(3, 5, 5),), {})
    assert vectors.shape == (1, 9, 27)


def test_a_matrix_has_neighbouring_channels_side_by_side_and_goes_back() -> None:
    layer = nn.Conv2d(2, 1, (1, 2), bias=False)
    (site,) = find_sites(layer)
    weight = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])  # channel 0: 1, 2; channel 1: 3, 4
    assert matrix_of(site, weight).tolist() == [[[1.0, 3.0, 2.0, 4.0]]]
    assert torch.equal(weight_of(site, matrix_of(site, weight)), weight)


def test_bilinear_and_keyword_arguments() -> None:
    layer = nn.Bilinear(2, 3, 4, bias=False).double()
    (site,) = find_sites(layer)
    one, other = random(5, 2), random(5, 3, seed=1)
    ((_, vectors),) = vectors_of((layer, "weight"), (), {"input1": one, "input2": other})
    torch.testing.assert_close((vectors @ matrix_of(site, layer.weight).mT)[0], layer(one, other))


def recorded(layer: nn.Module, *inputs: Any, **keywords: Any) -> dict[str, list[Tensor]]:
    """Vectors by the name of the site, as hooks see them, all groups in order."""
    found: dict[str, list[Tensor]] = {}

    def note(site: Any, use: Any, given: Any, named: Any) -> None:
        found.setdefault(site.name, []).extend(vectors[0] for _, vectors in vectors_of(use, given, named))

    class Call(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, _: Tensor) -> Any:
            return self.layer(*inputs, **keywords)

    calibration._listen(Call(), find_sites(layer), [(torch.zeros(1), torch.zeros(1))], note)
    return found


@pytest.mark.parametrize("kind", [nn.RNNCell, nn.LSTMCell, nn.GRUCell])
def test_a_cell_meets_its_input_and_the_state_before(kind: type[nn.RNNCellBase]) -> None:
    cell, step, state = kind(3, 2).double(), random(5, 3), random(5, 2, seed=1)
    given = (state, random(5, 2, seed=2)) if kind is nn.LSTMCell else state
    found = recorded(cell, step, given)
    assert torch.equal(found["weight_ih"][0], step)
    assert torch.equal(found["weight_hh"][0], state)
    assert recorded(cell, step)["weight_hh"][0].abs().max() == 0  # no state: zeros


@pytest.mark.parametrize("batch_first", [True, False])
def test_attention_meets_queries_keys_values_and_its_heads(batch_first: bool) -> None:
    """The last projection is never called as a module: its inputs are found by leaving it out."""
    attention = nn.MultiheadAttention(4, 2, batch_first=batch_first).double().eval()
    query, key, value = random(2, 3, 4), random(2, 5, 4, seed=1), random(2, 5, 4, seed=2)
    if not batch_first:
        query, key, value = (tensor.transpose(0, 1) for tensor in (query, key, value))
    found = recorded(attention, query, key, value=value)
    for vectors, given in zip(found["in_proj_weight"], (query, key, value), strict=True):
        assert torch.equal(vectors, given.reshape(-1, 4))
    outputs = attention(query, key, value)[0].reshape(-1, 4)
    torch.testing.assert_close(attention.out_proj(found["out_proj.weight"][0]), outputs)


def test_projections_of_attention_with_other_keys() -> None:
    attention = nn.MultiheadAttention(4, 2, kdim=3, vdim=2, batch_first=True).double()
    query, key, value = random(2, 3, 4), random(2, 5, 3), random(2, 5, 2)
    found = recorded(attention, query, key, value)
    assert torch.equal(found["k_proj_weight"][0], key.flatten(0, 1))
    assert torch.equal(found["v_proj_weight"][0], value.flatten(0, 1))


def test_a_transformer_layer_is_heard_although_torch_has_one_kernel_for_it() -> None:
    model = toy_network(kind=network_kind(Transformer))
    context = task_context(model)
    found = input_statistics(context, context.sites, list(context.samples(8, 8)), "norms")
    assert all(float(total.max()) > 0 for total in found.values())
    assert len(list(called_uses(model, next(s for s in context.sites if s.name.endswith("out_proj.weight"))))) == 1


class Borrowing(nn.Module):
    """Uses the weight of a layer without calling it, as torchvision's Swin does, by position and by name."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 4)
        self.other = nn.Linear(4, 4, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        hidden = nn.functional.linear(images.flatten(1), self.layer.weight, self.layer.bias)
        return nn.functional.linear(hidden, weight=self.other.weight)


def test_a_linear_weight_is_heard_wherever_it_is_used() -> None:
    model = Borrowing()
    context = toy_context(model)
    images, _ = next(iter(context.samples(64, 64)))
    found = input_statistics(context, context.sites, [(images, images)], "norms")
    torch.testing.assert_close(found["layer.weight"][0], images.flatten(1).double().square().sum(dim=0))
    hidden = model.layer(images.flatten(1)).detach()
    torch.testing.assert_close(found["other.weight"][0], hidden.double().square().sum(dim=0))


def test_statistics_are_sums_over_samples_and_positions_and_leave_no_trace() -> None:
    model = tiny_net()
    context = toy_context(model)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    sites = {site.name: site for site in context.sites}
    batches = list(context.samples(64, 16))
    products = input_statistics(context, context.sites, batches, "products")
    norms = input_statistics(context, context.sites, batches, "norms")
    images = torch.cat([inputs for inputs, _ in batches])
    unfolded = nn.functional.unfold(images, 3, padding=1).movedim(1, -1).flatten(0, 1).double()
    torch.testing.assert_close(products["conv1.weight"][0], unfolded.T @ unfolded)
    for name in sites:
        torch.testing.assert_close(norms[name], products[name].diagonal(dim1=1, dim2=2))
    model.eval()
    with torch.no_grad():
        hidden = torch.relu(model.bn1(model.conv1(images)))
        pooled = torch.relu(model.bn2(model.conv2(hidden))).mean(dim=(2, 3)).double()
    torch.testing.assert_close(products["fc.weight"][0], pooled.T @ pooled)
    model.train()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_inputs_that_are_not_finite_are_an_error() -> None:
    context = toy_context(tiny_net(), data=(torch.full((4, 1, 8, 8), torch.inf), torch.zeros(4, dtype=torch.long)))
    with pytest.raises(FloatingPointError, match=r"conv1\.weight"):
        prune_now(Wanda(sparsity=0.5), context)


class Backwards(TinyConvNet):
    """Registered in another order than called, and one layer called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.last, self.first = nn.Linear(4, 4), nn.Linear(8, 8)

    def forward(self, images: Tensor) -> Tensor:
        rows = self.first(self.first(images.flatten(1)[:, :8]))
        return self.last(self.fc(rows)) + 0 * super().forward(images)


def test_layers_are_ordered_by_their_first_call() -> None:
    model = Backwards()
    context = toy_context(model)
    names = [site.name for site in call_order(model, context.sites, list(context.samples(2, 2)))]
    assert names == ["first.weight", "fc.weight", "last.weight", "conv1.weight", "conv2.weight"]


def test_sites_are_grouped_by_the_memory_of_their_statistics(monkeypatch: pytest.MonkeyPatch) -> None:
    sites = find_sites(tiny_net())  # 9, 36 and 8 inputs
    monkeypatch.setattr(calibration, "STATISTICS_BYTES", 8 * (81 + 36 * 36))
    assert [len(group) for group in groups_by_memory(sites, "products")] == [2, 1]
    assert [len(group) for group in groups_by_memory(sites, "norms")] == [3]


def weights_after(context: Context, **options: Any) -> dict[str, Tensor]:
    prune_now(SparseGPT(sparsity=0.5, calibration_samples=32, **options), context)
    return {name: tensor.clone() for name, tensor in context.model.state_dict().items()}


def test_little_memory_changes_nothing_but_the_number_of_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = weights_after(toy_context(tiny_net()), sequential=False)
    monkeypatch.setattr(calibration, "STATISTICS_BYTES", 1)
    one_by_one = weights_after(toy_context(tiny_net()), sequential=False)
    assert all(torch.equal(tensor, at_once[name]) for name, tensor in one_by_one.items())


def test_sequential_layers_see_what_the_pruned_ones_before_give() -> None:
    alone, chained = (weights_after(toy_context(tiny_net()), sequential=value) for value in (False, True))
    assert torch.equal(alone["conv1.weight"], chained["conv1.weight"])
    assert not torch.equal(alone["conv2.weight"], chained["conv2.weight"])
    # the second layer of the chain is that of a network whose first layer was pruned before
    model = tiny_net()
    with torch.no_grad():
        model.conv1.weight.copy_(chained["conv1.weight"])
    dense_first = weights_after(toy_context(model), sequential=False, dense=("conv1.weight",))
    assert torch.equal(dense_first["conv2.weight"], chained["conv2.weight"])


@pytest.mark.parametrize("sequential", [True, False])
def test_two_ranks_find_the_masks_of_one(sequential: bool) -> None:
    """To rounding of the sums: each rank sees half of every batch."""

    def make() -> Wanda:
        return Wanda(sparsity=0.7, calibration_samples=32, sequential=sequential)

    masks = prune_now(make(), toy_context(tiny_net()))
    for pruner in train_on_two_ranks(make, epochs=1):
        assert pruner.masks is not None
        assert all(torch.equal(pruner.masks[name], mask) for name, mask in masks.items())


@pytest.mark.parametrize(
    ("network", "layer"),
    [(network_kind(Recurrent), "middle.layer.weight_ih_l0"), (network_kind(Transposed), "middle.layer.weight"),
     (network_kind(TiedToEmbedding), "middle.second.weight"), (ToyRecurrentNetwork, "cell.W1")],
)  # fmt: skip
@pytest.mark.parametrize("method", ["wanda", "sparsegpt", "obc", "alps"])
def test_layers_without_inputs_to_record_are_refused_and_may_stay_dense(
    method: str, network: type[nn.Module], layer: str
) -> None:
    model = toy_network(kind=network)
    context = task_context(model)
    with pytest.raises(UserError, match=rf"cannot prune layer '{layer}' by its inputs: .* leave the layer dense"):
        create(method, 0.5, {}).check(context)
    module = "cell.*" if layer.startswith("cell") else "middle.*"
    masks = prune_now(create(method, 0.5, {"dense": [module], "calibration_samples": 8}), context)
    assert layer not in masks
    assert "head.weight" in masks


@pytest.mark.parametrize("kind", [Attention, CrossAttention, Cell])
@pytest.mark.parametrize("method", ["sparsegpt", "obc", "alps"])
def test_all_other_kinds_are_pruned_in_the_pattern(method: str, kind: Any) -> None:
    model = toy_network(kind=network_kind(kind))
    masks = prune_now(create(method, 0.5, {"pattern": "n:m", "calibration_samples": 8}), task_context(model))
    assert any(name.startswith("middle") for name in masks)
    for mask in masks.values():
        assert (mask.movedim(1, -1).unflatten(-1, (-1, 4)).sum(dim=-1) == 2).all()
