"""A profile: the options of a cluster in one YAML file, checked before anything is submitted."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from ..benchmark.api.errors import unknown
from ..benchmark.launch.durations import seconds_of
from ..benchmark.runs.settings import MAX_THREADS, THREAD_VARIABLES, Compile, CudaGraph, Log, MemoryFormat
from ..benchmark.studies.yaml_source import read_yaml, validate
from .container import AFTER_SRUN, BEFORE_SRUN, Container

PROFILES = Path(__file__).parent / "profiles"

# The launcher sets these itself: another value would break resuming, or the records of jobs.
_OURS = (
    "array", "chdir", "dependency", "error", "job-name", "kill-on-invalid-dep", "no-requeue", "open-mode", "output",
    "requeue", "signal", "wrap",
)  # fmt: skip
_BY_KEY = {
    "partition": "partition", "account": "account", "qos": "qos", "constraint": "constraint", "gres": "gres",
    "time": "time", "mem": "memory", "cpus-per-task": "cpus_per_task", "gpus-per-node": "gpus_per_run",
    "gpus": "gpus_per_run", "gpus-per-task": "gpus_per_run", "nodes": "nodes_per_run", "ntasks": "gpus_per_run",
    "ntasks-per-node": "gpus_per_run",
}  # fmt: skip


def _as_text(value: object) -> object:
    """Numbers are meant as text. A YAML yes/no fails, because it could mean `1` or `true`."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


Seconds = Annotated[int, BeforeValidator(seconds_of)]
Text = Annotated[str, BeforeValidator(_as_text)]


