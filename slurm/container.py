"""The container of a profile: jobs run their Python in it; the batch script, srun and the requeue stay outside."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, field_validator

from ..benchmark.api.errors import UserError

REQUEUE_CODE = 210
"""With this exit code a job in a container asks the batch script for a requeue, because it has no scontrol.

srun returns the highest code of its processes. This one is above those of signals (128 + 64) and below the 255 of
apptainer's own errors.
"""

AFTER_SRUN = [
    "code=$?",
    f"if [ $code -eq {REQUEUE_CODE} ]; then",
    '  timeout 60 scontrol requeue "$SLURM_JOB_ID" ||'
    ' { echo "prunebench: could not requeue, which SLURM may have done itself"; exit 1; }',
    "fi",
    "exit $code",
]
"""End of the batch script of a job in a container."""

# bash defers a trap until srun has ended; SIGTERM of a preemption would end the script before it could requeue.
BEFORE_SRUN = ["trap : TERM USR2"]

_LOSES = {
    "the variables that SLURM sets": ("--cleanenv", "-e", "--containall", "-C", "--compat"),
    "SLURM's signals": ("--pid", "-p"),
}
_OURS = {"binds": ("--bind", "-B"), "device": ("--nv",)}


class Container(BaseModel):
    """The keys of `container` in a profile."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    image: str
    """An image file or a sandbox folder that the nodes can read: an absolute path."""
    python: str = "python3"
    """The Python in the image that has the suite."""
    engine: Literal["apptainer", "singularity"] = "apptainer"
    """The command on the nodes."""
    binds: list[str] = []
    """More paths to show inside, as for `--bind`: `/scratch`, `/there:/here:ro`. The results folder, and the data root,
    plug-ins and weights files that the submitting machine sees, are added."""
    options: list[str] = []
    """More options of `exec`, a word each: `[--rocm]`. `--nv` is added where jobs have a GPU."""

    @field_validator("image")
    @classmethod
    def _is_a_path(cls, image: str) -> str:
        """Nodes have no network as a rule, so nothing is pulled there."""
        if not (image.startswith("/") and image.isprintable()):
            raise ValueError(f"{image!r} is not an absolute path; `apptainer pull` makes a file of an address")
        return image

    @field_validator("python")
    @classmethod
    def _is_a_command(cls, python: str) -> str:
        if not python or python.startswith("-") or not python.isprintable():
            raise ValueError(f"{python!r} is not a command")
        return python

    @field_validator("binds")
    @classmethod
    def _are_binds(cls, binds: list[str]) -> list[str]:
        for bind in binds:
            source, *rest = bind.split(":")
            parts_are_paths = all(path.startswith("/") and path.isprintable() for path in (source, *rest[:1]))
            if "," in bind or not parts_are_paths or rest[1:] not in ([], ["ro"], ["rw"]):
                raise ValueError(f"{bind!r} is not /source, /source:/destination or /source:/destination:ro")
        return binds

    @field_validator("options")
    @classmethod
    def _are_options(cls, options: list[str]) -> list[str]:
        for option in options:
            name = option.partition("=")[0]
            for key, names in _OURS.items():
                if name in names:
                    raise ValueError(f"option {option!r} is set from the key {key}")
            for lost, names in _LOSES.items():
                if name in names:
                    raise ValueError(f"option {option!r} would keep {lost} from the job")
            if not option.isprintable():
                raise ValueError(f"option {option!r} is not printable")
        return options

    def showing(self, paths: Iterable[Path]) -> Container:
        """With these paths bound too; raises UserError if the engine cannot name one.

        A path with symbolic links is bound by both names: inside, the link may be there without its target.
        """
        named = sorted({str(name) for path in paths for name in (path.absolute(), path.resolve())})
        for name in named:
            if any(character in name for character in ",:"):
                raise UserError(f"{name!r} cannot be bound in a container: {self.engine} splits paths at ',' and ':'")
        return self.model_copy(update={"binds": [*dict.fromkeys((*named, *self.binds))]})

    def command(self, *, has_gpu: bool) -> str:
        """The shell command that starts the image's Python."""
        nv = ["--nv"] if has_gpu and "--rocm" not in self.options else []
        binds = [word for bind in self.binds for word in ("--bind", bind)]
        return shlex.join([self.engine, "exec", *nv, *binds, *self.options, self.image, self.python])
