"""Paths and names that SLURM, submitit or a terminal would change; a nameless user; a job that changes folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from cluster import PLUGIN, Place, wait_until
from jobs import FROM_INIT
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.runs.claim import Claim
from prunebench.benchmark.runs.store import Store
from prunebench.slurm.paths import check_path
from prunebench.slurm.submission import find_submissions, read_task_record
from rights import is_allowed
from test_slurm_supervisor import make_run, order_for

LATER = {"begin": "now+1hour"}


@pytest.mark.parametrize("name", ["per%cent", "%j", "%%", "back\\slash", "new\nline", "ends\\"])
def test_a_path_that_slurm_would_change_is_refused_before_anything_is_made(name: str, tmp_path: Path) -> None:
    place = Place(tmp_path / "here", results_folder=tmp_path / name / "results")
    with pytest.raises(UserError, match=r"^results folder '.*' has .* in its path, which SLURM would expand") as error:
        place.submit()
    assert "\n" not in str(error.value)
    assert not (tmp_path / name).exists()


def test_a_path_that_no_batch_script_can_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has characters in its path that .* cannot write"):
        check_path(tmp_path / os.fsdecode(b"lat\xe9n"))


@pytest.mark.slurm
def test_doctor_says_it_too(tmp_path: Path) -> None:
    place = Place(tmp_path / "here")
    words = ["doctor", "--profile", place.profile(), "--no-probe", "--results", str(tmp_path / "a%b")]
    done = subprocess.run(
        [sys.executable, "-m", "prunebench.benchmark.cli", *words], capture_output=True, text=True, check=False
    )
    assert "FAILED  results folder: results folder" in done.stdout
    assert done.returncode == 4


@pytest.mark.slurm
@pytest.mark.timeout(200)
def test_a_job_computes_in_a_place_that_a_shell_would_take_apart(tmp_path: Path) -> None:
    results = tmp_path / """it's "a" $HOME `x` #; é日 {b}* """ / "results"
    study = FROM_INIT.replace("NAME", "quoted").replace("EPOCHS", "1")
    place = Place(tmp_path / "here", sparsities="[50%]", study=study, results_folder=results)
    place.submit()
    wait_until(place.is_idle, 120.0, "the job to end")
    assert place.counts() == {"done": 1}
    (submission,) = find_submissions(results)
    (log,) = submission.rglob("*_log.out")
    # The result is stored before the log line is written.
    wait_until(lambda: "done" in log.read_text(encoding="utf-8"), 30.0, "the log to say so")


METHODS = """\
import os
from prunebench.methods.magnitude import GlobalMagnitude

METHODS = {"wandering_mp": "Wanderer", "foreign_mp": "Foreign"}


class Wanderer(GlobalMagnitude):
    label = "Wandering MP"

    def begin_round(self, index):
        super().begin_round(index)
        os.chdir("/proc")


class Foreign(GlobalMagnitude):
    label = "Foreign MP"

    def begin_round(self, index):
        raise ValueError("日本")
"""


def test_a_method_that_leaves_the_folder_or_speaks_another_language_harms_no_other_run(tmp_path: Path) -> None:
    """Three runs in one process of a job, with a results folder given by a relative path and a log in ASCII."""
    plugin = tmp_path / "methods.py"
    plugin.write_text(METHODS, encoding="utf-8")
    runs = [make_run("wandering_mp", 1), make_run("foreign_mp", 1), make_run("wandering_mp", 1, seed=1)]
    order = json.loads(order_for(Path("results"), runs))
    order["settings"]["plugins"] = ["methods.py"]
    order["record"] = "record.json"
    script = "import sys; from prunebench.slurm.job import RunTask; RunTask(sys.argv[1])()"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PRUNEBENCH_DATA": "data"}
    command = [sys.executable, "-c", script, json.dumps(order)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert "RunsFailed: 1 of 3 runs failed" in done.stderr
    assert f"{runs[1].id} foreign_mp 0.5 seed 0: failed ValueError: ??" in done.stdout
    store = Store(tmp_path / "results")
    assert [store.folder("s", run).status().state for run in runs] == ["done", "failed", "done"]
    assert len(read_task_record(tmp_path / "record.json").outcomes) == 3


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_a_terminal_without_the_letters_of_a_path_shows_others(encoding: str, tmp_path: Path) -> None:
    place = Place(tmp_path / "here", results_folder=tmp_path / "日本")
    claim = Claim.take(Store(place.results).folder(place.name, place.runs[0]).path)
    assert claim is not None
    words = ["status", str(place.study_path), "--results", str(place.results), "--plugin", str(PLUGIN)]
    command = [sys.executable, "-m", "prunebench.benchmark.cli", *words]
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run(command, capture_output=True, env=environment, check=False)
    claim.release()
    assert done.returncode == 0, done.stderr
    assert ("??" if encoding == "ascii" else "日本") in done.stdout.decode(encoding)


@pytest.mark.slurm
@pytest.mark.timeout(200)
def test_a_user_without_a_name_has_all_commands(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """As in a container: neither the password file nor the environment has a name or a home folder."""
    rights = "+dac_override,+dac_read_search"
    nobody = ["setpriv", "--reuid=54321", "--clear-groups", f"--inh-caps={rights}", f"--ambient-caps={rights}"]
    if shutil.which("setpriv") is None or not is_allowed(*nobody, "true"):
        pytest.skip("to become another user takes root")
    place = Place(tmp_path / "here")
    # other users cannot read pytest's own folders
    folder = Path(tempfile.mkdtemp())
    request.addfinalizer(lambda: shutil.rmtree(folder))
    os.chown(folder, 54321, -1)
    names = ("USER", "LOGNAME", "LNAME", "USERNAME", "HOME")
    environment = {name: value for name, value in os.environ.items() if name not in names}

    def command(name: str, *arguments: str) -> str:
        words = [*nobody, sys.executable, "-m", "prunebench.benchmark.cli", name, *arguments, "--results", str(folder)]
        done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    study, chosen = str(place.study_path), ["--plugin", str(PLUGIN)]
    profile = ["--profile", place.profile(sbatch=LATER)]
    submission = ["submit", study, *profile, *chosen, "--no-data-check"]
    assert "submitted 6 runs as 6 jobs" in command(*submission)
    assert "nothing to submit" in command(*submission)
    counts = json.loads(command("status", study, *chosen, "--json"))["counts"]
    assert counts == {"queued": 6}
    shown = command("doctor", *profile, "--no-probe")
    assert "account: not checked: user id 54321 has no name on this machine" in shown
    assert "cancelled 6 jobs" in command("cancel", study)
    assert "removed" in command("clean", study)
