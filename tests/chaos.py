"""Computes a small study again and again while faults are injected, and compares with an undisturbed computation.

    python tests/chaos.py --seed 3 --rounds 20

Each round has a results folder of its own, in which some faults are played one after the other: `chaos_processes` on a
command at work, `chaos_files` mostly on the files when none is. After faults on files and at the end of the round one
plain command must complete the study; then every stored field but times and provenance, and every mask and weight, must
be what they are without faults, and no file may be left that the run has no use for. No command may hang or print a
traceback. Prints what was played as a table, and ends with exit code 1 at the first difference. Everything follows from
the seed and the number of the round but the moments, which depend on how fast the machine is.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from chaos_files import FILE_FAULTS
from chaos_processes import PROCESS_FAULTS
from chaos_round import STUDY, Difference, Fault, Round
from safetensors import safe_open

DISK_BYTES = 4 << 20
FAULTS = (*PROCESS_FAULTS, *FILE_FAULTS)
STAYS = ("run.json", "attempts", "history.jsonl", "result.json", "masks.safetensors", "model.safetensors", "log.txt")

Played = Counter[tuple[str, str]]
"""Counts, by the name of a fault and the way in which it was injected."""


def play(state: Round, faults: Sequence[Fault], wanted: dict[str, Any]) -> Played:
    """Inject the faults one after the other, complete the study and compare. Returns how often each was injected."""
    played: Played = Counter()
    for fault in faults:
        if fault.is_between:
            played += count(fault, fault.play(state))
            # Damage to one file is often followed by damage to the next.
            if state.chance.random() < 0.5:
                check(state, wanted)
            continue
        if state.is_complete():
            check(state, wanted)
            state.reopen()
        state.start()
        played += count(fault, fault.play(state))
        state.finish()
    check(state, wanted)
    return played


def count(fault: Fault, way: str) -> Played:
    return Counter({(fault.name, way): 1} if way else {})


def check(state: Round, wanted: dict[str, Any]) -> None:
    """One plain command completes the study, and all is as without faults."""
    state.complete()
    compare(stored(state.results), wanted)


def stored(results: Path) -> dict[str, Any]:
    """What must not depend on faults: all fields but times and provenance, the bytes of masks and weights, and which
    files there are."""
    found: dict[str, Any] = {}
    for path in sorted(results.rglob("result.json")):
        name = path.parent.name
        result = json.loads(path.read_text(encoding="utf-8"))
        del result["provenance"], result["cost"]["resumed"], result["cost"]["peak_memory_bytes"]
        found[f"{name}/result"] = without_times(result)
        history = (path.parent / "history.jsonl").read_text(encoding="utf-8").splitlines()
        found[f"{name}/history"] = [without_times(json.loads(line)) for line in history]
        for other in path.parent.glob("*.safetensors"):
            found[f"{name}/{other.name}"] = tensors(other)
        found[f"{name}/left"] = [other.name for other in path.parent.iterdir() if is_left(other.name)]
    return found


def is_left(name: str) -> bool:
    """Whether a file is of no use once the result of its run is there. A claim that was moved is left for a minute."""
    return name not in STAYS and ".damaged" not in name and not name.startswith(".claim.")


def tensors(path: Path) -> dict[str, Any]:
    """Metadata and the bytes of each tensor; the order in which the file has them is a matter of chance."""
    with safe_open(path, framework="np") as file:
        return {"metadata": file.metadata(), **{name: file.get_tensor(name).tobytes() for name in file.keys()}}  # noqa: SIM118


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_times(each) for key, each in value.items() if not key.endswith("seconds")}
    return value


def compare(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Raises Difference that names the first field that differs."""
    if found.keys() != wanted.keys():
        raise Difference(f"stored are {sorted(found)}, not {sorted(wanted)}")
    for name, value in wanted.items():
        if found[name] != value:
            fields = [key for key in value if found[name].get(key) != value[key]] if isinstance(value, dict) else []
            raise Difference(f"{name} differs {fields or found[name]}")


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """Mount a file system of a few MiB on the folder, if this process may. Returns whether it did."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    is_mounted = os.geteuid() == 0 and subprocess.run(command, capture_output=True, check=False).returncode == 0
    try:
        yield is_mounted
    finally:
        if is_mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def make_folder(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "study.yaml").write_text(STUDY, encoding="utf-8")
    return folder


def undisturbed(folder: Path) -> Path:
    """The folder of the study, computed without faults."""
    state = Round(make_folder(folder), random.Random(0))
    try:
        state.complete()
    finally:
        state.kill_all()
    return folder


def play_round(folder: Path, chance: random.Random, begin: Path, faults: Sequence[Fault]) -> Played:
    """One round: play the faults on a new results folder and compare. Raises Difference.

    `begin` is the folder of the undisturbed study, whose results every second round has from the start.
    """
    wanted = stored(begin / "results")
    make_folder(folder)
    with small_disk(folder / "results") as is_disk_small:
        if chance.random() < 0.5:
            shutil.copytree(begin / "results", folder / "results", dirs_exist_ok=True)
        state = Round(folder, chance, is_disk_small=is_disk_small)
        try:
            return play(state, faults, wanted)
        except Difference:
            # Unmounting the small disk removes its content.
            shutil.copytree(folder / "results", folder / "results-kept", dirs_exist_ok=True)
            raise
        finally:
            state.kill_all()


def markdown(played: Played) -> str:
    """The table of docs/faults.md."""
    lines = ["| Fault | Played | What the suite promises |", "|---|---|---|"]
    for fault in FAULTS:
        ways = sorted((way, number) for (name, way), number in played.items() if name == fault.name)
        told = ", ".join(f"{way} {number}" for way, number in ways)
        total = sum(number for _, number in ways)
        lines.append(f"| {fault.name} | {total}{f' ({told})' if len(ways) > 1 else ''} | {fault.promise} |")
    return "\n".join(lines)


def read_counts(path: Path | None) -> Played:
    """The faults that earlier calls injected."""
    if path is None or not path.exists():
        return Counter()
    return Counter({(name, way): number for name, way, number in json.loads(path.read_text(encoding="utf-8"))})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--faults", type=int, default=4, help="in each round")
    parser.add_argument("--first", type=int, default=0, help="number of the first round, to repeat it")
    parser.add_argument("--only", default="", help="faults whose name has this in it")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no round after so many")
    parser.add_argument("--counts", type=Path, help="add what was played to this file, and print the sum")
    arguments = parser.parse_args()
    # So that the running command is ended and the small disk unmounted.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    end = time.monotonic() + 60 * arguments.minutes
    choice = [fault for fault in FAULTS if arguments.only in fault.name]
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    begin = undisturbed(folder / "undisturbed")
    total, num_rounds = read_counts(arguments.counts), 0
    for number in range(arguments.first, arguments.first + arguments.rounds):
        if time.monotonic() > end:
            break
        chance = random.Random(f"{arguments.seed} {number}")
        faults = [chance.choice(choice) for _ in range(arguments.faults)]
        print(f"round {number}: {', '.join(fault.name for fault in faults)}", flush=True)
        try:
            total += play_round(folder / f"round-{number}", chance, begin, faults)
        except Difference as error:
            sys.exit(f"seed {arguments.seed}, round {number} in {folder}: {error}")
        num_rounds += 1
        shutil.rmtree(folder / f"round-{number}")
        if arguments.counts is not None:
            content = [[*key, value] for key, value in sorted(total.items())]
            arguments.counts.write_text(json.dumps(content), encoding="utf-8")
    shutil.rmtree(folder)
    print(f"{markdown(total)}\n\n{num_rounds} rounds: every result is as without faults")
    if os.geteuid() != 0:
        print("not played: full disks, which take root to mount one")


if __name__ == "__main__":
    main()
