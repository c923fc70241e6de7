"""Learning rates worked out by hand, exact accuracies, and scoring batches."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from prunebench.benchmark.models.count_macs import count_macs
from prunebench.benchmark.models.macs_table import TABLE, count_all
from prunebench.benchmark.runs.run import Recipe
from prunebench.benchmark.training.context import scoring_batches, scoring_indices
from prunebench.benchmark.training.evaluate import evaluate, evaluation_batch
from prunebench.benchmark.training.loop import num_steps
from prunebench.benchmark.training.measure import Diverged, check_finite_state
from prunebench.benchmark.training.optimizer import learning_rate
from prunebench.benchmark.training.result import summarize_accuracy
from prunebench.datasets.registry import load
from torch import nn

RECIPE = Recipe(epochs=10, lr=1.0)


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        (replace(RECIPE, schedule="constant"), [1.0] * 10),
        (replace(RECIPE, schedule="linear"), [1 - i / 10 for i in range(10)]),
        (RECIPE, [1.0, 0.975528, 0.904508, 0.793893, 0.654508, 0.5, 0.345492, 0.206107, 0.095492, 0.024472]),
        (replace(RECIPE, schedule="step", step_epochs=4, step_factor=0.5), [1.0] * 4 + [0.5] * 4 + [0.25] * 2),
        (replace(RECIPE, schedule="step", milestones=(3, 8)), [1.0] * 3 + [0.1] * 5 + [0.01] * 2),
        (replace(RECIPE, schedule="constant", warmup_epochs=4), [0.25, 0.5, 0.75, 1.0] + [1.0] * 6),
        (replace(RECIPE, warmup_epochs=5), [0.2, 0.4, 0.6, 0.8, 1.0, 1.0, 0.904508, 0.654508, 0.345492, 0.095492]),
    ],
    ids=["constant", "linear", "cosine", "step", "milestones", "warm-up", "warm-up and cosine"],
)
def test_rates_by_epoch(recipe: Recipe, expected: list[float]) -> None:
    assert [learning_rate(recipe, epoch) for epoch in range(10)] == pytest.approx(expected, abs=1e-6)


def test_rates_by_step_pass_through_the_rates_by_epoch() -> None:
    recipe = replace(RECIPE, lr_update="step")
    assert [learning_rate(recipe, 7 * epoch, 7) for epoch in range(10)] == pytest.approx(
        [learning_rate(recipe, epoch) for epoch in range(10)]
    )


@pytest.mark.parametrize(
    ("samples", "batch", "steps"), [(100, 10, 10), (101, 10, 10), (102, 10, 11), (5, 10, 1), (1, 10, 1)]
)
def test_a_last_batch_of_one_sample_is_left_out(samples: int, batch: int, steps: int) -> None:
    assert num_steps(samples, batch) == steps


def test_accuracy_is_a_count_over_the_whole_split() -> None:
    """500 test images in batches of any size: correct / 500, not a mean of batch means."""
    data = load("digits")
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    (found,) = evaluate(model, (data.test,), RECIPE, torch.device("cpu"), data.input_shape)
    inputs, targets = next(data.test.batches(len(data.test), device=torch.device("cpu")))
    ranks = model(inputs).argsort(dim=1, descending=True)
    assert found.samples == 500
    assert found.correct == int((ranks[:, 0] == targets).sum())
    assert found.correct_top5 == int((ranks[:, :5] == targets[:, None]).any(dim=1).sum())
    assert found.accuracy == found.correct / 500
    assert found.loss == pytest.approx(nn.functional.cross_entropy(model(inputs), targets).item(), rel=1e-5)
    assert model.training


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((1, 8, 8), 1000),
        ((1, 28, 28), 1000),
        ((3, 32, 32), 1000),
        ((9, 128), 1000),
        ((3, 128, 128), 1000),
        ((3, 224, 224), 334),  # a third of the memory
        ((3, 20000, 20000), 1),
    ],
)
def test_images_too_large_for_a_thousand_are_evaluated_in_smaller_batches(
    shape: tuple[int, ...], expected: int
) -> None:
    """Batches of all data sets of the suite but ImageNet stay as they were, and so do the bits of their losses."""
    assert evaluation_batch(shape) == expected


def test_the_three_accuracies_of_a_fixed_history() -> None:
    records = [
        {"epoch": i, "density": 0.1, "validation_accuracy": v, "test_accuracy": t, "test_top5": 1.0}
        for i, (v, t) in enumerate(zip([0.50, 0.60, 0.60, 0.55], [0.40, 0.58, 0.62, 0.61], strict=True))
    ]
    ends = {"accuracy": 0.61, "top5": 1.0, "loss": 1.0}
    accuracy = summarize_accuracy(records, ends, ends, ends, True)["accuracy"]
    assert (accuracy["last"], accuracy["selected"], accuracy["best_test"]) == (0.61, 0.58, 0.62)
    assert (accuracy["selected_epoch"], accuracy["best_test_epoch"]) == (1, 2)


def test_epochs_before_the_final_sparsity_are_never_chosen() -> None:
    records = [
        {"epoch": i, "density": d, "validation_accuracy": 1 - i / 10, "test_accuracy": 1 - i / 10, "test_top5": 1.0}
        for i, d in enumerate([1.0, 0.5, 0.1, 0.1])
    ]
    ends = {"accuracy": 0.7, "top5": 1.0, "loss": 1.0}
    assert summarize_accuracy(records, ends, ends, ends, True)["accuracy"]["selected_epoch"] == 2


def test_without_an_epoch_the_only_network_is_chosen() -> None:
    ends = {"accuracy": 0.7, "top5": 0.9, "loss": 1.0}
    chosen = [summarize_accuracy([], ends, ends, ends, has_validation)["accuracy"] for has_validation in (True, False)]
    assert [accuracy["best_test"] for accuracy in chosen] == [0.7, 0.7]
    assert [(accuracy["selected"], accuracy["selected_top5"]) for accuracy in chosen] == [(0.7, 0.9), (None, None)]
    assert all(accuracy[f"{name}_epoch"] is None for accuracy in chosen for name in ("selected", "best_test"))


def test_scoring_samples_are_balanced_shuffled_and_fixed() -> None:
    targets = torch.arange(300) % 10

    def draw(seed: int) -> torch.Tensor:
        return scoring_indices(targets, 100, True, torch.Generator().manual_seed(seed))

    chosen = draw(0)
    assert torch.equal(targets[chosen].bincount(), torch.full((10,), 10))
    assert len(set(chosen.tolist())) == 100
    assert len(targets[chosen][:50].unique()) > 5, "not sorted by class: each half holds most classes"
    assert torch.equal(chosen, draw(0))
    assert not torch.equal(chosen, draw(1))


@pytest.mark.parametrize(
    ("count", "batch_size", "num_ranks", "sizes"),
    [
        (129, 128, 1, [129]),
        (257, 128, 1, [128, 129]),
        (130, 128, 1, [128, 2]),
        (128, 128, 1, [128]),
        (1, 128, 1, [1]),
        (3, 1, 1, [1, 1, 1]),
        (131, 128, 2, [131]),
        (132, 128, 2, [128, 4]),
        (5, 2, 2, [2, 2, 1]),
    ],
)
def test_no_scoring_batch_leaves_a_process_a_single_sample(
    count: int, batch_size: int, num_ranks: int, sizes: list[int]
) -> None:
    indices = torch.randperm(count)
    parts = scoring_batches(indices, batch_size, num_ranks)
    assert [len(part) for part in parts] == sizes
    assert torch.equal(torch.cat(parts), indices)


def test_a_network_that_is_not_finite_at_the_end_is_no_result() -> None:
    network = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    check_finite_state(network)
    with torch.no_grad():
        network[1].bias[1] = torch.nan
    with pytest.raises(Diverged, match=r"1\.bias of the trained network is not finite"):
        check_finite_state(network)


def test_the_table_that_plan_reads_is_what_the_counter_says() -> None:
    import json

    assert json.loads(TABLE.read_text(encoding="utf-8")) == count_all()


def test_counting_leaves_the_network_alone() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    count_macs(model, (1, 8, 8))
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert model.training
