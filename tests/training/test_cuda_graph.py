"""Training steps that are replayed from a graph give the bits of those that are not, for every kind of method."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from prunebench.benchmark.api.data import Data
from prunebench.benchmark.api.pruner import Context, Pruner
from prunebench.benchmark.models.fastgrnn import fastgrnn
from prunebench.benchmark.runs.run import Recipe
from prunebench.benchmark.runs.settings import Compile
from prunebench.benchmark.training import cuda_graph, loop
from prunebench.benchmark.training.context import make_context
from prunebench.benchmark.training.cuda_graph import MAX_CAPTURES, GraphLog
from prunebench.methods.bases.toy_task import INPUT_SHAPE, NUM_CLASSES, ToyNetwork, toy_inputs, toy_network
from prunebench.methods.checks.trial import ToySplit
from prunebench.methods.registry import create
from recorded_graph import RecordedGraphs
from torch import Tensor, nn
from torch.nn.utils import parametrize

BATCH, SAMPLES, EPOCHS = 8, 44, 3
"""Five whole batches an epoch and one of four samples."""
STEPS = EPOCHS * 5 - cuda_graph.WARMUP_STEPS
CPU = torch.device("cpu")
REFUSAL = cuda_graph.refusal


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_graph, "CudaRecorder", RecordedGraphs)
    monkeypatch.setattr(cuda_graph, "refusal", lambda device, compile: "")


class WithDropout(ToyNetwork):
    def forward(self, inputs: Tensor) -> Tensor:
        return nn.functional.dropout(super().forward(inputs), 0.3, self.training)


class Waiting(ToyNetwork):
    """No graph can be captured of it on a GPU; here the capture fails as it does there."""

    def forward(self, inputs: Tensor) -> Tensor:
        if torch.utils._python_dispatch._get_current_dispatch_mode() is not None:
            raise RuntimeError("operation not permitted when stream is capturing\nand more lines")
        return super().forward(inputs)


def trained(
    pruner: Pruner, graph: GraphLog, *, network: nn.Module | None = None, shape: tuple[int, ...] = INPUT_SHAPE,
    **changes: Any,
) -> tuple[list[float], dict[str, Tensor]]:  # fmt: skip
    """Losses of the epochs, and weights, statistics and masks at the end."""
    recipe = Recipe(**{
        "epochs": EPOCHS, "batch_size": BATCH, "lr": 0.05, "nesterov": True, "weight_decay": 1e-2, "lr_update": "step",
        **changes,
    })  # fmt: skip
    network = toy_network() if network is None else network

    def split(count: int) -> ToySplit:
        return ToySplit(*toy_inputs(count, 0, shape, NUM_CLASSES))

    data = Data(
        name="toy", input_shape=shape, num_classes=NUM_CLASSES, fingerprint="", train=split(SAMPLES),
        validation=split(0), test=split(8),
    )  # fmt: skip
    context = make_context(network, data, recipe=recipe, seed=0, device=CPU, rebuild=toy_network)
    losses: list[float] = []
    with torch.random.fork_rng(devices=[]):
        loop.Training(
            model=pruner.attach(context), pruner=pruner, data=data, recipe=recipe, seed=0, device=CPU, graph=graph
        ).run(lambda record, optimizer: losses.append(record["train_loss"]))
    state = {name: value.clone() for name, value in network.state_dict().items()}
    masks = pruner.masks
    return losses, state | ({} if masks is None else {f"mask of {n}": m.clone() for n, m in masks.items()})


def assert_same(found: tuple[list[float], dict[str, Tensor]], expected: tuple[list[float], dict[str, Tensor]]) -> None:
    assert found[0] == expected[0]
    assert found[1].keys() == expected[1].keys()
    for name, value in expected[1].items():
        assert torch.equal(found[1][name], value), name


METHODS: dict[str, tuple[str, float, dict[str, Any]]] = {
    "dense": ("dense_longer", 0.0, {}),
    "one mask": ("global_mp", 0.8, {}),
    "a mask that grows": ("global_mp", 0.8, {"schedule": "cubic", "every": 2}),
    "scores from gradients while it trains": ("snip", 0.8, {"schedule": "cubic", "every": 3}),
    "masks that move, steps that are skipped": ("rigl", 0.8, {"every": 4}),
    "momentum that is read": ("sm", 0.8, {"every": 4}),
    "means of gradients": ("snfs", 0.8, {"every": 4}),
    "masks in the forward pass": ("dpf", 0.8, {"every": 4}),
    "new ones in each step": ("dnw", 0.8, {}),
    "gradients that are taken away": ("edge_popup", 0.5, {}),
    "a parameter of its own": ("random_subspace", 0.5, {}),
    "learned thresholds": ("str", 0.8, {"initial_threshold_logit": -4.0}),
    "state that is cleared": ("ac_dc", 0.8, {}),
    "several rounds": ("imp", 0.36, {}),
}


WITH_ADAM = ("dense", "a mask that grows", "momentum that is read")
CASES = [*((kind, "sgd") for kind in METHODS), *((kind, "adam") for kind in WITH_ADAM)]


@pytest.mark.parametrize(("kind", "optimizer"), CASES)
def test_same_bits_as_without(kind: str, optimizer: str) -> None:
    name, sparsity, options = METHODS[kind]
    changes = {"optimizer": optimizer, **({"nesterov": False, "lr": 0.01} if optimizer == "adam" else {})}
    log = GraphLog("auto")
    found = trained(create(name, sparsity, options), log, **changes)
    rounds = create(name, sparsity, options).rounds if name == "imp" else 1
    assert str(log) == "captured"
    assert log.captures == rounds, "masks change in place, so that nothing is captured anew"
    assert RecordedGraphs.num_replayed == STEPS
    assert_same(found, trained(create(name, sparsity, options), GraphLog("off"), **changes))


def test_clipping_dropout_and_bfloat16_give_the_same_bits() -> None:
    for changes in ({"clip_norm": 0.1}, {"precision": "bfloat16"}, {"label_smoothing": 0.1}):
        log = GraphLog("auto")
        found = trained(create("rigl", 0.8, {"every": 4}), log, network=toy_network(kind=WithDropout), **changes)
        assert str(log) == "captured"
        expected = trained(
            create("rigl", 0.8, {"every": 4}), GraphLog(), network=toy_network(kind=WithDropout), **changes
        )
        assert_same(found, expected)


@pytest.mark.parametrize("rank_u", [80, 8])
def test_the_recurrence_of_fastgrnn_is_captured_as_it_is(rank_u: int) -> None:
    def network() -> nn.Module:
        torch.manual_seed(0)
        return fastgrnn(num_classes=NUM_CLASSES, input_shape=(12, 9), rank_u=rank_u)

    log = GraphLog("auto")
    found = trained(create("global_mp", 0.5, {}), log, network=network(), shape=(12, 9))
    assert str(log) == "captured"
    assert_same(found, trained(create("global_mp", 0.5, {}), GraphLog(), network=network(), shape=(12, 9)))


class Moving(Pruner):
    """Puts the weights of the classifier elsewhere after every step, which a graph would not see."""

    def on_weights(self, step: int, optimizer: torch.optim.Optimizer) -> None:
        weight = self.context.model.head.weight  # pyright: ignore
        weight.data = weight.data.clone()


def test_what_moves_is_captured_anew_until_it_does_so_too_often() -> None:
    log = GraphLog("auto")
    found = trained(Moving(start="init"), log)
    assert log.captures == MAX_CAPTURES
    assert str(log) == f"not captured: what the forward pass reads has moved {MAX_CAPTURES} times"
    assert_same(found, trained(Moving(start="init"), GraphLog()))


class Frozen(Pruner):
    """Freezes the first normalisation for good after the first epoch, in value and in mode."""

    def on_gradients(self, step: int, optimizer: torch.optim.Optimizer) -> bool:
        if step >= self.context.steps_per_epoch:
            self.context.model.norm1.eval().requires_grad_(False)  # pyright: ignore
        return False


def test_a_part_that_is_frozen_on_the_way_is_captured_anew() -> None:
    log = GraphLog("auto")
    found = trained(Frozen(start="init"), log)
    assert (str(log), log.captures) == ("captured", 2 + (EPOCHS - 1))
    assert_same(found, trained(Frozen(start="init"), GraphLog()))


class Scaled(nn.Module):
    def __init__(self, scale: object) -> None:
        super().__init__()
        self.scale: Any = scale

    def forward(self, weight: Tensor) -> Tensor:
        return weight * self.scale


class Annealed(Pruner):
    """A parametrisation whose number changes once an epoch."""

    scale: Any = 1.0

    def attach(self, context: Context) -> nn.Module:
        self.scaled = Scaled(self.scale)
        parametrize.register_parametrization(context.model.head, "weight", self.scaled)  # pyright: ignore
        return super().attach(context)

    def on_epoch_end(self, index: int, epoch: int, optimizer: torch.optim.Optimizer) -> None:
        self.scaled.scale = self.scaled.scale * 0.5


class AnnealedTensor(Annealed):
    scale = torch.tensor(1.0)


def test_numbers_of_a_parametrisation_are_read_anew() -> None:
    log = GraphLog("auto")
    found = trained(Annealed(start="init"), log)
    assert (str(log), log.captures) == ("captured", EPOCHS)
    assert_same(found, trained(Annealed(start="init"), GraphLog()))


class Hooked(Pruner):
    def attach(self, context: Context) -> nn.Module:
        context.model.head.register_forward_hook(lambda *_: None)  # pyright: ignore
        return super().attach(context)


class Adding(Pruner):
    """Leaves the classifier's bias out of the optimiser, so that its gradients add up."""

    def param_groups(self, weight_decay: float, decay_norm: bool) -> list[dict[str, Any]]:
        bias = self.context.model.head.bias  # pyright: ignore
        return [{"params": [p for p in self.context.model.parameters() if p is not bias]}]


