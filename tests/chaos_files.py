"""Faults of `chaos.py` for files: each file that the suite keeps, damaged in each way, between commands and under one.

Descriptions and attempts are read for runs that are to be computed only: those are damaged where no result is.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from chaos_processes import RANDOM_MOMENT
from chaos_round import Difference, Fault, Round
from chaos_ways import (
    BYTES,
    JSON,
    OTHER,
    TENSORS,
    Way,
    damage,
    delete,
    made,
    name_another_run,
    put_folder,
    take_of_another_run,
    tear_last_line,
)
from prunebench.benchmark.api.errors import Damaged
from prunebench.benchmark.runs.artifacts import load_masks, load_weights
from prunebench.benchmark.runs.files import read_json, write_json
from prunebench.benchmark.runs.run_folder import RunFolder


def damage_result(state: Round) -> str:
    state.need_results()
    folder = state.chance.choice(state.run_folders(stored=True))
    return damage(state, folder / "result.json", {**JSON, **OTHER})


def damage_tensors(state: Round, path: Path, ways: Mapping[str, Way] = TENSORS) -> str:
    """Damage weights or masks beside their result, and see that they are refused."""
    facts = read_json(path.parent / "result.json")["files"][path.name]
    way = damage(state, path, ways)
    if not way:
        return way
    load = load_masks if path.name.startswith("masks") else load_weights
    try:
        load(path, facts)
    except Damaged:
        return way
    raise Difference(f"{path} was loaded in spite of damage ({way})")


def damage_dense_weights(state: Round) -> str:
    """Weights of a dense training that another run will start from."""
    state.complete()
    (path,) = state.results.glob("dense/*/result.json")
    way = damage_tensors(state, path.with_name("model.safetensors"))
    if state.chance.random() < 0.5:
        state.remove_results_that_start_from_dense()
    return way


def damage_masks(state: Round) -> str:
    """Masks or weights beside their result, which stays."""
    state.complete()
    path = state.chance.choice(sorted(state.results.rglob("masks.safetensors")))
    return damage_tensors(state, path, {**TENSORS, "another run's": take_of_another_run, "a folder": put_folder})


def damage_stored_history(state: Round) -> str:
    """The epochs of a run that has a result."""
    state.complete()
    path = state.chance.choice(state.run_folders()) / "history.jsonl"
    return damage(state, path, {**BYTES, **OTHER, "torn": tear_last_line})


def damage_description(state: Round) -> str:
    path = state.need_unfinished() / "run.json"
    return damage(state, path, {**JSON, **OTHER} if path.exists() else made(JSON))


def damage_attempts(state: Round) -> str:
    """The last record of a run that has no result, or all of them."""
    folder = state.need_unfinished() / "attempts"
    records = sorted(folder.glob("[0-9]*.json"))
    if not records:
        return ""
    if state.chance.random() < 0.2:
        shutil.rmtree(folder)
        return "all deleted"
    return damage(state, records[-1], {**JSON, "deleted": delete})


def damage_history(state: Round) -> str:
    path = state.need_unfinished() / "history.jsonl"
    ways = {**JSON, **OTHER, "torn": tear_last_line}
    return damage(state, path, ways if path.exists() else made(JSON))


def damage_checkpoint(state: Round) -> str:
    return damage(state, state.need_checkpoint(), {**BYTES, "another run's": name_another_run, "deleted": delete})


def damage_claim(state: Round) -> str:
    """A damaged claim of a run that nobody computes: for some seconds nobody can tell."""
    return damage(state, state.need_unfinished() / "claim.json", made(JSON))


def damage_wish(state: Round) -> str:
    """A request to compute a stored run again."""
    state.need_results()
    folder = state.chance.choice(state.run_folders(stored=True))
    if state.chance.random() < 0.3:
        write_json(folder / "recompute.json", {"finished": 1.0, "asked": 2.0})
        return "of another result"
    return damage(state, folder / "recompute.json", made(JSON))


def damage_known_digests(state: Round) -> str:
    """Of dense trainings, or of the study's runs. Only files older than two seconds are in this cache."""
    state.complete()
    time.sleep(2.1)
    state.complete()
    caches = sorted(state.results.rglob(".*.digests"))
    if len(caches) != 2:
        raise Difference(f"{state.results}: the caches of digests are {caches}")
    way = damage(state, state.chance.choice(caches), {**JSON, "deleted": delete, "a folder": put_folder})
    if state.chance.random() < 0.5:
        (state.chance.choice(state.run_folders()) / "result.json").unlink()
    return way


