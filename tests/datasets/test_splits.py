"""Splits: what a batch holds, in which order, and where its random numbers come from."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from prunebench.benchmark.api.data import shares
from prunebench.benchmark.api.errors import UserError
from prunebench.datasets.parts import in_memory_split as resident
from prunebench.datasets.parts.in_memory_split import ResidentSplit, all_crops, crop_and_flip, draw, pad
from prunebench.datasets.parts.info import Augmentation, Normalisation
from prunebench.datasets.parts.stratify import allocate, choose, choose_groups
from torch import Tensor
from torchvision.transforms import Compose, Normalize, ToPILImage, ToTensor, v2
from torchvision.transforms.v2 import functional as transforms

CPU = torch.device("cpu")
CROPS = Augmentation(padding=4)
CIFAR = Normalisation(mean=(0.4914, 0.4822, 0.4465), std=(0.2023, 0.1994, 0.2010))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int, size: int = 32) -> Tensor:
    return torch.randint(256, (count, 3, size, size), dtype=torch.uint8, generator=generator(5))


def numbered(count: int) -> ResidentSplit:
    """Sample i and its target are the number i."""
    return ResidentSplit(torch.arange(count, dtype=torch.float32).view(-1, 1), torch.arange(count))


def colourful(count: int, augmentation: Augmentation | None = CROPS, size: int = 32) -> ResidentSplit:
    return ResidentSplit(images(count, size), torch.arange(count), normalisation=CIFAR, augmentation=augmentation)


def collect(split: ResidentSplit, batch_size: int, **options: object) -> tuple[Tensor, Tensor]:
    inputs, targets = zip(*split.batches(batch_size, device=CPU, **options), strict=True)  # type: ignore[arg-type]
    return torch.cat(inputs), torch.cat(targets)


def test_file_order_without_a_generator() -> None:
    batches = [targets.tolist() for _, targets in numbered(5).batches(2, device=CPU)]
    assert batches == [[0, 1], [2, 3], [4]]


def test_drop_last_leaves_out_the_rest() -> None:
    assert [len(targets) for _, targets in numbered(5).batches(2, device=CPU, drop_last=True)] == [2, 2]


def test_shuffled_pass_is_the_generator_s_permutation() -> None:
    inputs, targets = collect(numbered(50), 7, order=generator(3))
    assert torch.equal(targets, torch.randperm(50, generator=generator(3)))
    assert torch.equal(inputs.flatten(), targets.float())


def test_same_state_gives_the_same_augmented_batches_and_another_state_others() -> None:
    split = colourful(40)
    first, again = (collect(split, 16, order=generator(1), augment=True) for _ in range(2))
    other = collect(split, 16, order=generator(2), augment=True)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])


def test_state_after_a_pass_does_not_depend_on_how_much_of_it_was_taken() -> None:
    split = colourful(40)
    whole, abandoned = generator(1), generator(1)
    collect(split, 16, order=whole, augment=True)
    split.batches(16, device=CPU, order=abandoned, augment=True)
    assert torch.equal(whole.get_state(), abandoned.get_state())


def test_a_pass_leaves_the_global_random_state_alone() -> None:
    before = torch.get_rng_state()
    collect(colourful(20), 8, order=generator(), augment=True)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("augment", [False, True])
def test_ranks_share_each_global_batch(augment: bool) -> None:
    split = colourful(42)
    alone = [*split.batches(12, device=CPU, order=generator(4), augment=augment)]
    ranks = [
        [*split.batches(12, device=CPU, order=generator(4), augment=augment, rank=rank, world=3)] for rank in range(3)
    ]
    assert len(alone) == 4
    for step, (inputs, targets) in enumerate(alone):
        assert torch.equal(inputs, torch.cat([batches[step][0] for batches in ranks]))
        assert torch.equal(targets, torch.cat([batches[step][1] for batches in ranks]))


def test_shares_of_a_short_last_batch_differ_by_one_at_most() -> None:
    assert [[*shares(10, 8, False, rank, 4)][1] for rank in range(4)] == [(8, 8), (8, 9), (9, 9), (9, 10)]


@pytest.mark.parametrize("limit", [0, resident.NORMALISED_BYTES], ids=["by batch", "once"])
def test_normalised_images_are_bit_equal_to_torchvision(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resident, "NORMALISED_BYTES", limit)
    pipeline = Compose([ToPILImage(), ToTensor(), Normalize(mean=[*CIFAR.mean], std=[*CIFAR.std])])
    expected = torch.stack([pipeline(image) for image in images(6)])
    assert torch.equal(collect(colourful(6), 4)[0], expected)
    assert torch.equal(colourful(6).sample(torch.tensor([5, 0]), device=CPU)[0], expected[[5, 0]])


@pytest.mark.parametrize("mode", ["reflect", "constant"])
def test_crops_and_flips_are_those_of_torchvision_for_the_same_draws(mode: str) -> None:
    augmentation = Augmentation(padding=2, padding_mode=mode)  # type: ignore[arg-type]
    pictures = images(64, size=8)
    down, right, flipped = draw(64, augmentation, generator(9))
    got = crop_and_flip(all_crops(pad(pictures, augmentation), 8, 8), torch.arange(64), down, right, flipped)
    for index, picture in enumerate(pictures):
        padded = transforms.pad(picture, [2, 2, 2, 2], padding_mode=mode)
        expected = transforms.crop(padded, int(down[index]), int(right[index]), 8, 8)
        expected = transforms.horizontal_flip(expected) if flipped[index] else expected
        assert torch.equal(got[index], expected)
    assert {0, 1} == set(flipped.tolist())


def test_draws_cover_all_offsets_evenly() -> None:
    down, right, flipped = draw(90_000, CROPS, generator(0))
    for offsets in (down, right):
        shares_of_offsets = offsets.bincount(minlength=9) / 90_000
        assert len(shares_of_offsets) == 9
        assert (shares_of_offsets - 1 / 9).abs().max() < 0.005  # about 5 standard deviations
    assert abs(flipped.float().mean() - 0.5) < 0.009
    assert abs(torch.corrcoef(torch.stack([down, right, flipped]).float()).triu(1)).max() < 0.02


def test_crops_without_flips() -> None:
    assert not draw(100, Augmentation(padding=4, flips=False), generator())[2].any()


def test_augmented_pixels_are_distributed_as_torchvision_s() -> None:
    """A ramp from left to right: its crops and flips have a known set of values in each place, equally often."""
    ramp = torch.arange(8, dtype=torch.uint8).repeat(4000, 3, 8, 1)
    split = ResidentSplit(
        ramp,
        torch.zeros(4000, dtype=torch.int64),
        normalisation=Normalisation(mean=(0.0,) * 3, std=(1.0,) * 3, maximum=1.0),
        augmentation=Augmentation(padding=2),
    )
    ours = collect(split, 1000, order=generator(1), augment=True)[0][:, 0, 0, 0].long().bincount(minlength=8)
    pipeline = v2.Compose([v2.RandomCrop(8, padding=2, padding_mode="reflect"), v2.RandomHorizontalFlip()])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = torch.stack([pipeline(ramp[0])[0, 0, 0] for _ in range(4000)]).long().bincount(minlength=8)
    assert (ours.gt(0) == theirs.gt(0)).all()
    assert ((ours - theirs).abs() / 4000).max() < 0.06  # about 5 standard deviations of a difference


def test_without_augmentation_of_the_split_augment_changes_nothing() -> None:
    split = colourful(20, augmentation=None)
    plain, augmented = (collect(split, 8, order=generator(), augment=augment)[0] for augment in (False, True))
    assert torch.equal(plain, augmented)


def test_sample_is_never_augmented() -> None:
    split = colourful(20)
    expected = collect(split, 20)[0]
    assert torch.equal(split.sample(torch.arange(20), device=CPU)[0], expected)


@pytest.mark.parametrize("limit", [0, resident.NORMALISED_BYTES], ids=["by batch", "once"])
@pytest.mark.parametrize("make", [numbered, colourful])
def test_a_network_that_works_in_place_cannot_change_the_data(
    make: Callable[[int], ResidentSplit], limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resident, "NORMALISED_BYTES", limit)
    split, untouched = make(4), collect(make(4), 4)[0]
    sampled = split.sample(torch.arange(4), device=CPU)
    for inputs, targets in [*split.batches(2, device=CPU), *split.batches(2, device=CPU, order=generator()), sampled]:
        inputs.zero_()
        targets.zero_()
    assert torch.equal(collect(split, 4)[0], untouched)
    assert split.targets.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0"),
        ({"batch_size": 8, "drop_last": True}, "batch_size 8 is larger than the split of 5"),
        ({"batch_size": 5, "world": 2}, "batch_size 5 cannot be shared equally by 2"),
    ],
)
def test_impossible_batching_is_refused_before_the_first_batch(options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        numbered(5).batches(device=CPU, **options)


@pytest.mark.parametrize("limit", [0, 40, 2**20], ids=["one by one", "two", "all"])
@pytest.mark.parametrize("world", [1, 2])
def test_batches_are_the_same_however_many_are_gathered_at_once(
    limit: int, world: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resident, "GATHERED_BYTES", limit)
    order = torch.randperm(25, generator=torch.Generator().manual_seed(7))
    for rank in range(world):
        found = numbered(25).batches(4, device=CPU, order=torch.Generator().manual_seed(7), rank=rank, world=world)
        expected = [order[start:stop] for start, stop in shares(25, 4, False, rank, world)]
        for (inputs, targets), numbers in zip(found, expected, strict=True):
            assert targets.tolist() == inputs.flatten().tolist() == numbers.tolist()


def test_nothing_makes_no_batches() -> None:
    assert list(numbered(0).batches(4, device=CPU, order=torch.Generator())) == []


def test_augmenting_needs_a_generator() -> None:
    with pytest.raises(ValueError, match="generator"):
        colourful(5).batches(2, device=CPU, augment=True)


def test_allocation_by_hand() -> None:
    # quotas 5.5, 3.3, 1.1, 0.1: floors 5, 3, 1 and at least 1, which adds up to the 10 wanted
    assert allocate_within([55, 33, 11, 1], 10).tolist() == [5, 3, 1, 1]
    # quotas 3.33, 3.33, 3.33: the remaining one goes to the lowest class
    assert allocate_within([7, 7, 7], 10).tolist() == [4, 3, 3]


def allocate_within(sizes: list[int], total: int) -> np.ndarray:
    return allocate(np.array(sizes), total, np.array(sizes))


@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=8).flatmap(
        lambda counts: st.tuples(st.just(counts), st.integers(len(counts), sum(counts)))
    )
)
def test_allocation_adds_up_within_its_bounds(drawn: tuple[list[int], int]) -> None:
    counts, total = drawn
    allocated = allocate_within(counts, total)
    assert allocated.sum() == total
    assert (allocated >= 1).all()
    assert (allocated <= counts).all()


def test_choice_is_stratified_disjoint_fixed_and_nested() -> None:
    targets = np.repeat(np.arange(4), [40, 30, 20, 10])
    chosen, rest = choose(targets, 20, seed=1, keep_rest=True)
    assert np.bincount(targets[chosen]).tolist() == [8, 6, 4, 2]
    assert np.array_equal(np.sort(np.concatenate([chosen, rest])), np.arange(100))
    assert np.array_equal(chosen, choose(targets, 20, seed=1, keep_rest=True)[0])
    assert not np.array_equal(chosen, choose(targets, 20, seed=2, keep_rest=True)[0])
    assert set(chosen) <= set(choose(targets, 40, seed=1, keep_rest=True)[0])
    # written out, to notice a version of numpy that draws other numbers: results would not be comparable
    assert chosen[:8].tolist() == [2, 3, 21, 22, 27, 29, 31, 39]


def test_a_class_of_one_sample_cannot_be_held_out() -> None:
    with pytest.raises(UserError, match="the rarest has 1"):
        choose(np.array([0, 0, 0, 1]), 2, seed=0, keep_rest=True)


def test_groups_are_held_out_whole() -> None:
    groups = np.repeat(np.arange(10, 20), 7)
    chosen, rest = choose_groups(groups, 0.2, seed=1)
    assert len(chosen) == 14
    assert not set(groups[chosen]) & set(groups[rest])
    assert len(choose_groups(groups, 0.001, seed=1)[0]) == 7
    with pytest.raises(UserError, match="all 10 groups"):
        choose_groups(groups, 0.99, seed=1)
