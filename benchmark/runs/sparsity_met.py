"""How near a run must come to the sparsity that it was asked for, to be compared with others or chosen among them."""

from __future__ import annotations

MAX_MISS = 0.001
"""Largest distance between the sparsity reached and the one asked for: 0.1 points."""
