"""Networks and data small enough for hand-checked numbers, trained by the suite's own step."""

from __future__ import annotations

import io
import math
import threading
from collections.abc import Callable, Iterator
from typing import Any

import torch
from prunebench.benchmark.api.pruner import Batch, Context, Pruner
from prunebench.benchmark.api.sites import find_sites
from prunebench.benchmark.runs.run import Recipe
from prunebench.benchmark.training.measure import check_masks
from prunebench.benchmark.training.step import Step
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

INPUT_SHAPE = (1, 8, 8)
NUM_CLASSES = 4
NUM_SAMPLES = 64
RECIPE = Recipe(epochs=1)
"""The step reads only that there is no clipping, no label smoothing and no autocast."""


class TwoLayerLinear(nn.Module):
    """f(x) = W2 W1 x with W1 = [[1, -2], [3, 0.5]] and W2 = [[2, -1]]: six weights, f((1, 2)) = -10."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(2, 2, bias=False)
        self.second = nn.Linear(2, 1, bias=False)
        with torch.no_grad():
            self.first.weight.copy_(torch.tensor([[1.0, -2.0], [3.0, 0.5]]))
            self.second.weight.copy_(torch.tensor([[2.0, -1.0]]))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.second(self.first(inputs))


class TinyConvNet(nn.Module):
    """Two 3x3 convolutions with batch norm and ReLU, the mean over the plane, a linear layer: 356 prunable weights."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 8, 3, 2, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, NUM_CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        hidden = torch.relu(self.bn1(self.conv1(images)))
        return self.fc(torch.relu(self.bn2(self.conv2(hidden))).mean(dim=(2, 3)))


def tiny_net(seed: int = 0) -> TinyConvNet:
    """The same weights for the same seed; torch's global random state stays as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return TinyConvNet()


def tiny_data() -> tuple[Tensor, Tensor]:
    """64 images (1, 8, 8) of 4 classes that a network can learn: a pattern each, plus noise. Classes take turns."""
    generator = torch.Generator().manual_seed(7)
    patterns = torch.randn(NUM_CLASSES, *INPUT_SHAPE, generator=generator)
    targets = torch.arange(NUM_SAMPLES) % NUM_CLASSES
    return patterns[targets] + 0.5 * torch.randn(NUM_SAMPLES, *INPUT_SHAPE, generator=generator), targets


def half_squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """0.5 (f - y)^2, mean over the samples: the loss of the worked examples on the two-layer linear net."""
    return 0.5 * (outputs.squeeze(1) - targets).square().mean()


def linear_context(model: nn.Module | None = None, **changes: Any) -> Context:
    """The worked examples' setting: x = (1, 2), y = -9, one sample; dW1 = [[-2, -4], [1, 2]], dW2 = [[3, -4]]."""
    data = (torch.tensor([[1.0, 2.0]]), torch.tensor([-9.0]))
    model = TwoLayerLinear() if model is None else model
    return toy_context(model, data=data, loss=half_squared_error, input_shape=(2,), num_classes=1, **changes)


class Samples:
    """Scoring data in memory. Every `draw` is another permutation; asked for more than there are, it starts over.

    As in the suite, a process gets its share of every batch.
    """

    def __init__(self, inputs: Tensor, targets: Tensor, rank: int = 0, world: int = 1) -> None:
        self.inputs, self.targets, self.rank, self.world = inputs, targets, rank, world

    def __call__(self, num_samples: int, batch_size: int, *, balanced: bool = False, draw: int = 0) -> Iterator[Batch]:
        order = torch.randperm(len(self.targets), generator=torch.Generator().manual_seed(100 + draw))
        if balanced:
            per_class = num_samples // len(self.targets.unique())
            order = torch.cat([order[self.targets[order] == label][:per_class] for label in self.targets.unique()])
        repeated = order.repeat(math.ceil(num_samples / len(order)))[:num_samples]
        for batch in repeated.split(batch_size):
            own = batch.tensor_split(self.world)[self.rank]
            yield self.inputs[own], self.targets[own]


