"""Who holds a run when pids and clocks mislead: containers with one host name, clocks that differ, full disks."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prunebench.benchmark.launch.attempt import attempt
from prunebench.benchmark.runs.claim import STALE_SECONDS, Claim, ClaimLost, describe, holder, how_to_end
from prunebench.benchmark.runs.run import Recipe, Run
from prunebench.benchmark.runs.settings import Settings
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.training.harness import Watch

TAKE = """\
import pathlib, sys
from prunebench.benchmark.runs.claim import Claim
claim = Claim.take(pathlib.Path(sys.argv[1]))
print("held" if claim else "busy", flush=True)
sys.stdin.read()
"""
CONTAINERS = {
    "own proc": ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"],
    "proc of the host": ["unshare", "--pid", "--fork", "--kill-child"],
}


@pytest.fixture(params=CONTAINERS)
def container(request: pytest.FixtureRequest) -> list[str]:
    """Runs a command in a new pid namespace, under this machine's name."""
    command = CONTAINERS[request.param]
    if shutil.which("unshare") is None or subprocess.run([*command, "true"], check=False).returncode:
        pytest.skip("to make a namespace of pids takes root")
    return command


def take_in(container: list[str], folder: Path) -> Iterator[str]:
    """Yields whether a process in the container got the claim, which it holds until this generator is closed."""
    command = [*container, sys.executable, "-c", TAKE, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def test_containers_with_one_host_name_do_not_take_runs_from_each_other(container: list[str], tmp_path: Path) -> None:
    """A pid of one container is missing in the other, or is another process there. A silent claim is taken over."""
    inside = take_in(container, tmp_path)
    assert next(inside) == "held"
    assert Claim.take(tmp_path) is None
    other = take_in(container, tmp_path)
    assert next(other) == "busy"
    inside.close()
    other.close()
    long_ago = time.time() - STALE_SECONDS - 1.0
    os.utime(tmp_path / "claim.json", (long_ago, long_ago))
    claim = Claim.take(tmp_path)
    assert claim is not None
    other = take_in(container, tmp_path)
    assert next(other) == "busy"
    other.close()
    claim.release()


def test_a_process_that_lost_its_run_does_not_renew_the_new_claim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its heartbeat runs until it notices, and must not renew the claim of the new holder, which may have died."""
    monkeypatch.setattr("prunebench.benchmark.runs.claim.HEARTBEAT_SECONDS", 0.02)
    claim = Claim.take(tmp_path)
    assert claim is not None
    path = tmp_path / "claim.json"
    os.utime(path, (1.0, 1.0))
    end = time.monotonic() + 10.0
    while path.stat().st_mtime == 1.0:
        assert time.monotonic() < end, "no heartbeat"
    other = tmp_path / "other"
    other.write_text('{"token": "of another process"}', encoding="utf-8")
    other.replace(path)
    time.sleep(0.1)
    os.utime(path, (1.0, 1.0))
    time.sleep(0.2)
    assert path.stat().st_mtime == 1.0
    claim.release()
    assert path.exists()


def claim_from(folder: Path, host: str) -> None:
    claim = Claim.take(folder)
    assert claim is not None
    content = json.loads((folder / "claim.json").read_text(encoding="utf-8"))
    claim.release()
    (folder / "claim.json").write_text(json.dumps({**content, "host": host}), encoding="utf-8")


@pytest.mark.parametrize("hours", [-2, 2])
def test_a_heartbeat_is_not_compared_with_a_wrong_clock(
    hours: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file server has stamped the heartbeat; this machine's clock is two hours off."""
    wrong = time.time() + 3600.0 * hours
    monkeypatch.setattr("prunebench.benchmark.runs.claim.time.time", lambda: wrong)
    claim_from(tmp_path, "elsewhere")
    assert Claim.take(tmp_path) is None
    stamp = (tmp_path / "claim.json").stat().st_mtime - STALE_SECONDS - 1.0
    os.utime(tmp_path / "claim.json", (stamp, stamp))
    claim = Claim.take(tmp_path)
    assert claim is not None
    claim.release()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_no_empty_claim(tmp_path: Path) -> None:
    """No file may grow: the claim can be created, but not written."""
    _, hard = limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            Claim.take(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[1]",
        "null",
        "{torn",
        "7",
        "{}",
        '{"schema": 1}',
        '{"pid": "1"}',
        '{"pid": 1, "since": "x"}',
        '{"pid": 1, "since": 1e300}',
    ],
)
def test_a_claim_that_is_no_claim_is_dead_after_seconds(content: str, tmp_path: Path) -> None:
    path = tmp_path / "claim.json"
    path.write_text(content, encoding="utf-8")
    assert holder(tmp_path) == {}
    os.utime(path, (time.time() - 10.0,) * 2)
    assert holder(tmp_path) is None


