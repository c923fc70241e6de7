"""Ids never change: another id would orphan every stored result."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prunebench.benchmark.runs.run import Recipe, Run, canonical_json, derive_seed, from_dict, frozen_options, to_dict

DENSE = Run(dataset="digits", model="convnet-small", method="dense", seed=0, recipe=Recipe(epochs=20, batch_size=32))
PRUNED = Run(
    dataset="digits",
    model="convnet-small",
    method="global_mp",
    seed=0,
    sparsity=0.9,
    recipe=Recipe(epochs=15, batch_size=32, lr=0.05, nesterov=True, weight_decay=5e-4),
    method_options=frozen_options({"minimum_threshold": 0.1, "dense": ["first", "last"]}),
    parent=DENSE,
)


def test_ids_are_pinned() -> None:
    """If this fails, a default has changed or a field has lost its default: stored results would be orphaned."""
    assert DENSE.id == "45229167e2d5"
    assert PRUNED.id == "d7b590f39199"


def test_canonical_json_leaves_defaults_out() -> None:
    assert canonical_json(DENSE) == (
        '{"dataset":"digits","method":"dense","model":"convnet-small","recipe":{"batch_size":32,"epochs":20},"seed":0}'
    )


def test_the_order_of_options_does_not_matter() -> None:
    other = replace(PRUNED, method_options=frozen_options({"dense": ("first", "last"), "minimum_threshold": 0.1}))
    assert other.id == PRUNED.id
    assert other == PRUNED


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"sparsity": 0.95}, {"method": "snip"}, {"parent": None}, {"validation": 0.2}]
)
def test_every_field_that_matters_changes_the_id(change: dict) -> None:
    assert replace(PRUNED, **change).id != PRUNED.id


def test_a_change_of_the_dense_recipe_changes_the_child() -> None:
    parent = replace(DENSE, recipe=replace(DENSE.recipe, lr=0.2))
    assert replace(PRUNED, parent=parent).id != PRUNED.id


@given(st.integers(0, 2**31), st.floats(0, 0.999), st.lists(st.integers(1, 300), max_size=3))
def test_round_trip(seed: int, sparsity: float, milestones: list[int]) -> None:
    recipe = Recipe(epochs=3, milestones=tuple(milestones))
    run = replace(PRUNED, seed=seed, sparsity=sparsity, recipe=recipe)
    assert from_dict(to_dict(run)) == run
    assert from_dict(to_dict(run)).id == run.id


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(TypeError):
        from_dict({**to_dict(DENSE), "colour": "red"})


def test_derived_seeds_differ_by_purpose_and_are_stable() -> None:
    seeds = {derive_seed(0, "order", epoch) for epoch in range(50)} | {derive_seed(0, "init"), derive_seed(1, "init")}
    assert len(seeds) == 52
    assert derive_seed(0, "init") == 3598610026517748695
    assert all(0 <= seed < 2**63 for seed in seeds)
