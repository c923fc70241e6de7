"""Gradients for scores, without side effects on the network."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from ...benchmark.api.errors import UserError
from ...benchmark.api.pruner import Batch, Context
from ...benchmark.api.sites import Site


@contextlib.contextmanager
def untouched(model: nn.Module, *, training: bool) -> Iterator[None]:
    """Run in train or eval mode and restore: modes, buffers, gradients, requires_grad, the global random state."""
    modes = {module: module.training for module in model.modules()}
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    gradients = {parameter: (parameter.grad, parameter.requires_grad) for parameter in model.parameters()}
    device = next(model.parameters()).device
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda), differentiable_kernels(model):
        # Dropout in a scoring pass must not depend on what ran before it.
        torch.manual_seed(0)
        try:
            model.train(training)
            yield
        finally:
            for module, mode in modes.items():
                module.training = mode
            with torch.no_grad():
                for name, buffer in model.named_buffers():
                    buffer.copy_(buffers[name])
            for parameter, (gradient, requires_grad) in gradients.items():
                parameter.grad = gradient
                parameter.requires_grad_(requires_grad)


@contextlib.contextmanager
def differentiable_kernels(model: nn.Module) -> Iterator[None]:
    """Use only kernels with gradients in eval mode and with second ones; cuDNN's RNNs and fused attention lack them.

    Networks without such layers compute as they do in training.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        if any(isinstance(module, nn.RNNBase) for module in model.modules()):
            stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        yield


def mean_gradients(
    context: Context, sites: Sequence[Site], batches: Iterable[Batch], *, training: bool = True
) -> dict[str, Tensor]:
    """Gradient of the mean loss over all samples at the present weights, by site name.

    Signed gradients are added over batches and processes, so an absolute value is taken once, by the caller.
    Batch norm uses batch statistics if `training`, without updating its running ones. float32, whatever the recipe.
    """
    totals = [torch.zeros_like(site.weight) for site in sites]
    count = torch.zeros((), dtype=torch.float64, device=context.device)
    with untouched(context.model, training=training):
        weights = _differentiable(sites)
        for inputs, targets in batches:
            loss = context.loss(_logits(context.model, inputs), targets) * len(targets)
            for total, gradient in zip(totals, torch.autograd.grad(loss, weights, allow_unused=True), strict=True):
                if gradient is not None:
                    total += gradient
            count += len(targets)
    context.reduce(count)
    for total in totals:
        context.reduce(total)
        total /= count.to(total.dtype)
    return {site.name: total for site, total in zip(sites, totals, strict=True)}


def _logits(model: nn.Module, inputs: Tensor) -> Tensor:
    try:
        return model(inputs)
    except ValueError as error:
        if len(inputs) != 1:
            raise
        # batch norm in training mode, behind a feature map of one pixel
        raise UserError(
            f"a scoring batch of one sample has no batch statistics ({error}); "
            "batches need at least 2 samples, or running statistics (SNIP's mode: eval)"
        ) from error


def _differentiable(sites: Sequence[Site]) -> list[Tensor]:
    weights = [site.weight for site in sites]
    for weight in weights:
        weight.requires_grad_(True)
    return weights


def hessian_gradient(
    context: Context, sites: Sequence[Site], batches: Callable[[], Iterable[Batch]], temperature: float
) -> dict[str, Tensor]:
    """H g of the loss at logits / temperature, summed over batches; g is the sum of the batches' gradients.

    GraSP's product, one second-order pass a batch. One batch and its graph are held at a time, so `batches` is called
    twice, and must give the same ones.
    """
    with untouched(context.model, training=True):
        weights = _differentiable(sites)

        def gradients(batch: Batch, create_graph: bool) -> tuple[Tensor, ...]:
            loss = context.loss(_logits(context.model, batch[0]) / temperature, batch[1])
            return torch.autograd.grad(loss, weights, create_graph=create_graph)

        for weight in weights:
            weight.grad = None
        total = [torch.zeros_like(weight) for weight in weights]
        for batch in batches():
            for sum_, gradient in zip(total, gradients(batch, False), strict=True):
                sum_ += gradient
        for sum_ in total:
            context.reduce(sum_)
        for batch in batches():
            inner = sum((g * t).sum() for g, t in zip(gradients(batch, True), total, strict=True))
            assert isinstance(inner, Tensor)
            # Adds up in `grad`, layer by layer: no second set of products beside the graph.
            inner.backward(inputs=weights)
        products = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in weights]
        for product in products:
            context.reduce(product)
    return {site.name: product for site, product in zip(sites, products, strict=True)}