def test_a_holder_is_described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    monkeypatch.setattr("prunebench.benchmark.runs.claim.socket.gethostname", lambda: "node1")
    claim = Claim.take(tmp_path)
    assert claim is not None
    held = holder(tmp_path)
    claim.release()
    assert held is not None
    begin = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(held["since"]))
    assert describe(held) == f"process {os.getpid()} on node1, SLURM job 77 since {begin}"
    assert how_to_end(held) == "scancel 77"
    assert describe({"pid": 5, "host": "h"}) == "process 5 on h", "a claim of an older version"
    assert how_to_end({"pid": 5, "host": "h"}) == "kill 5 there"
    assert describe({**held, "namespace": "another"}).startswith(
        f"process {os.getpid()} in another container of node1,"
    )


def test_a_process_that_lost_its_run_writes_nothing_more(tmp_path: Path) -> None:
    """Another process takes the run over after the first epoch: this one must not write the second epoch."""
    recipe = Recipe(epochs=3, batch_size=50, lr=0.1)
    run = Run(
        dataset="digits",
        dataset_options=(("limit", 200),),
        model="convnet-small",
        method="dense",
        seed=0,
        recipe=recipe,
    )
    folder = Store(tmp_path).folder("s", run)

    def take_over() -> bool:
        (folder.path / "claim.json").write_text('{"token": "of another process"}', encoding="utf-8")
        return False

    settings = Settings(results=tmp_path, device="cpu", checkpoint_every=1)
    ending = attempt(run, "s", settings, Watch(stop=take_over))
    assert (ending.outcome, ending.reason) == ("busy", f"{run.id}: another process has taken this run over")
    assert [record["epoch"] for record in folder.history()] == [0]
    assert not folder.result_path.exists()
    assert not folder.checkpoint_path.exists()
    assert json.loads((folder.path / "claim.json").read_text(encoding="utf-8")) == {"token": "of another process"}


def test_run_says_which_process_it_waits_for(tmp_path: Path, tiny_study: Path) -> None:
    """A process that hangs keeps its run for ever: the user is told once how to end it."""
    from prunebench.benchmark.studies.load import load_study

    text = tiny_study.read_text(encoding="utf-8").replace("epochs: 3", "epochs: 1").split("  - method: [")[0]
    tiny_study.write_text(text, encoding="utf-8")
    (run,) = load_study(str(tiny_study)).runs
    claim = Claim.take(Store(tmp_path / "results").folder("tiny", run).path)
    assert claim is not None
    words = ["run", str(tiny_study), "--jobs", "1", "--device", "cpu", "--results", str(tmp_path / "results")]
    command = [sys.executable, "-m", "prunebench.benchmark.cli", *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        lines: list[str] = []
        for line in process.stderr:
            lines.append(line)
            if line.startswith("waiting: "):
                # long enough to be busy once more
                time.sleep(1.5)
                claim.release()
    (waiting,) = [line for line in lines if line.startswith("waiting: ")]
    assert re.search(rf"{run.id} .* is computed by process {os.getpid()} on \S+ since .*; if that hangs, ", waiting)
    assert waiting.endswith(f"end it: kill {os.getpid()}\n")
    assert process.returncode == 0
    assert "1 computed, 0 failed" in lines[-1]


CONTENTS = {
    "empty": "", "garbage": "\x00\xff{", "list": "[1, 2]", "number": "7", "null": "null", "nested": "[" * 100_000,
    "pid of another type": '{"pid": "x\\u0000", "host": "h"}', "pid that is none": '{"pid": [], "host": "h"}',
    "date of another type": '{"pid": 1, "host": "h", "since": "yesterday"}',
    "no date": '{"pid": 1, "host": "h", "since": NaN}',
    "date of no calendar": '{"pid": 1, "host": "h", "since": 1e300}',
    "token of another type": '{"pid": 1, "host": "h", "token": 3}', "place of another type": '{"pid": 1, "host": {}}',
}  # fmt: skip


@pytest.mark.parametrize("name", CONTENTS)
def test_a_claim_of_any_content_is_dead_after_a_while(name: str, tmp_path: Path) -> None:
    """At first it may still be in the middle of being written."""
    path = tmp_path / "claim.json"
    path.write_text(CONTENTS[name], encoding="latin-1")
    held = holder(tmp_path)
    assert held == {}
    assert describe(held) == "a process that has just begun"
    assert Claim.take(tmp_path) is None
    long_ago = time.time() - 60.0
    os.utime(path, (long_ago, long_ago))
    assert holder(tmp_path) is None
    claim = Claim.take(tmp_path)
    assert claim is not None
    path.write_text(CONTENTS[name], encoding="latin-1")
    with pytest.raises(ClaimLost):
        claim.check()
    claim.release()
    assert path.read_text(encoding="latin-1") == CONTENTS[name], "it is not this process's any more"


def test_a_folder_in_place_of_a_claim_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "claim.json"
    for kept in ("claim.json.damaged", "claim.json.damaged-2"):
        path.mkdir()
        (path / "mine").touch()
        assert holder(tmp_path) is None
        claim = Claim.take(tmp_path)
        assert claim is not None
        assert (tmp_path / kept / "mine").exists()
        claim.release()
    claim = Claim.take(tmp_path)
    assert claim is not None
    path.unlink()
    path.mkdir()
    with pytest.raises(ClaimLost):
        claim.check()
    claim.release()
    assert path.is_dir()