def toy_context(
    model: nn.Module,
    *,
    data: tuple[Tensor, Tensor] | None = None,
    seed: int = 0,
    epochs: int = 3,
    steps_per_epoch: int = 4,
    rank: int = 0,
    world: int = 1,
    **changes: Any,
) -> Context:
    """A context as the harness makes it, over `tiny_data` unless told otherwise; `changes` are attributes of it."""
    inputs, targets = tiny_data() if data is None else data
    sites = find_sites(model)
    values: dict[str, Any] = {
        "model": model,
        "sites": sites,
        "samples": Samples(inputs, targets, rank, world),
        "loss": cross_entropy,
        "macs": {site.name: site.weight.numel() for site in sites},
        "input_shape": INPUT_SHAPE,
        "num_classes": NUM_CLASSES,
        "device": torch.device("cpu"),
        "epochs": epochs,
        "steps_per_epoch": steps_per_epoch,
        "rank": rank,
        "num_ranks": world,
        "generator": lambda purpose: torch.Generator().manual_seed(seed + sum(map(ord, purpose))),
    }
    return Context(**{**values, **changes})


def prune_now(pruner: Pruner, context: Context) -> dict[str, Tensor]:
    """Attach and begin round 0; the masks by site name (empty for a method without masks)."""
    pruner.attach(context)
    pruner.begin_round(0)
    return {} if pruner.masks is None else {name: mask.clone() for name, mask in pruner.masks.items()}


def kept_positions(masks: dict[str, Tensor]) -> dict[str, list[list[int]]]:
    """Masks as nested lists of 0 and 1, to be compared with what was worked out by hand."""
    return {name: mask.int().tolist() for name, mask in masks.items()}


def make_optimizer(pruner: Pruner, lr: float = 0.05) -> torch.optim.Optimizer:
    return torch.optim.SGD(pruner.param_groups(1e-3, True), lr=lr, momentum=0.9)


def train_step(
    pruner: Pruner,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    step: int,
    *,
    noise: int = 0,
    average: Callable[[Tensor], None] = lambda gradient: None,
) -> None:
    """One pass through the hooks on a batch that `step` and `noise` fix; `average` is DDP's work on each gradient."""
    inputs, targets = tiny_data()
    generator = torch.Generator().manual_seed(1000 * noise + step)
    chosen = torch.randperm(NUM_SAMPLES, generator=generator)[:16]
    model.train()
    trained = Step(network=model, pruner=pruner, optimizer=optimizer, recipe=RECIPE, device=torch.device("cpu"))
    trained.passes(inputs[chosen], targets[chosen])
    for parameter in model.parameters():
        if parameter.grad is not None:
            average(parameter.grad)
    trained.update(step)


def train_steps(pruner: Pruner, model: nn.Module, count: int, optimizer: torch.optim.Optimizer | None = None) -> None:
    """The first `count` steps of the recipe, after `prune_now`; ends of epochs are reported."""
    optimizer = optimizer or make_optimizer(pruner)
    per_epoch = pruner.context.steps_per_epoch
    for step in range(count):
        train_step(pruner, model, optimizer, step)
        if (step + 1) % per_epoch == 0:
            pruner.on_epoch_end(0, step // per_epoch, optimizer)
            check_masks(pruner, at_end=False)


def train_all(
    pruner: Pruner,
    context: Context,
    *,
    checkpoint: bytes | None = None,
    stop_at: tuple[int, int] | None = None,
    average: Callable[[Tensor], None] = lambda gradient: None,
) -> tuple[nn.Module, bytes | None]:
    """All rounds as the harness runs them, from the start or from a checkpoint; returns the model that was trained.

    `stop_at` = (round, epoch): stop after that epoch, before `detach`, and return the checkpoint as well.
    """
    model = pruner.attach(context)
    position, optimizer_state = [0, -1], None
    if checkpoint is not None:
        # weights_only, as the suite reads its checkpoints: a state that holds anything else fails here
        state = torch.load(io.BytesIO(checkpoint), weights_only=True)
        model.load_state_dict(state["model"])
        pruner.load_state_dict(state["pruner"])
        position, optimizer_state = state["position"], state["optimizer"]
    for index in range(position[0], pruner.rounds):
        if optimizer_state is None:
            pruner.begin_round(index)
            check_masks(pruner, at_end=False)
            position = [index, pruner.first_epoch(index)]
        optimizer = make_optimizer(pruner)
        if optimizer_state is not None:
            optimizer.load_state_dict(optimizer_state)
            optimizer_state = None
        for epoch in range(position[1], context.epochs):
            for step in range(epoch * context.steps_per_epoch, (epoch + 1) * context.steps_per_epoch):
                train_step(pruner, model, optimizer, step, noise=index, average=average)
            pruner.on_epoch_end(index, epoch, optimizer)
            check_masks(pruner, at_end=False)
            if stop_at == (index, epoch):
                return model, _checkpoint(model, optimizer, pruner, [index, epoch + 1])
    pruner.detach()
    check_masks(pruner, at_end=True)
    return model, None


def _checkpoint(model: nn.Module, optimizer: torch.optim.Optimizer, pruner: Pruner, position: list[int]) -> bytes:
    buffer = io.BytesIO()
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "pruner": pruner.state_dict()}
    torch.save({**state, "position": position}, buffer)
    return buffer.getvalue()


