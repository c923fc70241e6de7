"""What a compute node answers to `probe`, asked by srun with the setup of a profile."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

from .cluster_profile import Profile
from .commands import call

PROBE_SECONDS = 30
"""How long the probe waits for a free node."""


class CannotStart(Exception):
    """The node answered, but the suite does not start there."""


def ask_node(profile: Profile, token: Path) -> dict[str, Any]:
    """Raises SlurmError, for example if no node is free in time, and CannotStart if the suite does not start there."""
    from .executor import parameters_of, submission_environment

    known = ("partition", "account", "qos", "constraint", "gres", "gpus_per_node", "cpus_per_task", "mem")
    parameters = parameters_of(profile, "", None)
    flags = [f"--{key.replace('_', '-')}={parameters[key]}" for key in known if key in parameters]
    for key, value in profile.sbatch.items():
        flags.append(f"--{key}" if value is True else f"--{key}={value}")
    python = profile.python_command or shlex.quote(sys.executable)
    # What Python or the engine complains of comes last; `|| true`: it is read here, and is no failure of srun.
    probe = f"{python} -m {__package__}.probe {shlex.quote(str(token))} 2>&1 || true"
    lines = "\n".join([*profile.shell_lines, *_checks_of_container(profile), probe])
    command = ["srun", "--quiet", "--nodes=1", "--ntasks=1", "--time=2", f"--immediate={PROBE_SECONDS}"]
    with submission_environment():
        output = call([*command, *flags, "bash", "-c", lines], timeout=PROBE_SECONDS + 120.0)
    said = output.strip().splitlines()
    answers = [line for line in said if line.startswith('{"host"')]
    if not answers:
        raise CannotStart(said[-1] if said else "the Python of the jobs prints nothing")
    return json.loads(answers[-1])


def _checks_of_container(profile: Profile) -> list[str]:
    """Shell lines that end the probe with a reason."""
    if profile.container is None:
        return []
    engine, image = profile.container.engine, profile.container.image
    no_engine = shlex.quote(f"{engine} is not found on the node; `modules` may load it")
    no_image = shlex.quote(f"image {image} cannot be read on the node")
    return [
        f"command -v {engine} > /dev/null || {{ echo {no_engine}; exit 0; }}",
        f"test -r {shlex.quote(image)} || {{ echo {no_image}; exit 0; }}",
    ]
