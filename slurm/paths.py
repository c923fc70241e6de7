"""Checks the path of a results folder: sbatch and submitit expand some characters and cannot quote others."""

from __future__ import annotations

import locale
from pathlib import Path

from ..benchmark.api.errors import UserError

EXPANDED = {"%": "'%'", "\\": "a backslash", "\n": "a newline"}
"""sbatch replaces %A and similar patterns in names of logs, submitit %j, and neither can escape them. All other
characters, also blanks and quotes, are quoted."""


def check_path(results: Path) -> Path:
    """The absolute path of a results folder. Raises UserError if jobs cannot be submitted into it."""
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
