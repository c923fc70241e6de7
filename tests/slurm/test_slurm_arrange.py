"""How runs become arrays: nothing twice, nothing before its dense training, nothing over the limits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.runs.run import Recipe, Run
from prunebench.slurm.job_arrays import Array, Limits, Place, arrange


def dense(seed: int) -> Run:
    return Run(dataset="digits", model="m", method="dense", seed=seed, recipe=Recipe(epochs=3))


def pruned(seed: int, sparsity: float, parent: Run | None) -> Run:
    return Run(
        dataset="digits", model="m", method="snip", seed=seed, recipe=Recipe(epochs=2), sparsity=sparsity, parent=parent
    )


def shown(arrays: list[Array]) -> list[tuple[str, list[list[tuple[str, int, float]]], object]]:
    return [
        (array.name.split("-")[0], [[(r.method, r.seed, r.sparsity) for r in element] for element in array.elements],
         array.after)
        for array in arrays
    ]  # fmt: skip


ONE_EACH = Limits(runs_per_job=1, max_array_size=1001)


def test_each_dense_training_has_its_own_array_of_dependants() -> None:
    runs = [dense(0), dense(1), pruned(0, 0.5, dense(0)), pruned(1, 0.5, dense(1)), pruned(0, 0.9, dense(0)),
            pruned(0, 0.5, None)]  # fmt: skip
    assert shown(arrange(runs, {}, ONE_EACH)) == [
        ("dense", [[("dense", 0, 0.0)], [("dense", 1, 0.0)]], None),
        ("after", [[("snip", 0, 0.5)], [("snip", 0, 0.9)]], Place(0, 0)),
        ("after", [[("snip", 1, 0.5)]], Place(0, 1)),
        ("direct", [[("snip", 0, 0.5)]], None),
    ]


def test_a_stored_dense_training_is_no_reason_to_wait_and_a_queued_one_is() -> None:
    runs = [pruned(0, 0.5, dense(0)), pruned(1, 0.5, dense(1))]
    assert shown(arrange(runs, {dense(1).id: "77_3"}, ONE_EACH)) == [
        ("direct", [[("snip", 0, 0.5)]], None),
        ("after", [[("snip", 1, 0.5)]], "77_3"),
    ]


def test_arrays_are_split_at_the_controllers_limit() -> None:
    runs = [pruned(seed, 0.5, None) for seed in range(7)]
    arrays = arrange(runs, {}, Limits(runs_per_job=1, max_array_size=3))
    assert [len(array.elements) for array in arrays] == [3, 3, 1]
    assert len({array.name for array in arrays}) == 3


def test_long_runs_come_first() -> None:
    long = Run(dataset="digits", model="m", method="snip", seed=0, recipe=Recipe(epochs=200))
    assert arrange([pruned(0, 0.5, None), long], {}, ONE_EACH)[0].elements[0] == (long,)
    # twelve trainings of the recipe
    rounds = Run(dataset="digits", model="m", method="imp", seed=0, recipe=Recipe(epochs=20), sparsity=0.9)
    assert arrange([long, rounds], {}, ONE_EACH)[0].elements[0] == (rounds,)


def test_where_few_jobs_are_accepted_each_gets_several_runs() -> None:
    runs = [pruned(seed, 0.5, None) for seed in range(10)]
    arrays = arrange(runs, {}, Limits(runs_per_job=2, max_array_size=1001, room=2))
    assert [len(element) for array in arrays for element in array.elements] == [6, 4]


def test_what_does_not_fit_at_all_is_refused_with_numbers() -> None:
    runs = [dense(0), dense(1), pruned(0, 0.5, dense(0)), pruned(1, 0.5, dense(1))]
    with pytest.raises(UserError, match="at least 2 jobs are needed, the cluster takes 1 more"):
        arrange(runs, {}, Limits(runs_per_job=1, max_array_size=1001, room=1))


@given(
    children=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 9), st.booleans()), min_size=1, max_size=30),
    runs_per_job=st.integers(1, 4),
    max_array_size=st.integers(1, 9),
    room=st.none() | st.integers(1, 40),
)
def test_every_run_once_after_its_parent_and_within_limits(
    children: list[tuple[int, int, bool]], runs_per_job: int, max_array_size: int, room: int | None
) -> None:
    wanted = {pruned(s, p / 10, dense(s) if starts_trained else None) for s, p, starts_trained in children}
    parents = {run.parent for run in wanted if run.parent is not None}
    limits = Limits(runs_per_job=runs_per_job, max_array_size=max_array_size, room=room)
    try:
        arrays = arrange([*parents, *wanted], {}, limits)
    except UserError:
        # one job for the dense trainings, one for their dependants, one for the rest always suffice
        assert room is not None
        assert room < 3
        return
    placed = [run.id for array in arrays for element in array.elements for run in element]
    assert sorted(placed) == sorted(run.id for run in {*parents, *wanted})
    assert all(len(array.elements) <= max_array_size for array in arrays)
    assert room is None or sum(len(array.elements) for array in arrays) <= room
    for number, array in enumerate(arrays):
        for run in (run for element in array.elements for run in element):
            if run.parent is None:
                assert array.after is None
            else:
                assert isinstance(array.after, Place)
                assert array.after.array < number
                assert run.parent in arrays[array.after.array].elements[array.after.element]
