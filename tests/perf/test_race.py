"""The script of the README's race: every way trains an epoch in its own process."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import time
from collections.abc import Callable

import pytest
import torch
from prunebench.benchmark.perf import race
from prunebench.benchmark.perf.side_by_side import OwnProcess


def make_counter() -> Callable[[], tuple[int, int]]:
    calls = itertools.count()
    return lambda: (os.getpid(), next(calls))


def make_failure() -> Callable[[], object]:
    return functools.partial(int, "seven")


def test_a_way_is_called_in_one_process_of_its_own() -> None:
    with OwnProcess(make_counter) as way:
        (first, once), (second, twice) = way(), way()
    assert (once, twice) == (0, 1)
    assert first == second != os.getpid()


def test_a_way_that_fails_is_no_time(capfd: pytest.CaptureFixture[str]) -> None:
    with OwnProcess(make_failure) as way, pytest.raises(EOFError):
        way()
    assert "invalid literal for int() with base 10: 'seven'" in capfd.readouterr().err


@pytest.mark.parametrize("way", ["ours", *race.PLAIN])
def test_every_way_of_the_race_computes_its_epoch(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stepped: list[int] = []
    step = torch.optim.SGD.step
    monkeypatch.setattr(torch.optim.SGD, "step", lambda self: (stepped.append(1), step(self))[1])
    (course,) = (course for course in race.COURSES if course.model == "lenet-300-100")
    epoch = race.Entry(way, course, 4 * course.batch_size, torch.get_num_threads(), "float32", "none")()
    begin = time.perf_counter()
    waited = epoch()
    assert len(stepped) == 4
    if way == "ours":
        assert isinstance(waited, float)
        assert 0 < waited < time.perf_counter() - begin


@pytest.mark.parametrize(("way", "is_rounded"), [("ours", False), ("tensors", True)])
def test_only_the_suite_computes_in_the_precision_that_is_asked_for(
    way: str, is_rounded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)  # torch's default
    race.Entry(way, race.COURSES[0], 256, torch.get_num_threads(), "float32", "none")()
    assert torch.backends.cudnn.allow_tf32 == is_rounded


def test_a_row_compares_the_medians(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_process(make: object) -> contextlib.nullcontext[Callable[[], float]]:
        """The first epoch waits a second for its batches, later ones 0.03."""
        waits = iter([1.0, 0.03, 0.02, 0.04])
        return contextlib.nullcontext(lambda: next(waits))

    seconds = {"ours": 2.0, "transforms": 8.0, "masked layers": 10.0}

    def medians(ways: dict[str, Callable[[], object]], repeats: int, warmup: int) -> dict[str, float]:
        assert set(ways) == set(seconds)
        for way in ways.values():
            for _ in range(warmup + repeats):
                way()
        return seconds

    monkeypatch.setattr(race, "OwnProcess", no_process)
    monkeypatch.setattr(race, "median_seconds", medians)
    course = race.Course("resnet-20", (3, 32, 32), 128, augments=True, share=0.2)
    row = race.race(course, samples=5000, repeats=3, threads=1, precision="float32", compile="none")
    title = "resnet-20, 3 x 32 x 32, crops and flips, batch 128"
    assert row == [title, "448", "112", "4.00x", "90", "5.00x", "–", "–", "1.5%"]
