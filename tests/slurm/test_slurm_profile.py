"""Profiles: what is accepted, and the error messages for mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.launch.durations import seconds_of
from prunebench.slurm.cluster_profile import Profile, load_profile, profile_names


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("45m", 2700),
        ("4h", 14400),
        ("1d12h", 129600),
        ("1h30m", 5400),
        ("04:00:00", 14400),
        ("1-12:00:00", 129600),
        ("100:00:00", 360000),
    ],
)
def test_lengths_of_time(text: str, seconds: int) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", [240, 14400, "240", "", "4 hours", "4:00", "1:99:00", None])
def test_ambiguous_lengths_are_refused(text: object) -> None:
    with pytest.raises(ValueError, match="is not a length of time; write"):
        seconds_of(text)


def test_all_profiles_of_the_suite_are_valid() -> None:
    assert {"cpu", "gpu", "gpu-packed", "imagenet", "slurm-local"} <= set(profile_names())
    for name in profile_names():
        assert load_profile(name).time >= 900, "shorter limits leave submitit's and SLURM's coarse clocks no room"


def write(folder: Path, text: str) -> str:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(("word", "setting"), [("off", "off"), ("auto", "auto"), ("'off'", "off")])
def test_off_is_a_setting_and_not_a_truth_value(tmp_path: Path, word: str, setting: str) -> None:
    assert load_profile(write(tmp_path, f"time: 4h\ncuda_graph: {word}\n")).cuda_graph == setting


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("partition: a\ntime: 4h\npartitoin: b\n", "mine.yaml:3: unknown key 'partitoin'; did you mean 'partition'"),
        ("partition: a\n", "'time' is missing"),
        ("partition: a\ntmie: 4h\n", "unknown key 'tmie'; did you mean 'time'?"),
        ("time: 4:00:00\n", "mine.yaml:1: time: 14400 is not a length of time"),
        ("time: 4h\nmemory: 16 GB\n", "mine.yaml:2: 'memory' is '16 GB'"),
        ("time: 4h\nruns_per_job: 2\ngpus_per_run: 4\n", "runs_per_job = 2 needs gpus_per_run <= 1, not 4"),
        ("time: 4h\ngpus_per_run: 3\nnodes_per_run: 2\n", "gpus_per_run = 3 cannot be shared by 2 nodes"),
        ("time: 5m\nsignal_before: 10m\n", "signal_before (600 s) must be shorter than time (300 s)"),
        ("time: 4h\nlog: mlflow\n", "'log' is 'mlflow'"),
        ("time: 4h\ncuda_graph: on\n", "mine.yaml:2: 'cuda_graph' is True: input should be 'off' or 'auto'"),
        ("time: 4h\nsbatch: {array: 0-3}\n", "option 'array' is set by the launcher itself"),
        ("time: 4h\nsbatch: {--mem: 3G}\n", "option '--mem' has a key of its own in the profile: memory"),
        ("time: 4h\nsbatch: {exclusive: no}\n", "option 'exclusive' is false; leave it out instead"),
        ("time: 4h\nenvironment: {OMP_NUM_THREADS: 4}\n", "OMP_NUM_THREADS is set from the key threads"),
        (
            'time: 4h\nsbatch: {comment: "a\\nb"}\n',
            "mine.yaml:2: sbatch: 'a\\nb' has a newline, which",
        ),
        ('time: 4h\npartition: "a\\nb"\n', "'a\\nb' has a newline, which sbatch cannot read"),
        ("time: 4h\nenvironment: {A B: 4}\n", "'A B' is not a name of an environment variable"),
        ("time: 4h\ngpus_per_run: 0\ndevice: cuda\n", "device: cuda needs gpus_per_run >= 1 or gres"),
        ("time: 4h\nmax_requeues: -1\n", "'max_requeues' is -1"),
        ("time: 4h\nthreads: 1025\n", "mine.yaml:2: 'threads' is 1025"),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(UserError) as caught:
        load_profile(write(tmp_path, text))
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"unknown profile 'gpux'.* known: cpu, gpu"):
        load_profile("gpux")


def test_shell_lines_quote_what_the_user_wrote() -> None:
    profile = Profile.model_validate(
        {"time": "1h", "modules": ["cuda/12 4"], "environment": {"A": "x y", "B": 3}, "setup": ["source a b"]}
    )
    assert profile.shell_lines == ["module load 'cuda/12 4' || exit 1", "export A='x y'", "export B=3", "source a b"]


def test_minutes_are_rounded_up() -> None:
    assert Profile.model_validate({"time": "90s", "signal_before": "10s"}).minutes == 2
