"""Jobs in a container: what is asked of the engine, and a requeue that no process inside can ask for.

The engine is a stand-in (`engine.py`); no real apptainer has run these jobs.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cluster import Place, wait_until
from comparing import all_numbers
from engine import install
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.cli import app
from prunebench.benchmark.runs.settings import Settings
from prunebench.benchmark.runs.store import Store
from prunebench.slurm.cluster_profile import Profile, load_profile
from prunebench.slurm.collection import find_logs, read_submissions
from prunebench.slurm.container import REQUEUE_CODE
from prunebench.slurm.executor import make_executor
from prunebench.slurm.submit import _shown_paths
from scenarios import compute_here

IMAGE = "/images/suite 1.sif"


def profile(container: dict[str, Any], **keys: Any) -> Profile:
    return Profile.model_validate({"time": "1h", "container": {"image": IMAGE, **container}, **keys})


def test_the_script_runs_python_inside_and_requeues_outside(tmp_path: Path) -> None:
    wanted = profile({"binds": ["/scratch:/scratch:ro"], "python": "/opt/env/bin/python"}, modules=["apptainer"])
    script = make_executor(tmp_path, wanted.showing([tmp_path]), "name", None).script(2)
    before, line = script.split("srun --unbuffered")
    assert before.endswith(
        "module load apptainer || exit 1\ntrap : TERM USR2\n\n# command\nexport SUBMITIT_EXECUTOR=slurm\n"
    )
    srun, *after = line.splitlines()
    inside = (
        f"apptainer exec --nv --bind {tmp_path} --bind /scratch:/scratch:ro '{IMAGE}' /opt/env/bin/python "
        f"-u -m submitit.core._submit {tmp_path}"
    )
    assert srun.endswith(f"--kill-on-bad-exit=1 {inside}")
    assert [text for text in after if text and not text.startswith("#")] == [
        "code=$?",
        f"if [ $code -eq {REQUEUE_CODE} ]; then",
        '  timeout 60 scontrol requeue "$SLURM_JOB_ID" ||'
        ' { echo "prunebench: could not requeue, which SLURM may have done itself"; exit 1; }',
        "fi",
        "exit $code",
    ]
    plain = make_executor(tmp_path, Profile.model_validate({"time": "1h"}), "name", None).script(2)
    assert "scontrol" not in plain
    assert plain.rstrip().endswith(f"{sys.executable} -u -m submitit.core._submit {tmp_path}")


@pytest.mark.parametrize(("code", "asked"), [(REQUEUE_CODE, True), (0, False), (1, False), (137, False), (255, False)])
def test_only_one_exit_code_asks_for_a_requeue(tmp_path: Path, code: int, asked: bool) -> None:
    """The batch script itself, with an srun that ends with a code and an scontrol that takes notes."""
    commands = tmp_path / "commands"
    commands.mkdir()
    for name, text in {
        "srun": f"exit {code}",
        "scontrol": f'echo "$@" > {shlex.quote(str(tmp_path / "asked"))}',
    }.items():
        (commands / name).write_text(f"#!/bin/sh\n{text}\n", encoding="ascii")
        (commands / name).chmod(0o755)
    script = make_executor(tmp_path, profile({}), "name", None).script(1)
    environment = {"PATH": f"{commands}:/usr/bin:/bin", "SLURM_JOB_ID": "12"}
    done = subprocess.run(["bash"], input=script, text=True, env=environment, capture_output=True, check=False)
    assert done.returncode == code
    assert (tmp_path / "asked").exists() == asked
    if asked:
        assert (tmp_path / "asked").read_text(encoding="ascii") == "requeue 12\n"


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"gpus_per_run": 0}, ""),
        ({"device": "cpu"}, ""),
        ({"gpus_per_run": 0, "gres": "gpu:1"}, "--nv "),
        ({}, "--nv "),
    ],
)
def test_the_engine_is_asked_for_gpus_where_a_job_has_one(keys: dict[str, Any], words: str) -> None:
    assert profile({}, **keys).python_command == f"apptainer exec {words}'{IMAGE}' python3"


def test_another_engine_and_another_vendor() -> None:
    wanted = profile({"engine": "singularity", "options": ["--rocm"]})
    assert wanted.python_command == f"singularity exec --rocm '{IMAGE}' python3"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{}", "'container.image' is missing"),
        ("/i.sif", "'container' is '/i.sif': it should be a mapping of keys to values"),
        ("{image: docker://me/suite}", "'docker://me/suite' is not an absolute path"),
        ("{image: /i.sif, binds: [scratch]}", "'scratch' is not /source"),
        ("{image: /i.sif, binds: ['/a:/b:rx']}", "'/a:/b:rx' is not /source"),
        (
            "{image: /i.sif, options: [--cleanenv]}",
            "'--cleanenv' would keep the variables that SLURM sets from the job",
        ),
        ("{image: /i.sif, options: [--pid]}", "'--pid' would keep SLURM's signals from the job"),
        ("{image: /i.sif, options: ['--bind=/a']}", "'--bind=/a' is set from the key binds"),
        ("{image: /i.sif, engine: docker}", "'container.engine' is 'docker'"),
        ("{image: /i.sif, bind: [/a]}", "unknown key 'bind'; did you mean 'binds'"),
        ("{image: /i.sif}\npython: /usr/bin/python3", "with a container give container.python"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"time: 4h\ncontainer: {text}\n", encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load_profile(str(path))
    assert complaint in str(caught.value)
    assert "mine.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_the_job_needs_is_bound(tmp_path: Path) -> None:
    """A linked results folder by both names, the data root if it is there, and plug-ins; no path that has a comma."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "linked").symlink_to(tmp_path / "disk")
    settings = Settings(results=tmp_path / "linked", data_root=tmp_path / "data", plugins=(f"{tmp_path}/mine/m.py",))
    shown = profile({"binds": ["/scratch"]}).showing(_shown_paths([], settings)).container
    assert shown is not None
    assert shown.binds == [*(f"{tmp_path}/{name}" for name in ("data", "disk", "linked", "mine")), "/scratch"]
    without = Settings(results=tmp_path / "disk", data_root=tmp_path / "nowhere")
    assert list(_shown_paths([], without)) == [tmp_path / "disk"]
    with pytest.raises(UserError, match=r"a,b' cannot be bound in a container: apptainer splits paths"):
        profile({}).showing([tmp_path / "a,b"])


