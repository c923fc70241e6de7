"""Which results folders a job's paths survive: sbatch and submitit expand some characters and cannot quote others."""

from __future__ import annotations

import locale
from pathlib import Path

from ..benchmark.api.errors import UserError

EXPANDED = {"%": "'%'", "\\": "a backslash", "\n": "a newline"}
"""sbatch replaces %A and the like in names of logs, submitit %j, and both have no way to write these otherwise. All
else, blanks and quotes too, is quoted."""


def check_path(results: Path) -> Path:
    """The absolute path of a results folder that jobs can be submitted into. Raises UserError for another one."""
    path = results.absolute()
    for character, name in EXPANDED.items():
        if character in str(path):
            raise UserError(
                f"results folder {str(path)!r} has {name} in its path, which SLURM would expand; "
                "choose one without %, backslash and newline"
            )
    encoding = locale.getpreferredencoding(False)
    try:
        str(path).encode(encoding)
    except UnicodeEncodeError as error:
        raise UserError(
            f"results folder {str(path)!r} has characters in its path that {encoding} cannot write into a batch "
            "script; choose another one"
        ) from error
    return path
