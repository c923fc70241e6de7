"""Jobs other than one run each: several runs, code changed before the start, a bad set-up, a result seen late."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from cluster import Place

FROM_INIT = """\
name: NAME
dataset: {name: digits, options: {limit: 200}}
model: convnet-small
seeds: [0]
train: {epochs: EPOCHS, batch_size: 50, lr: 0.05}
runs:
  - method: slow_mp
    sparsity: [50%]
    options: {start: init}
"""
DEADLY = """\
  - method: deadly_mp
    sparsity: [50%]
    options: {start: init}
"""


@dataclass(frozen=True)
class Jobs:
    packed: Place
    changed: Place
    unprepared: Place


def start(folder: Path) -> Jobs:
    return Jobs(submit_packed(folder), submit_and_change(folder), submit_unprepared(folder))


def submit_packed(folder: Path) -> Place:
    study = FROM_INIT.replace("NAME", "packed").replace("EPOCHS", "15") + DEADLY
    place = Place(folder / "packed", sparsities="[50%, 70%]", study=study)
    place.submit(runs_per_job=3, gpus_per_run=1, environment={"SLOW_SECONDS": "1"})
    return place


def submit_and_change(folder: Path) -> Place:
    plugin = folder / "edited.py"
    shutil.copy(Path(__file__).with_name("edited.py"), plugin)
    study = FROM_INIT.replace("NAME", "changed").replace("EPOCHS", "1").replace("slow_mp", "edited_mp")
    place = Place(folder / "changed", sparsities="[50%]", study=study, plugin=plugin)
    place.submit(sbatch={"hold": True})
    with plugin.open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    subprocess.run(["scontrol", "release", place.state(place.runs[0]).job], check=True)
    return place


def submit_unprepared(folder: Path) -> Place:
    study = FROM_INIT.replace("NAME", "unprepared").replace("EPOCHS", "1")
    place = Place(folder / "unprepared", sparsities="[50%]", study=study)
    place.submit(modules=["no/such/module"])
    return place
