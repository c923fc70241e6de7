"""Paired differences in words."""

from __future__ import annotations

from .paired import LEVEL, Interval


def points(interval: Interval | None) -> str:
    """`0.40 points (95 % interval −0.91 to 1.71, 3 pairs)`, of fractions; empty without a pair."""
    if interval is None:
        return ""
    mean, half = 100 * interval.mean, interval.half_width
    if half is None:
        return f"{signed(mean)} points (1 pair)"
    low, high = (signed(mean + sign * 100 * half) for sign in (-1, 1))
    return f"{signed(mean)} points ({100 * LEVEL:g} % interval {low} to {high}, {interval.count} pairs)"


def signed(value: float) -> str:
    """Two decimals with a true minus; a rounded zero has no sign."""
    shown = f"{value:.2f}"
    return shown.lstrip("-") if float(shown) == 0 else shown.replace("-", "−")
