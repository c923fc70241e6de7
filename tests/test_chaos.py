"""A short play of `chaos.py`: killed workers and a full disk, and the numbers of an undisturbed study."""

from __future__ import annotations

import random
from pathlib import Path

import chaos
import pytest


def test_a_difference_is_found(tmp_path: Path) -> None:
    wanted = {"a/result.json": {"accuracy": 0.5, "loss": 1.0}, "a/masks.safetensors": b"1"}
    chaos.compare(wanted, {**wanted})
    with pytest.raises(chaos.Difference, match=r"a/result.json differs \['loss'\]"):
        chaos.compare({**wanted, "a/result.json": {"accuracy": 0.5, "loss": 1.1}}, wanted)
    with pytest.raises(chaos.Difference, match="masks"):
        chaos.compare({**wanted, "a/masks.safetensors": b"2"}, wanted)
    with pytest.raises(chaos.Difference, match="stored are"):
        chaos.compare({}, wanted)


def test_times_are_left_out() -> None:
    assert chaos.without_times({"a": 1, "seconds": 2, "b": {"train_seconds": 3, "c": 4}}) == {"a": 1, "b": {"c": 4}}


@pytest.mark.timeout(280)
def test_faults_change_no_result(tmp_path: Path) -> None:
    wanted = chaos.undisturbed(tmp_path / "undisturbed")
    assert sum(name.endswith("result.json") for name in wanted) == 4
    faults = (chaos.fill_disk_and_kill_worker, chaos.tear_history, chaos.kill_idle_worker)
    played = chaos.play_round(tmp_path / "disturbed", random.Random(1), wanted, faults)
    assert sum(played.values()) >= 2, played
