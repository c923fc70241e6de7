"""Durations as people write them on clusters."""

from __future__ import annotations

import re

_CLOCK = re.compile(r"(?:(\d+)-)?(\d{1,3}):([0-5]?\d):([0-5]?\d)")
_UNITS = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
ALLOWED = "a text such as 90s, 45m, 4h, 1d12h, '04:00:00' or '1-12:00:00'"


def seconds_of(text: object) -> int:
    """Seconds of `1-12:00:00`, `04:00:00`, `4h30m` or `90s`.

    A bare number is refused: SLURM would read minutes, and YAML turns an unquoted 4:00:00 into the number 14400.
    Raises ValueError saying what is allowed.
    """
    if isinstance(text, str):
        for pattern in (_CLOCK, _UNITS):
            match = pattern.fullmatch(text.strip())
            if match and any(match.groups()):
                days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
                return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    raise ValueError(f"{text!r} is not a length of time; write {ALLOWED} (quoted, if it has colons)")
