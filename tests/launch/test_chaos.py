"""A short run of `chaos.py`: a killed worker, a full disk and damaged files change no number of a study."""

from __future__ import annotations

import random
from pathlib import Path

import chaos
import pytest
from chaos_round import NUM_RUNS

SEED = 1
"""With this number the round begins with stored results."""


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


def test_a_file_that_a_run_has_no_use_for_is_found() -> None:
    names = ("result.json", "history.new.jsonl", "claim.json", ".claim.x1y2", ".result.json.x1y2", "run.json.damaged-2")
    assert [name for name in names if chaos.is_left(name)] == ["history.new.jsonl", "claim.json", ".result.json.x1y2"]


def test_the_table_counts_by_fault_and_way() -> None:
    fault, other = chaos.FAULTS[0], chaos.FAULTS[1]
    played = chaos.count(fault, "cut") + chaos.count(fault, "cut") + chaos.count(fault, "list") + chaos.count(other, "")
    lines = chaos.markdown(played).splitlines()
    assert lines[2] == f"| {fault.name} | 3 (cut 2, list 1) | {fault.promise} |"
    assert lines[3] == f"| {other.name} | 0 | {other.promise} |"


def test_the_documented_table_has_every_fault_and_its_promise() -> None:
    text = (Path(__file__).parents[2] / "docs" / "faults.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| ")]
    assert [(row[0], row[2]) for row in rows[1:]] == [(fault.name, fault.promise) for fault in chaos.FAULTS]
    assert all(int(row[1].split()[0]) > 0 for row in rows[1:])


@pytest.mark.timeout(280)
def test_faults_change_no_result(tmp_path: Path) -> None:
    begin = chaos.undisturbed(tmp_path / "undisturbed")
    assert sum(name.endswith("/result") for name in chaos.stored(begin / "results")) == NUM_RUNS
    names = ("dense weights", "`result.json`", "temporary files", "full disk and killed worker", "`checkpoint.pt`")
    faults = [next(fault for fault in chaos.FAULTS if fault.name == name) for name in names]
    played = chaos.play_round(tmp_path / "disturbed", random.Random(SEED), begin, faults)
    # Whether a running command is disturbed before it ends depends on the machine.
    assert {name for name, _ in played} >= {*names} - {"full disk and killed worker"}, played