def resume_equals_uninterrupted(
    make_pruner: Callable[[], Pruner], make_model: Callable[[], nn.Module] = tiny_net, **context: Any
) -> None:
    """Stop after every epoch of every round in turn, resume in fresh objects, and end with the same bits."""
    reference = make_pruner()
    model, _ = train_all(reference, toy_context(make_model(), **context))
    expected = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    epochs = toy_context(make_model(), **context).epochs
    stops = [(i, e) for i in range(reference.rounds) for e in range(reference.first_epoch(i), epochs)]
    assert stops, "the method trains no epoch: nothing to resume"
    for stop in stops:
        _, checkpoint = train_all(make_pruner(), toy_context(make_model(), **context), stop_at=stop)
        assert checkpoint is not None
        resumed = make_pruner()
        model, _ = train_all(resumed, toy_context(make_model(), **context), checkpoint=checkpoint)
        for name, tensor in model.state_dict().items():
            assert torch.equal(tensor, expected[name]), f"{name} differs after a resume behind {stop}"
        if resumed.masks is not None:
            assert reference.masks is not None
            for name, mask in resumed.masks.items():
                assert torch.equal(mask, reference.masks[name]), f"mask of {name} differs after a resume behind {stop}"


class Ranks:
    """Sums over simulated processes: one thread a rank, which meet at a barrier.

    Only one rank runs at a time: real processes share no state, but threads share what torch patches for the whole
    process (a trace by torch.fx replaces ``nn.Module.__call__`` while it lasts, and two at once never put it back).
    """

    def __init__(self, world: int) -> None:
        self.world = world
        self.turn = threading.Lock()
        self._slots: list[Tensor | None] = [None] * world
        self._barrier = threading.Barrier(world, timeout=120)

    def abort(self) -> None:
        """Ends the wait of the other ranks with an error."""
        self._barrier.abort()

    def _meet(self) -> None:
        self.turn.release()
        try:
            self._barrier.wait()
        finally:
            self.turn.acquire()

    def reduce(self, rank: int) -> Callable[[Tensor], Tensor]:
        def sum_over_ranks(tensor: Tensor) -> Tensor:
            self._slots[rank] = tensor.clone()
            self._meet()
            tensor.copy_(torch.stack([slot for slot in self._slots if slot is not None]).sum(dim=0))
            self._meet()
            return tensor

        return sum_over_ranks

    def average(self, rank: int) -> Callable[[Tensor], None]:
        """What DDP does to a gradient."""
        reduce = self.reduce(rank)
        return lambda gradient: reduce(gradient).div_(self.world)  # type: ignore[return-value]


def train_on_two_ranks(
    make_pruner: Callable[[], Pruner], make_model: Callable[[], nn.Module] = tiny_net, **context: Any
) -> list[Pruner]:
    """Train with two ranks that see different scoring samples and share gradients; the two pruners at the end."""
    ranks, pruners, failures = Ranks(2), [make_pruner(), make_pruner()], []
    contexts = [
        toy_context(make_model(), rank=rank, world=2, reduce=ranks.reduce(rank), **context) for rank in range(2)
    ]

    def work(rank: int) -> None:
        with ranks.turn:
            try:
                train_all(pruners[rank], contexts[rank], average=ranks.average(rank))
            except BaseException as error:
                failures.append(error)
                ranks.abort()

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return pruners


def assert_equal_masks(pruners: list[Pruner]) -> None:
    """Every rank has the same masks."""
    first, *others = [pruner.masks for pruner in pruners]
    assert first is not None
    for other in others:
        assert other is not None
        for name, mask in first.items():
            assert torch.equal(mask, other[name]), f"mask of {name} differs between ranks"