def leave_temporary_files(state: Round) -> str:
    """Old temporary files, as killed writers leave them."""
    state.need_results()
    for folder in state.run_folders():
        names = ("result.json", "checkpoint.pt", "masks.safetensors", "clock", "claim", "attempts/0001.json")
        for name in state.chance.sample(names, 3):
            path = (folder / name).parent / f".{Path(name).name}.x1y2"
            path.write_bytes(state.chance.randbytes(state.chance.choice((0, 100))))
            os.utime(path, (1e9, 1e9))
    return "left"


def damage_under_command(state: Round) -> str:
    """Any file of one run."""
    state.sleep(RANDOM_MOMENT)
    paths = [path for folder in state.run_folders() for path in folder.rglob("[!.]*.*") if ".damaged" not in path.name]
    if not paths or not state.is_at_work():
        return ""
    path = state.chance.choice(sorted(paths))
    ways = TENSORS if path.suffix == ".safetensors" else {**JSON, **OTHER}
    with contextlib.suppress(FileNotFoundError):
        damage(state, path, {name: way for name, way in ways.items() if name != "other tensors"})
    return "attempt" if path.parent.name == "attempts" else path.name


def recompute(state: Round) -> str:
    """Some results are of older code; `run --recompute` is killed while it computes them again."""
    state.complete()
    for folder in state.chance.sample(state.run_folders(), state.chance.randint(1, len(state.run_folders()))):
        result = RunFolder(folder).read_result()
        assert result is not None
        result["provenance"]["code"]["method"] = "older"
        write_json(folder / "result.json", result)
    state.start("--recompute")
    state.sleep(RANDOM_MOMENT)
    was_at_work = state.is_at_work()
    state.kill_all()
    state.finish()
    return "killed" if was_at_work else "ended"


ASIDE = "is set aside under another name and reported in one line"
BETWEEN: tuple[tuple[str, Callable[[Round], str], str], ...] = (
    ("`result.json`", damage_result, f"{ASIDE}; the run is computed anew"),
    (
        "dense weights",
        damage_dense_weights,
        f"are refused by their SHA-256; the damaged file {ASIDE}, and the run is computed first",
    ),
    ("masks", damage_masks, f"are refused by their SHA-256; the damaged file {ASIDE}; the run is computed anew"),
    ("stored `history.jsonl`", damage_stored_history, f"{ASIDE}; the run is computed anew"),
    ("`run.json`", damage_description, f"of an unfinished run: {ASIDE}, and written anew"),
    ("attempts", damage_attempts, "count as interrupted; the run is computed"),
    ("`history.jsonl`", damage_history, "is written anew from the checkpoint"),
    ("`checkpoint.pt`", damage_checkpoint, f"{ASIDE}; the run begins anew"),
    ("`claim.json`", damage_claim, "is dead after five seconds; the run is computed"),
    (
        "`recompute.json`",
        damage_wish,
        "still counts as a request, unless it names another result; the run is computed anew",
    ),
    ("caches of digests", damage_known_digests, "are not read, and are written anew"),
    ("temporary files", leave_temporary_files, "are removed"),
    (
        "killed `run --recompute`",
        recompute,
        "leaves the old results until the new ones are there; a plain run continues",
    ),
)
FILE_FAULTS = (
    *(Fault(name, play, promise, is_between=True) for name, play, promise in BETWEEN),
    Fault("any file under a command", damage_under_command, "the command or the next run computes what was lost"),
)
