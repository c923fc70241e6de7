"""Nothing that a run chooses depends on the test set: other test labels leave every choice and every bit as they are.

For every registered method: masks, weights of the dense training, every recorded epoch but its test numbers, the epoch
that validation picks. Labels that are shuffled change what is reported, so the test would notice a use of them.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from prunebench.benchmark.api.data import Data
from prunebench.benchmark.runs.run import Recipe, Run, frozen_options
from prunebench.benchmark.runs.settings import Settings
from prunebench.benchmark.training import setup
from prunebench.benchmark.training.harness import execute
from prunebench.benchmark.training.run_data import read_data
from prunebench.benchmark.training.watch import Watch
from prunebench.datasets.parts.in_memory_split import ResidentSplit
from prunebench.methods import METHODS
from prunebench.methods.registry import describe

OPTIONS: dict[str, dict[str, Any]] = {
    "str": {"initial_threshold_logit": -5.0},
    "imp": {"prune_fraction": 0, "prune_rounds": 1},
}
ON_FASTGRNN = ("global_mp_columns", "random_columns")
"""Methods of a recurrent network alone."""
TEST_ONLY = ("test_accuracy", "test_top5", "test_loss")


def with_shuffled_test(data: Data) -> Data:
    test: Any = data.test
    order = torch.randperm(len(test), generator=torch.Generator().manual_seed(5))
    return replace(data, test=ResidentSplit(test._inputs, test.targets[order]))


def chosen(run: Run, root: Path) -> tuple[dict[str, Any], list[Any], dict[str, Any], float]:
    """What a run chose: its masks and weights, the epochs without test numbers, the selection; and what it reports."""
    result = execute(run, "s", Settings(results=root, keep_weights=True), Watch())
    folder = next(path for path in root.rglob("result.json") if path.parent.name == run.id).parent
    lines = (folder / "history.jsonl").read_text(encoding="utf-8").splitlines()
    epochs = [{key: value for key, value in json.loads(line).items() if key not in TEST_ONLY} for line in lines]
    files = {name: facts["sha256"] for name, facts in json.loads((folder / "result.json").read_text())["files"].items()}
    selection = {key: result["accuracy"][key] for key in ("selected_epoch", "selected_validation")}
    return files, epochs, {**selection, "layers": result["layers"]}, result["loss"]["last"]


def runs_of(name: str) -> list[Run]:
    """A short run of the method, after the dense training that it starts from, if it does."""
    info = describe(name)
    recipe = Recipe(epochs=2, batch_size=50, lr=0.05)
    dense = Run(
        dataset="digits", dataset_options=frozen_options({"limit": 150}), model="convnet-small",
        method="dense", seed=0, recipe=recipe, validation=0.2,
    )  # fmt: skip
    if name == "dense":
        return [dense]
    run = replace(
        dense, method=name, method_options=frozen_options(OPTIONS.get(name, {})),
        sparsity={"dense_longer": 0.0, "nm_magnitude": 0.5}.get(name, 0.8), method_version=info.version,
        parent=dense if info.start == "trained" else None,
    )  # fmt: skip
    return [dense, run] if run.parent is not None else [run]


@pytest.mark.parametrize("name", sorted(METHODS.keys() - set(ON_FASTGRNN)))
def test_other_test_labels_change_no_choice(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = runs_of(name)
    first = [chosen(run, tmp_path / "a") for run in runs]
    monkeypatch.setattr(setup, "read_data", lambda run, settings: with_shuffled_test(read_data(run, settings)))
    second = [chosen(run, tmp_path / "b") for run in runs]
    for (files, epochs, selection, reported), (others, other_epochs, other_selection, other_reported) in zip(
        first, second, strict=True
    ):
        assert files == others
        assert epochs == other_epochs
        assert selection == other_selection
        assert reported != other_reported


def test_a_method_is_given_training_samples_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What scores draw are samples of the training split: no other split is asked for any."""
    data = read_data(runs_of("snip")[0], Settings(results=tmp_path))
    seen: list[Any] = []
    original = ResidentSplit.sample

    def spy(self: ResidentSplit, indices: Any, *, device: torch.device) -> Any:
        seen.append(self)
        return original(self, indices, device=device)

    monkeypatch.setattr(ResidentSplit, "sample", spy)
    for name in ("snip", "grasp", "obd", "force"):
        for run in runs_of(name):
            execute(run, "s", Settings(results=tmp_path / name), Watch())
    assert seen
    assert all(split is data.train for split in seen)
