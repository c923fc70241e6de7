"""Every registered method keeps the contract, and the checks find methods that break it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from prunebench.benchmark.api.errors import UserError
from prunebench.methods import registry
from prunebench.methods.checks.run_checks import CHECKS, CheckResult, check_method, quick_options
from prunebench.methods.registry import create, describe, method_names
from toys import assert_equal_masks, tiny_net, train_on_two_ranks

OPTIONS: dict[str, dict[str, Any]] = {
    "str": {"initial_threshold_logit": -3.0},  # from the paper's -3200 nothing is pruned in a short training
}
EXCEPTIONS: dict[tuple[str, str], str] = {}
"""(method, check): why the method fails it. The check must fail, or the entry is out of date."""

NOT_ON_TWO_RANKS: dict[str, str] = {
    "global_mp_columns": "needs a low-rank cell, which the two-rank network has not",
    "random_columns": "needs a low-rank cell, which the two-rank network has not",
    "small_dense": "needs a network that takes a width",
}
WITHOUT_MASKS = ("dense", "dense_longer", "str", "random_subspace")
ONLY_DENSE = ("dense_longer",)  # methods that refuse a sparsity


@pytest.mark.parametrize("name", method_names())
def test_every_method_keeps_the_contract(name: str) -> None:
    results = {result.name: result for result in check_method(name, OPTIONS.get(name))}
    assert list(results) == list(CHECKS)
    failed = {check for check, result in results.items() if result.passed is False}
    expected = {check for method, check in EXCEPTIONS if method == name}
    assert failed == expected, "\n".join(f"{r.name}: {r.detail}" for r in results.values() if r.passed is False)


@pytest.mark.parametrize("name", [name for name in method_names() if name not in NOT_ON_TWO_RANKS])
def test_two_processes_agree_on_the_masks(name: str) -> None:
    options = {**quick_options(describe(name)), **OPTIONS.get(name, {})}
    pruners = train_on_two_ranks(lambda: create(name, 0.0 if name in ONLY_DENSE else 0.5, options), rebuild=tiny_net)
    if pruners[0].masks is None:
        assert name in WITHOUT_MASKS
    else:
        assert_equal_masks(pruners)


@pytest.fixture
def broken_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.OFFERS, "plugins", {})
    registry.add_plugin(Path(__file__).with_name("broken_methods.py"))


BROKEN = [
    ("off_by_one", "the target is met exactly", "weights are kept, not"),
    ("leaky", "pruned weights stay zero under SGD", "are not zero"),
    ("leaky", "pruned weights stay zero under Adam", "are not zero"),
    ("late", "pruned weights stay zero under SGD", "are not zero in epoch 0"),
    ("late", "pruned weights stay zero under Adam", "are not zero in epoch 0"),
    ("noisy", "pruning leaves no trace", "the global random state has moved"),
    ("evaluating", "pruning leaves no trace", "changed: mode of network, mode of norm1"),
    ("graded", "pruning leaves no trace", "gradient of stem.weight"),
    ("moving", "pruning leaves no trace", "stem.weight has changed beyond its mask"),
    ("global_noise", "same seed, same bits", "differs in a second run"),
    ("restless", "same seed, same bits", "differs in a second run"),
    ("forgetful", "killed and resumed equals uninterrupted", "when resumed"),
    ("counting", "killed and resumed equals uninterrupted", "when resumed in round 0 after 1 epochs"),
    ("wrapped", "detach leaves a plain network", "not those of a fresh network"),
    ("replacing", "a plan knows what it trains", "keeps_network must be False, not True"),
    ("unplanned", "a plan knows what it trains", "a plan counts 36 epochs by its epochs_rule, its rounds train 40"),
    ("careless", "bad options are refused by name", "strength = -1 is accepted"),
    ("boolean", "scores are finite floats", "scores of layer 'stem.weight' are torch.bool; they must be floats"),
    ("listed", "scores are finite floats", "scores of layer 'stem.weight' are a list; they must be a tensor"),
    ("unchecked", "scores are finite floats", "scores of layer 'stem.weight' are not finite"),
    ("misshapen", "scores are finite floats", "have the shape (216,); the weight has (8, 3, 3, 3)"),
    ("trusting", "NaN weights are an error", "NaN weights are accepted"),
    ("trusting_later", "NaN weights are an error", "NaN weights are accepted"),
    ("hasty", "check looks at shapes only", "samples are asked for before anything runs"),
    ("touching", "check looks at shapes only", "the network has changed"),
    ("remembering", "check looks at shapes only", "after check was called"),
]


@pytest.mark.usefixtures("broken_methods")
@pytest.mark.parametrize(("name", "check", "detail"), BROKEN)
def test_a_broken_method_is_found(name: str, check: str, detail: str) -> None:
    result = next(result for result in check_method(name) if result.name == check)
    assert result.passed is False
    assert detail in result.detail


@pytest.mark.usefixtures("broken_methods")
def test_every_check_finds_a_broken_method() -> None:
    """Every check and every broken method is in the list above."""
    assert {check for _, check, _ in BROKEN} == set(CHECKS)
    assert {name for name, _, _ in BROKEN} | {"good"} == set(registry.OFFERS.plugins)


@pytest.mark.usefixtures("broken_methods")
def test_a_good_plugin_passes() -> None:
    assert [result for result in check_method("good") if not result.passed] == []


def test_a_method_without_its_one_function_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.OFFERS, "plugins", {})
    path = tmp_path / "unfinished.py"
    path.write_text(UNFINISHED, encoding="utf-8")
    registry.add_plugin(path)
    for name, missing in (("scoreless", "score"), ("maskless", "choose_masks")):
        with pytest.raises(UserError, match=f"method '{name}': .* abstract method '?{missing}"):
            registry.create(name, 0.9, {})


UNFINISHED = """
from dataclasses import dataclass
from typing import ClassVar

from prunebench.methods.bases.fixed_mask import FixedMask
from prunebench.methods.bases.mask_pruner import MaskPruner

METHODS = {"scoreless": "Scoreless", "maskless": "Maskless"}


@dataclass(kw_only=True)
class Scoreless(MaskPruner):
    label: ClassVar[str] = "No score"
    paper: ClassVar[str] = "none"
    needs: ClassVar[str] = "nothing"


@dataclass(kw_only=True)
class Maskless(FixedMask):
    label: ClassVar[str] = "No masks"
    paper: ClassVar[str] = "none"
    needs: ClassVar[str] = "nothing"
"""


def test_what_is_asked_for_is_what_is_checked() -> None:
    with pytest.raises(UserError, match="did you mean 'rigl'"):
        check_method("rigle")
    with pytest.raises(UserError, match=r"drop_fraction is 2.0; it must be a finite number > 0 and < 1"):
        check_method("rigl", {"drop_fraction": 2.0})
    state = torch.get_rng_state()
    results = check_method("rigl", {"distribution": "erk"})
    assert torch.equal(state, torch.get_rng_state())
    assert results[1] == CheckResult("the target is met exactly", True, results[1].detail)