@pytest.mark.slurm
@pytest.mark.timeout(280)
def test_a_warned_job_in_a_container_is_requeued_from_outside(tmp_path: Path) -> None:
    """Warned once and resumed, with the numbers of an undisturbed run. Inside there is no scontrol, and of the test's
    folder only what is bound."""
    place = Place(tmp_path / "place", sparsities="[50%]")
    commands, image = install(tmp_path / "site", tmp_path)
    keys: dict[str, Any] = {
        "container": {"image": str(image), "python": sys.executable},
        "setup": [f"export PATH={commands}:$PATH"],
        "environment": {"SLOW_SECONDS": "1"},
    }
    place.submit(**keys)
    pruned = place.runs[0]
    wait_until(lambda: place.num_epochs(pruned) >= 3, 150, "three epochs")
    subprocess.run(["scancel", "--signal=USR2", place.state(pruned).job], check=True)
    wait_until(lambda: place.record(pruned).requeues == 1, 100, "the second start")
    wait_until(place.is_idle, 150, "the end")
    assert place.counts() == {"done": 2}
    folder = Store(place.results).folder(place.name, pruned)
    assert [attempt["outcome"] for attempt in folder.attempts()] == ["interrupted", "done"]
    (log, *_) = find_logs(read_submissions(place.results, Store(place.results).note), pruned.id)
    assert "asking the batch script for a requeue" in log.read_text(encoding="utf-8")
    compute_here(reference := Place(tmp_path / "reference", sparsities="[50%]"))
    undisturbed = all_numbers(reference.results)
    assert len(place.numbers()) == 2
    assert place.numbers() == {key: undisturbed[key] for key in place.numbers()}


@pytest.mark.slurm
@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({}, "ok      container: "),
        ({"engine": "singularity"}, "FAILED  compute node: singularity is not found on the node"),
        ({"image": "/nowhere/i.sif"}, "FAILED  compute node: image /nowhere/i.sif cannot be read on the node"),
        ({"python": "/usr/bin/python3"}, "No module named"),
        ({"options": ["--nonsense"]}, "FAILED  compute node: FATAL:   unknown flag: --nonsense"),
    ],
)
def test_doctor_tries_the_container(tmp_path: Path, changed: dict[str, Any], complaint: str) -> None:
    commands, image = install(tmp_path / "site", tmp_path)
    place = Place(tmp_path / "place")
    container = {"image": str(image), "python": sys.executable, **changed}
    path = place.profile(container=container, setup=[f"export PATH={commands}:$PATH"])
    done = CliRunner().invoke(app, ["doctor", "--profile", path, "--results", str(place.results)])
    assert complaint in done.stdout, done.stdout
    assert (done.exit_code == 0) == (not changed)
