"""The name under which a damaged file is kept beside its place."""

from __future__ import annotations

import itertools
from pathlib import Path


def free_name(path: Path) -> Path:
    """`<name>.damaged` in the same folder, or `<name>.damaged-2` ... where that is taken."""
    numbered = (path.with_name(f"{path.name}.damaged-{number}") for number in itertools.count(2))
    return next(
        place for place in itertools.chain([path.with_name(f"{path.name}.damaged")], numbered) if not place.exists()
    )