class Profile(BaseModel):
    """The keys of a profile; `slurm/README.md` explains each. A task is one process that SLURM starts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    partition: str | None = None
    """As for sbatch; default: the cluster's."""
    account: str | None = None
    """As for sbatch; default: the cluster's."""
    qos: str | None = None
    """As for sbatch; default: the cluster's."""
    constraint: str | None = None
    """As for sbatch; default: none."""
    gres: str | None = None
    """Requests GPUs as your site wants it, such as `gpu:a100:1`, instead of `--gpus-per-node`."""
    time: Seconds = Field(ge=60)
    """Limit of one job: `90m`, `4h`, `1d12h`, `'04:00:00'`. A run that takes longer is requeued and resumes."""
    memory: str | None = Field(default=None, pattern=r"^[1-9]\d*[KMGT]?$")
    """Of a job on each node, such as `16G`; default: the cluster's."""
    cpus_per_task: int = Field(default=1, ge=1)
    """Processors of each process that SLURM starts."""
    gpus_per_run: int = Field(default=1, ge=0)
    """0: none. More than 1: one process for each GPU trains the run (DistributedDataParallel)."""
    nodes_per_run: int = Field(default=1, ge=1)
    """Number of nodes over which these processes are spread."""
    runs_per_job: int = Field(default=1, ge=1)
    """Several small runs at once on the same GPU, each in its own process, each failing alone."""
    array_parallelism: int = Field(default=16, ge=1)
    """Jobs of one array that may run at once. The runs of each shared dense training are an array of their
    own, so more may run in total."""
    max_array_size: int | None = Field(default=None, ge=1)
    """A limit below that of the cluster."""
    max_submit: int | None = Field(default=None, ge=1)
    """Jobs that you may queue, if fewer than the cluster allows."""
    modules: list[str] = []
    """Modules to load before the run starts."""
    python: str | None = None
    """The Python of the jobs, with the suite installed, if it is not the one that submits: an absolute path."""
    container: Container | None = None
    """Jobs run the Python of an Apptainer image: `{image: /path/prunebench.sif}`."""
    setup: list[str] = []
    """Shell lines before the run starts."""
    environment: dict[str, Text] = {}
    """Variables to set before the run starts."""
    sbatch: dict[str, Text | bool] = {}
    """Any other option of sbatch: `{mail-type: FAIL}`."""
    signal_before: Seconds = Field(default=120, ge=10)
    """How long before the limit SLURM sends its warning. If longer than an epoch, no epoch is lost."""
    max_requeues: int = Field(default=10, ge=0)
    """After so many requeues a job ends; submit again to go on."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """As in `prunebench run`."""
    threads: int = Field(default=1, ge=1, le=MAX_THREADS)
    """As in `prunebench run`."""
    checkpoint_every: int = Field(default=1, ge=1)
    """As in `prunebench run`: epochs between checkpoints."""
    memory_format: MemoryFormat = "auto"
    """As in `prunebench run`."""
    compile: Compile = "none"
    """As in `prunebench run`."""
    cuda_graph: CudaGraph = "off"
    """As in `prunebench run`: `auto` replays training steps as CUDA graphs where possible."""
    log: Log = "none"
    """As in `prunebench run`: `tensorboard` or `wandb` writes curves."""

    @field_validator("environment")
    @classmethod
    def _names(cls, environment: dict[str, str]) -> dict[str, str]:
        for name in environment:
            if not re.fullmatch(r"[A-Za-z_]\w*", name):
                raise ValueError(f"{name!r} is not a name of an environment variable")
            if name in THREAD_VARIABLES:
                raise ValueError(f"{name} is set from the key threads, so it would have no effect here")
        return environment

    @field_validator("python")
    @classmethod
    def _absolute(cls, path: str | None) -> str | None:
        """Jobs begin in a folder of their own. The path may exist on the nodes only, so it is not looked up here."""
        if path is not None and not (path.startswith("/") and path.isprintable()):
            raise ValueError(f"{path!r} is not an absolute path")
        return path

    @field_validator("cuda_graph", mode="before")
    @classmethod
    def _off_is_a_word(cls, value: object) -> object:
        """YAML reads `off` as false."""
        return "off" if value is False else value

    @field_validator("partition", "account", "qos", "constraint", "gres", "sbatch")
    @classmethod
    def _in_one_line(cls, value: str | dict[str, str | bool] | None) -> str | dict[str, str | bool] | None:
        """Batch scripts have one line for each option."""
        for text in value.values() if isinstance(value, dict) else (value,):
            if isinstance(text, str) and "\n" in text:
                raise ValueError(f"{text!r} has a newline, which sbatch cannot read")
        return value

    @field_validator("sbatch")
    @classmethod
    def _not_ours(cls, options: dict[str, str | bool]) -> dict[str, str | bool]:
        for option, value in options.items():
            name = option.lstrip("-").replace("_", "-")
            if name in _OURS:
                raise ValueError(f"option {option!r} is set by the launcher itself")
            if name in _BY_KEY:
                raise ValueError(f"option {option!r} has a key of its own in the profile: {_BY_KEY[name]}")
            if value is False:
                raise ValueError(f"option {option!r} is false; leave it out instead")
        return {option.lstrip("-").replace("_", "-"): value for option, value in options.items()}

    @model_validator(mode="after")
    def _fits_together(self) -> Profile:
        if self.runs_per_job > 1 and self.num_tasks > 1:
            raise ValueError(f"runs_per_job = {self.runs_per_job} needs gpus_per_run <= 1, not {self.gpus_per_run}")
        if self.num_tasks % self.nodes_per_run:
            raise ValueError(f"gpus_per_run = {self.gpus_per_run} cannot be shared by {self.nodes_per_run} nodes")
        if self.signal_before >= self.time:
            raise ValueError(f"signal_before ({self.signal_before} s) must be shorter than time ({self.time} s)")
        if self.container is not None and self.python is not None:
            raise ValueError("python is that of the nodes; with a container give container.python")
        if self.device == "cuda" and self.gpus_per_run == 0 and self.gres is None:
            raise ValueError("device: cuda needs gpus_per_run >= 1 or gres")
        return self

    @property
    def num_tasks(self) -> int:
        """Processes of one run: one a GPU, at least one."""
        return max(1, self.gpus_per_run)

    @property
    def is_on_cpu(self) -> bool:
        """Whether its jobs have no GPU to compute on."""
        return self.device == "cpu" or (self.gpus_per_run == 0 and self.gres is None)

    @property
    def minutes(self) -> int:
        """The time limit in minutes, which SLURM counts in."""
        return math.ceil(self.time / 60)

    @property
    def shell_lines(self) -> list[str]:
        """Lines of the batch script before the run starts. A module that does not load ends the job."""
        modules = [f"module load {shlex.quote(name)} || exit 1" for name in self.modules]
        exports = [f"export {name}={shlex.quote(value)}" for name, value in self.environment.items()]
        return [*modules, *exports, *self.setup]

    @property
    def python_command(self) -> str | None:
        """The shell command of the jobs' Python; None: the Python that submits."""
        if self.container is not None:
            return self.container.command(has_gpu=not self.is_on_cpu)
        return None if self.python is None else shlex.quote(self.python)

    @property
    def lines_around_srun(self) -> tuple[list[str], list[str]]:
        """Lines of the batch script before and after srun: a job in a container is requeued from outside."""
        return (self.shell_lines, []) if self.container is None else ([*self.shell_lines, *BEFORE_SRUN], AFTER_SRUN)

    def showing(self, paths: Iterable[Path]) -> Profile:
        """With these paths visible in its container, if it has one. Raises UserError if one cannot be named."""
        if self.container is None:
            return self
        return self.model_copy(update={"container": self.container.showing(paths)})


def profile_names() -> list[str]:
    return sorted(path.stem for path in PROFILES.glob("*.yaml"))


def load_profile(name_or_path: str) -> Profile:
    """A profile of the suite by name, or the user's own by path. Raises UserError naming place, key and value."""
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        if name_or_path not in profile_names():
            raise unknown("profile", name_or_path, profile_names())
        path = PROFILES / f"{name_or_path}.yaml"
    return validate(Profile, read_yaml(path))
