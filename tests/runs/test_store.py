"""The store under torn writes, foreign versions and killed writers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from prunebench.benchmark.api.errors import Damaged, UserError
from prunebench.benchmark.runs.artifacts import (
    load_checkpoint,
    load_masks,
    load_weights,
    save_checkpoint,
    save_masks,
    save_weights,
)
from prunebench.benchmark.runs.claim import Claim, ClaimLost, holder
from prunebench.benchmark.runs.files import read_json, write_atomically, write_json
from prunebench.benchmark.runs.run import Recipe, Run
from prunebench.benchmark.runs.store import Store

RUN = Run(dataset="digits", model="convnet-small", method="snip", seed=0, recipe=Recipe(epochs=1), sparsity=0.5)


def test_dense_runs_are_shared_by_studies_and_others_are_not(tmp_path: Path) -> None:
    store = Store(tmp_path)
    dense = Run(dataset="digits", model="convnet-small", method="dense", seed=0, recipe=Recipe(epochs=1))
    assert store.folder("a", dense) == store.folder("b", dense)
    assert store.folder("a", RUN) != store.folder("b", RUN)


def test_a_writer_that_is_killed_leaves_the_old_file(tmp_path: Path) -> None:
    """The writer is stopped between writing and renaming, where a plain write would have torn the file."""
    target = tmp_path / "result.json"
    write_json(target, {"old": True})
    script = (
        "import os, pathlib\n"
        "from prunebench.benchmark.runs import files\n"
        "os.fsync = lambda handle: os.kill(os.getpid(), 9)\n"
        f"files.write_json(pathlib.Path({str(target)!r}), {{'new': 'x' * 100000}})\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode == -9
    assert read_json(target) == {"old": True}
    write_json(target, {"new": True})
    assert read_json(target) == {"new": True}


def test_a_failed_write_leaves_no_litter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(tmp_path / "a", "text")
    assert list(tmp_path.iterdir()) == []


def test_a_result_of_another_version_is_refused_by_name(tmp_path: Path) -> None:
    folder = Store(tmp_path).folder("a", RUN)
    write_json(folder.result_path, {"schema": 99})
    with pytest.raises(UserError, match=r"result\.json has result format 99, this version reads 1"):
        folder.read_result()


def test_a_broken_result_is_named(tmp_path: Path) -> None:
    folder = Store(tmp_path).folder("a", RUN)
    write_atomically(folder.result_path, "{half")
    with pytest.raises(Damaged, match=r"result\.json is damaged: not valid JSON"):
        folder.read_result()


def test_a_folder_of_another_run_is_refused(tmp_path: Path) -> None:
    folder = Store(tmp_path).folder("a", RUN)
    folder.create(RUN)
    content = read_json(folder.path / "run.json")
    content["run"]["seed"] = 5
    write_json(folder.path / "run.json", content)
    with pytest.raises(UserError, match="describes another run"):
        folder.create(RUN)


def test_a_torn_last_line_of_the_history_is_left_out(tmp_path: Path) -> None:
    folder = Store(tmp_path).folder("a", RUN)
    records = [{"epoch": i, "density": 1.0, "validation_accuracy": None, "test_accuracy": 0.5} for i in range(2)]
    lines = "".join(json.dumps(record) + "\n" for record in records)
    for torn in ('{"epo', "\\udcff", "[]\n", '{"epoch": "two"}\n'):
        write_atomically(folder.history_path, (lines + torn).encode(errors="surrogateescape"))
        assert folder.history() == records


def test_status_tells_failed_interrupted_and_missing_apart(tmp_path: Path) -> None:
    folder = Store(tmp_path).folder("a", RUN)
    assert folder.status().state == "missing"
    folder.write_attempt(1, {"outcome": None})
    assert folder.status().state == "interrupted"
    folder.write_attempt(2, {"outcome": "failed", "reason": "Diverged: loss is nan", "retryable": False})
    assert (folder.status().state, folder.status().reason) == ("failed", "Diverged: loss is nan")
    folder.allow_retry()
    assert folder.status().state == "interrupted"
    write_json(folder.result_path, {"schema": 1})
    assert folder.status().state == "done"


def test_a_claim_keeps_others_out_until_it_is_released(tmp_path: Path) -> None:
    first = Claim.take(tmp_path)
    assert first is not None
    assert Claim.take(tmp_path) is None
    first.release()
    second = Claim.take(tmp_path)
    assert second is not None
    second.release()
    assert holder(tmp_path) is None


def test_the_claim_of_a_killed_process_is_taken_over_at_once(tmp_path: Path) -> None:
    script = (
        "import pathlib, time\nfrom prunebench.benchmark.runs.claim import Claim\n"
        f"Claim.take(pathlib.Path({str(tmp_path)!r}))\nprint('held', flush=True)\ntime.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    assert Claim.take(tmp_path) is None
    process.kill()
    process.wait()
    claim = Claim.take(tmp_path)
    assert claim is not None
    claim.release()


def test_a_silent_claim_of_another_machine_is_taken_over_and_its_owner_notices(tmp_path: Path) -> None:
    first = Claim.take(tmp_path)
    assert first is not None
    path = tmp_path / "claim.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "host": "elsewhere"}))
    assert Claim.take(tmp_path) is None
    old = time.time() - 1000
    os.utime(path, (old, old))
    second = Claim.take(tmp_path)
    assert second is not None
    with pytest.raises(ClaimLost):
        first.check()
    first.release()
    second.check()
    second.release()


def test_masks_are_stored_as_packed_bits(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    masks = {"a.weight": torch.rand(7, 3, 3, 3, generator=generator) > 0.5, "b": torch.zeros(5, dtype=torch.bool)}
    save_masks(tmp_path / "masks.safetensors", masks)
    loaded = load_masks(tmp_path / "masks.safetensors", None)
    assert all(torch.equal(loaded[name], mask) for name, mask in masks.items())
    assert (tmp_path / "masks.safetensors").stat().st_size < 400
    for index in range(8):
        save_masks(tmp_path / "again.safetensors", masks)
        again = (tmp_path / "again.safetensors").read_bytes()
        assert again == (tmp_path / "masks.safetensors").read_bytes(), f"equal masks, another file at try {index}"


def test_weights_round_trip_and_a_broken_file_is_named(tmp_path: Path) -> None:
    weights = {"w": torch.randn(3, 4).t(), "n": torch.tensor(3)}
    save_weights(tmp_path / "w.safetensors", weights)
    loaded = load_weights(tmp_path / "w.safetensors", None)
    assert torch.equal(loaded["w"], weights["w"])
    (tmp_path / "w.safetensors").write_bytes(b"broken")
    with pytest.raises(Damaged, match=r"w\.safetensors is damaged: it holds no weights"):
        load_weights(tmp_path / "w.safetensors", None)
    with pytest.raises(Damaged, match="it is missing"):
        load_masks(tmp_path / "none.safetensors", None)


def test_one_changed_bit_of_weights_or_masks_is_found(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    for save, load, content in (
        (save_weights, load_weights, {"w": torch.randn(30, 4)}),
        (save_masks, load_masks, {"w": torch.rand(30, 4) > 0.5}),
    ):
        facts = save(path, content)
        assert facts["bytes"] == path.stat().st_size
        assert torch.equal(load(path, facts)["w"], content["w"])
        changed = bytearray(path.read_bytes())
        changed[-2] ^= 1
        path.write_bytes(changed)
        load(path, None)
        with pytest.raises(Damaged, match="its SHA-256 is not the one in its result"):
            load(path, facts)


def test_checkpoints_never_run_code(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "good.pt", "a", {"tensor": torch.ones(2), "epoch": 3, "names": ["a"]})
    assert load_checkpoint(tmp_path / "good.pt", "a")["epoch"] == 3
    with pytest.raises(Damaged, match="no whole checkpoint of run b"):
        load_checkpoint(tmp_path / "good.pt", "b")
    marker = tmp_path / "ran"

    class Bomb:
        def __reduce__(self) -> tuple:
            return (os.mkdir, (str(marker),))

    # as someone who knows the format would write it
    save_checkpoint(tmp_path / "bad.pt", "a", {"bomb": Bomb()})
    with pytest.raises(Damaged, match="UnpicklingError"):
        load_checkpoint(tmp_path / "bad.pt", "a")
    assert not marker.exists()


def test_nothing_unpickles_code() -> None:
    """Lint for the whole project: no pickle.load, and torch.load only with weights_only."""
    root = Path(__file__).parents[2]
    for path in (p for folder in ("benchmark", "methods", "datasets", "slurm") for p in (root / folder).rglob("*.py")):
        for line in path.read_text(encoding="utf-8").splitlines():
            assert "pickle.load" not in line, path
            assert "torch.load(" not in line or "weights_only=True" in line, path
