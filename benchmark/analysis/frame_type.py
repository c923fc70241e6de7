"""The type of frames in tables and plots."""

from __future__ import annotations

from typing import Any, TypeAlias

Frame: TypeAlias = Any
"""A pandas DataFrame. pandas ships no types, and those a checker guesses from its source (an item of a frame is a
frame, a series or a number) are wrong too often to be of use."""
