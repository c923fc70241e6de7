"""How many weights each layer regrows, when weights move between layers: exact in total, never more than fits."""

from __future__ import annotations

from collections.abc import Sequence

from .allocation import apportion


def distribute(total: int, shares: Sequence[float], room: Sequence[int]) -> list[int]:
    """Whole counts that add up to `total`, near total * share and at most `room`.

    What does not fit into a layer goes in equal parts to the layers that have room, until all of it fits.
    """
    quotas = [total * share for share in shares]
    while (overflow := sum(max(0.0, q - r) for q, r in zip(quotas, room, strict=True))) > 1e-6:
        quotas = [min(q, float(r)) for q, r in zip(quotas, room, strict=True)]
        is_open = [q < r for q, r in zip(quotas, room, strict=True)]
        quotas = [q + overflow / sum(is_open) if o else q for q, o in zip(quotas, is_open, strict=True)]
    return apportion(quotas, room, total)
