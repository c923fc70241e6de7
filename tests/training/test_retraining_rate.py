"""schedule: adaptive_linear: the factor by hand, in a training with rounds, after a resume, and where it is refused."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.runs.run import Recipe
from prunebench.benchmark.studies.load import load_study
from prunebench.benchmark.training.checkpoint import restore, training_state
from prunebench.benchmark.training.loop import Training
from prunebench.benchmark.training.optimizer import learning_rate
from prunebench.benchmark.training.retraining_rate import rate_factor
from prunebench.methods.bases.toy_task import toy_network
from prunebench.methods.checks.trial import ToyTask
from prunebench.methods.registry import create

CPU = torch.device("cpu")


def test_the_factor_by_hand() -> None:
    """||W|| = 5 without the zero; 2 of 4 weights are removed, of norm sqrt(5): d1 = sqrt(5) / (5 sqrt(1/2))."""
    before = [torch.tensor([[4.0, 2.0], [1.0, 0.0]]), torch.tensor([2.0])]
    after = [torch.tensor([[4.0, 0.0], [0.0, 0.0]]), torch.tensor([2.0])]
    assert rate_factor(before, after, 0.1) == pytest.approx(math.sqrt(5 / 25 * 2))
    assert rate_factor(before, after, 0.9) == 0.9
    assert rate_factor(before, after, 3.0) == 1.0
    # all equal: the norm falls as much as it must, so the full rate is needed
    assert rate_factor([torch.ones(4)], [torch.tensor([1.0, 1, 0, 0])], 0.1) == pytest.approx(1.0)
    # weights that stay count too where they move
    moved = [torch.tensor([[4.0, 0.0], [0.0, 0.0]]), torch.tensor([0.0])]
    assert rate_factor(before, moved, 0.1) == pytest.approx(math.sqrt(9 / 25 / 0.75))
    assert rate_factor(before, before, 0.1) == 1.0


def training(method: str, options: dict[str, Any], dense_epochs: int | None, recipe: Recipe) -> Training:
    task, network = ToyTask(epochs=recipe.epochs), toy_network()
    pruner = create(method, 0.75, options)
    pruner.attach(task.context(network))
    return Training(
        model=network, pruner=pruner, data=task.data, recipe=recipe, seed=0, device=CPU, dense_epochs=dense_epochs
    )


def rates(method: str, options: dict[str, Any], dense_epochs: int | None, recipe: Recipe) -> list[list[float]]:
    """Of each round, the learning rates of its epochs divided by those of the linear schedule."""
    trained = training(method, options, dense_epochs, recipe)
    found: list[list[float]] = [[] for _ in range(trained.pruner.rounds)]
    trained.run(lambda record, _: found[record["round"]].append(record["lr"] / learning_rate(recipe, record["epoch"])))
    return found


def test_each_round_starts_anew_with_a_factor_of_its_own() -> None:
    recipe = Recipe(epochs=4, batch_size=8, lr=0.1, schedule="adaptive_linear")
    options = {"prune_fraction": 0, "prune_rounds": 2, "rewind": "lr"}
    dense, *retrained = rates("imp", options, None, recipe)
    assert dense == [1.0] * 4  # nothing is pruned before the first round
    assert retrained == [[1.0] * 4, [1.0] * 4]  # as long as the dense training
    first, second = rates("imp", {**options, "start": "trained"}, 40, recipe)
    assert first == pytest.approx([first[0]] * 4)
    assert second == pytest.approx([second[0]] * 4)
    assert first[0] != second[0]
    assert all(0.1 < factor < 1 for factor in (first[0], second[0]))
    # a checkpoint of the user's: its epochs are not known, and the change of the weights decides alone
    assert rates("imp", {**options, "start": "trained"}, 0, recipe)[0] == first


def test_a_resumed_retraining_keeps_its_factor() -> None:
    recipe, given = Recipe(epochs=4, batch_size=8, lr=0.1, schedule="adaptive_linear"), ("global_mp", {}, 40)
    seen: list[float] = []
    checkpoints: list[dict[str, Any]] = []
    whole = training(*given, recipe)

    def after(record: dict[str, Any], optimizer: torch.optim.Optimizer) -> None:
        seen.append(record["lr"])
        if record["epoch"] == 1:
            checkpoints.append(copy.deepcopy(training_state(whole, optimizer)))

    whole.run(after)
    resumed, rest = training(*given, recipe), list[float]()
    resumed.run(lambda record, _: rest.append(record["lr"]), restore(resumed, checkpoints[0]))
    assert rest == seen[2:]
    assert seen[0] < 0.1


def test_a_gradual_method_has_the_whole_rate() -> None:
    recipe = Recipe(epochs=2, batch_size=8, lr=0.1, schedule="adaptive_linear")
    assert rates("global_mp", {"schedule": "cubic", "every": 1}, 40, recipe) == [[1.0, 1.0]]


STUDY = """
name: rates
dataset: digits
model: convnet-small
train: {{epochs: 2, lr: 0.1{train}}}
finetune: {{epochs: 1{finetune}}}
scratch: {{epochs: 3{scratch}}}
runs:
  - method: dense
  - {{method: [global_mp, imp, snip], sparsity: 90%}}
"""


def study(path: Path, **parts: str) -> Any:
    written = path / "rates.yaml"
    ending = {part: f", schedule: {value}" for part, value in parts.items()}
    written.write_text(STUDY.format(**{"train": "", "finetune": "", "scratch": "", **ending}))
    return load_study(str(written))


def test_it_is_an_option_of_the_recipe_of_retraining(tmp_path: Path) -> None:
    found = study(tmp_path, finetune="adaptive_linear")
    schedules = {run.method: run.recipe.schedule for run in found.runs}
    assert schedules == {"dense": "cosine", "global_mp": "adaptive_linear", "imp": "cosine", "snip": "cosine"}
    linear = {run.method: run.id for run in study(tmp_path, finetune="linear").runs}
    assert {run.method: run.id for run in found.runs}["global_mp"] != linear["global_mp"]


@pytest.mark.parametrize("part", ["train", "scratch"])
def test_it_is_refused_where_nothing_is_retrained(tmp_path: Path, part: str) -> None:
    with pytest.raises(UserError, match="adaptive_linear is for retraining"):
        study(tmp_path, **{part: "adaptive_linear"})