@pytest.mark.parametrize(
    ("pruner", "kind", "reason"),
    [
        (AnnealedTensor, ToyNetwork, "Scaled computes weights from its scale, a Tensor"),
        (Hooked, ToyNetwork, "a Linear has hooks"),
        (Adding, ToyNetwork, "gradients of parameters that the optimiser does not train add up"),
        (Pruner, Waiting, "RuntimeError: operation not permitted when stream is capturing"),
    ],
)
def test_what_cannot_be_captured_trains_as_always(pruner: type[Pruner], kind: type[nn.Module], reason: str) -> None:
    log = GraphLog("auto")
    found = trained(pruner(start="init"), log, network=toy_network(kind=kind))
    assert str(log) == f"not captured: {reason}"
    assert RecordedGraphs.num_replayed == 0
    assert_same(found, trained(pruner(start="init"), GraphLog(), network=toy_network()))


def test_a_step_in_which_the_host_waits_is_not_captured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RecordedGraphs, "is_waiting", True)
    log = GraphLog("auto")
    found = trained(create("global_mp", 0.8, {}), log)
    assert str(log) == "not captured: the host waits for the GPU in the forward or backward pass"
    assert RecordedGraphs.num_captured == 0
    assert_same(found, trained(create("global_mp", 0.8, {}), GraphLog()))


@pytest.mark.parametrize(
    ("device", "compile", "reason"),
    [
        ("cpu", "none", "the device is cpu"),
        ("cuda", "default", "torch.compile makes the step (default)"),
        ("cuda:1", "none", ""),
    ],
)
def test_where_nothing_can_be_captured(device: str, compile: Compile, reason: str) -> None:
    assert REFUSAL(torch.device(device), compile) == reason


def test_several_processes_capture_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_graph.distributed, "is_active", lambda: True)
    assert REFUSAL(torch.device("cuda"), "none") == "several processes train the network"


def test_a_round_of_few_steps_says_so() -> None:
    log = GraphLog("auto")
    trained(create("global_mp", 0.8, {}), log, batch_size=22, epochs=1)
    assert str(log) == "not captured: no more than 3 whole batches in a round"
